package initd

import (
	"errors"
	"math"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/machine"
	"server-starter/initd/scoreboard"
	"server-starter/initd/scoreboard/layout"

	"golang.org/x/sys/unix"
)

// asks is what the loop answers to a request.
func (w *world) asks(r control.Request, root bool) control.Answer {
	w.t.Helper()
	c, answer := control.NewCall(r, root)
	w.sends(call{c})
	select {
	case a := <-answer:
		return a
	default:
		w.t.Fatalf("%+v was not answered in its turn", r)
		panic("unreachable")
	}
}

// told compares what clients were told of their tickets since the last call.
func (w *world) told(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.outcomes, want) {
		w.t.Errorf("clients were told %q, want %q", w.outcomes, want)
	}
	w.outcomes = nil
}

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.run()
		w.did("start worker 101")
		w.told("outcome ticket=1 result=begun generation=1")
		if h := w.asks(control.Request{Request: control.AskHealth}, false).Health; h.Ready || h.Started || !h.Live || h.Reason == "" {
			t.Errorf("before anything is ready: %+v", *h)
		}
		w.passes(time.Second)
		w.did("report READY=1")
		w.told("outcome ticket=1 result=ready generation=1")
		if a := w.asks(control.Request{Request: control.AskSwap}, false); a.Ticket != 2 || a.Error != "" {
			t.Errorf("a swap was answered %+v", a)
		}
		w.did("report RELOADING=1", "start worker 102")
		if h := w.asks(control.Request{Request: control.AskHealth}, false).Health; !h.Ready || h.State != "reloading" {
			t.Errorf("during a swap: %+v", *h)
		}
		w.ends(3, 102)
		w.did("report READY=1")
		w.told("outcome ticket=2 result=begun generation=2",
			`outcome ticket=2 result=failed generation=2 reason="worker ended after 0s: exit status 3" next=1s`)
		s := w.asks(control.Request{Request: control.AskStatus}, false).Status
		if failed := s.Swaps[0]; failed.Outcome != "failed" || failed.Trigger != "control" || *failed.ExitStatus != 3 || *failed.Slot != 0 || failed.Ended == nil {
			t.Errorf("the swap that failed: %+v", failed)
		}
		if s.Health.Reason == "" || !s.Health.Ready || s.Failures != 1 || s.NextAttempt == nil || s.Pool.Ready != 1 {
			t.Errorf("after a swap that failed: %+v", *s)
		}
		if a := w.asks(control.Request{Request: control.AskSignal, Signal: "winch"}, false); a.Error != "" || *a.Workers != 1 {
			t.Errorf("a signal was answered %+v", a)
		}
		w.did("WINCH 101")
		w.asks(control.Request{Request: control.AskStop}, false)
		w.did("TERM 101", "report STOPPING=1")
		w.told(`outcome ticket=2 result=stopped reason="initd is stopping"`)
		if a := w.asks(control.Request{Request: control.AskSwap}, false); a.Code != control.NotPossible {
			t.Errorf("a swap after the stop was answered %+v", a)
		}
		w.ends(0, 101)
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
	})
}

// What cannot be is refused, each with its reason, and changes nothing.
func TestRefusedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.MaxWorkers = 2
		w := newWorld(t, p)
		w.run()
		w.passes(time.Second)
		w.script = nil
		slot := 7
		for _, test := range []struct {
			request control.Request
			code    string
		}{
			{control.Request{Request: control.AskScale, Workers: 3}, control.NotPossible},
			{control.Request{Request: control.AskScale, Workers: 5000}, control.BadRequest},
			{control.Request{Request: control.AskSignal, Signal: "NONE"}, control.BadRequest},
			{control.Request{Request: control.AskSignal, Signal: "KILL"}, control.NotPossible},
			{control.Request{Request: control.AskSignal, Signal: "USR1", Slot: &slot}, control.NotFound},
			{control.Request{Request: control.AskStop, Signal: "USR1"}, control.NotPossible},
			{control.Request{Request: control.AskAwait, Ticket: 9}, control.NotFound},
			{control.Request{Request: control.AskAwait, Ticket: 2}, control.NotFound}, // the next
			{control.Request{Request: control.AskEnvironment, Generation: 9}, control.NotFound},
			{control.Request{Request: control.AskEnvironment, Values: true}, control.Forbidden},
		} {
			if a := w.asks(test.request, false); a.Code != test.code || a.Error == "" {
				t.Errorf("%+v was answered %+v, want %s", test.request, a, test.code)
			}
		}
		w.did()
		a := w.asks(control.Request{Request: control.AskEnvironment, Values: true}, true)
		if a.Environment == nil || len(a.Environment.Variables) == 0 || a.Environment.Variables[0].Value == nil {
			t.Errorf("root was answered %+v", a)
		}
		a = w.asks(control.Request{Request: control.AskEnvironment}, true)
		if a.Environment == nil || len(a.Environment.Variables) == 0 || a.Environment.Variables[0].Value != nil {
			t.Errorf("without values: %+v", a)
		}
		w.shutdown(101)
	})
}

// The HTTP process is started again, is no worker, and ends as an orphan does.
func TestHTTPProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.HTTP = true
		w := newWorld(t, p)
		w.run()
		w.did("start http 101", "handed over", "start worker 102")
		w.passes(2 * time.Second)
		w.did("report READY=1")
		w.connecting = errors.New("no descriptors left")
		w.ends(1, 101)
		w.did() // it could not be started
		w.connecting = nil
		w.passes(2 * time.Second)
		w.did("start http 103", "handed over")
		if s := w.asks(control.Request{Request: control.AskStatus}, false).Status; s.Counters.Orphans != 0 || s.Counters.Started != 1 {
			t.Errorf("the HTTP process was counted: %+v", s.Counters)
		}
		w.signal(w.stop, syscall.SIGTERM)
		w.did("TERM 102", "report STOPPING=1")
		w.ends(0, 102)
		w.did("TERM 103")
		w.ends(0, 103)
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
		w.did()
	})
}

// An HTTP process that asks nothing for a minute serves nothing either: it is killed, and started again. That it has
// ended by itself is not taken for that.
func TestHTTPProcessSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.HTTP = true
		w := newWorld(t, p)
		w.run()
		w.did("start http 101", "handed over", "start worker 102")
		w.passes(50 * time.Second)
		w.did("report READY=1")
		w.ends(1, 101)
		w.did("start http 103", "handed over")
		w.passes(50 * time.Second)
		w.did()
		w.passes(20 * time.Second)
		w.did("KILL 103")
		w.ends(-1, 103)
		w.did("start http 104", "handed over")
		w.shutdown(102, 104)
	})
}

// A worker can write what it likes in every row of the scoreboard. The number of requests never falls, and has not more
// than can be true.
func TestRequestsNeverFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		board, err := scoreboard.Create("", 2)
		if err != nil {
			t.Fatal(err)
		}
		defer board.Close()
		w.loop.board = board
		w.run()
		memory, err := unix.Mmap(board.FD(), 0, layout.HeaderSize+layout.RowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(memory)
		last := int64(0)
		for _, n := range []uint64{100, 7, math.MaxInt64, math.MaxUint64, 0} {
			layout.Memory(memory[layout.HeaderSize:]).Store(layout.Requests, n)
			got := w.asks(control.Request{Request: control.AskStatus}, false).Status.Counters.Requests
			if got < last || got > 1e9 || n == 100 && got != 100 {
				t.Errorf("%d after %d, for %d in the row", got, last, n)
			}
			last = got
		}
		w.ends(0, 101)
		if got := w.asks(control.Request{Request: control.AskStatus}, false).Status.Counters.Requests; got < last {
			t.Errorf("%d after %d, since the worker has ended", got, last)
		}
		w.signal(w.stop, syscall.SIGTERM)
		w.exited()
	})
}

func TestDifference(t *testing.T) {
	before := environ{"A=1", "B=2", "C=3", "NOTIFY_SOCKET=@1", "SERVER_STARTER_GENERATION=1"}
	now := environ{"A=1", "B=3", "D=", "NOTIFY_SOCKET=@2", "SERVER_STARTER_GENERATION=2"}
	d := difference(before, now)
	if !slices.Equal(d.Added, []string{"D"}) || !slices.Equal(d.Removed, []string{"C"}) || !slices.Equal(d.Changed, []string{"B"}) {
		t.Errorf("got %+v", *d)
	}
}

// The reason why initd is not ready, or why the last attempt came to nothing.
func TestReasons(t *testing.T) {
	for generation, want := range map[int]string{1: "generation 1 failed: x", 2: "generation 2 was refused: x", 3: ""} {
		result := map[int]machine.Result{1: machine.OutcomeFailed, 2: machine.OutcomeRefused, 3: machine.OutcomeReady}[generation]
		h := newHistory()
		h.begun(time.Now(), machine.Prepare{Generation: generation})
		o := machine.Outcome{Generation: generation, Result: result}
		if result != machine.OutcomeReady {
			o.Reason = "x"
		}
		h.concluded(time.Now(), o)
		if is := h.complaint(); is != want {
			t.Errorf("%v: %q, want %q", result, is, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.run()
		reason := func(want string) {
			t.Helper()
			if h := w.asks(control.Request{Request: control.AskHealth}, false).Health; h.Ready || h.Reason != want {
				t.Errorf("%+v, want the reason %q", *h, want)
			}
		}
		reason("no generation has been ready yet")
		w.passes(time.Second)
		w.ends(3, 101)
		reason("generation 1 was lost: worker ended after 1s: exit status 3")
		w.shutdown(102)
	})
}

// What is remembered of attempts is bounded.
func TestHistoryIsBounded(t *testing.T) {
	h := newHistory()
	now := time.Now()
	for g := 1; g <= 100; g++ {
		h.begun(now, machine.Prepare{Generation: g, Ticket: g})
		h.ended(g, end{slot: new(int), status: &machine.Status{Code: 1}})
		h.concluded(now, machine.Outcome{Ticket: g, Generation: g, Result: machine.OutcomeFailed, Reason: "x"})
	}
	if len(h.swaps) != keptSwaps || len(h.ends) != 0 || h.counts().Swaps["failed"] != 100 || h.latest(now)[0].Generation != 100 {
		t.Errorf("%d swaps, %d ends, %+v", len(h.swaps), len(h.ends), h.counts())
	}
	if h.remembers(1) || !h.remembers(100) || !newHistory().remembers(1) {
		t.Error("it remembers tickets that it should not, or does not remember others")
	}
}
