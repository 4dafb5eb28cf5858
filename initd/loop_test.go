package initd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/statusfile"
	"server-starter/initd/survey"
	"server-starter/reaper"
)

func plan() machine.Policy {
	return machine.Policy{
		Interval: time.Second, StartTimeout: time.Minute, MaxBackoff: 30 * time.Second,
		SignalOnHup: machine.TERM, SignalOnTerm: machine.TERM,
	}
}

func TestSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.run()
		w.did("start worker 101")
		w.passes(time.Second)
		w.did("report READY=1")
		w.signal(w.hangup, syscall.SIGHUP)
		w.did("report RELOADING=1", "start worker 102")
		w.sends(notification{notify.Note{Generation: 2, Message: notify.Message{PID: 7, Lineage: []int{7, 102, 1}, Assignments: notify.Assignments{Ready: true}}}})
		w.did("TERM 101", "report READY=1")
		w.ends(0, 101)
		w.signal(w.stop, syscall.SIGTERM)
		w.did("TERM 102", "report STOPPING=1")
		w.ends(0, 102)
		w.did()
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
	})
}

// EXTEND_TIMEOUT_USEC= gives a worker more time to start, and more time to end.
func TestMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Ready, p.DrainTimeout = machine.Notify, 10*time.Second
		w := newWorld(t, p)
		says := func(generation, pid int, text string) {
			w.sends(notification{notify.Note{Generation: generation, Message: notify.Message{PID: pid, Lineage: []int{pid, 1}, Assignments: notify.Parse([]byte(text))}}})
		}
		w.run()
		w.did("start worker 101")
		w.passes(50 * time.Second)
		says(1, 101, "EXTEND_TIMEOUT_USEC=30000000")
		w.passes(29 * time.Second)
		says(1, 101, "READY=1")
		w.did("report READY=1")
		w.signal(w.hangup, syscall.SIGHUP)
		says(2, 102, "READY=1")
		w.did("report RELOADING=1", "start worker 102", "TERM 101", "report READY=1")
		w.passes(5 * time.Second)
		says(1, 101, "EXTEND_TIMEOUT_USEC=30000000")
		w.passes(29 * time.Second)
		w.did()
		w.passes(time.Second)
		w.did("KILL 101")
		w.ends(0, 101)
		w.shutdown(102)
	})
}

// A log command is started before the workers and again when it ends, is no
// orphan, and is left when all others have gone.
func TestLogCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.LogCommands = 2
		w := newWorld(t, p)
		w.run()
		w.did("start log-command0 101", "start log-command1 102", "start worker 103")
		w.ends(1, 102)
		w.did("warn log command ended: log-command1")
		w.passes(time.Second)
		w.did("start log-command1 104", "report READY=1")
		w.forking = syscall.EAGAIN
		w.ends(0, 101)
		w.did("warn log command ended: log-command0", "cannot start log-command0", "warn cannot start the log command: resource temporarily unavailable")
		w.forking = nil
		w.passes(2 * time.Second)
		w.did("start log-command0 105")
		w.signal(w.stop, syscall.SIGTERM)
		w.did("TERM 103", "report STOPPING=1")
		w.live[99] = true // an orphan
		w.ends(0, 103)
		w.did("TERM 99")
		w.live[98] = true // what 99 has left behind
		w.ends(0, 99)
		w.did("TERM 98")
		w.ends(0, 98)
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
		w.did()
		if len(w.loop.children) != 2 {
			t.Errorf("%d log commands are known", len(w.loop.children))
		}
		go func() {
			w.passes(time.Second)
			w.ends(0, 104, 105)
		}()
		if running := w.loop.awaitLogCommands(time.Minute); len(running) != 0 || len(w.loop.children) != 0 {
			t.Error("it has not waited for the log commands")
		}
	})
}

// The status file names the workers of a generation from when it is ready until
// they have ended, and none that another process has left.
func TestStatusFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		path := filepath.Join(t.TempDir(), "status")
		os.WriteFile(path, []byte("7:7\n"), 0o600)
		w.loop.published.statusFile, _ = statusfile.Open(path, w.loop.inbox.start, func(err error) { t.Error(err) })
		holds := func(want string) {
			t.Helper()
			w.passes(10 * time.Millisecond) // for the file to be written
			if text, _ := os.ReadFile(path); string(text) != want {
				t.Errorf("the status file holds %q, want %q", text, want)
			}
		}
		w.run()
		holds("")
		notify := w.loop.published.notify
		w.loop.published.notify = func(state string) {
			if text, _ := os.ReadFile(path); strings.HasPrefix(state, "READY=1") && string(text) != "1:101\n" && string(text) != "1:101\n2:102\n" {
				t.Errorf("it notifies of %q when the status file holds %q", state, text)
			}
			notify(state)
		}
		w.passes(time.Second)
		holds("1:101\n")
		w.signal(w.hangup, syscall.SIGHUP)
		holds("1:101\n")
		w.passes(time.Second)
		holds("1:101\n2:102\n")
		w.ends(0, 101)
		holds("2:102\n")
		w.shutdown(102)
		w.loop.published.remove()
	})
}

func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.SignalMap = map[machine.Signal]machine.Signal{machine.Signal(syscall.SIGUSR1): machine.REOPEN}
		w := newWorld(t, p)
		w.run()
		w.passes(time.Second)
		w.did("start worker 101", "report READY=1")
		w.signal(w.other, syscall.SIGUSR1)
		w.did("reopen")
		w.shutdown(101)
	})
}

func TestNotificationOfAStrangerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Ready = machine.Notify
		w := newWorld(t, p)
		w.run()
		w.sends(notification{notify.Note{Generation: 1, Message: notify.Message{PID: 7, Lineage: []int{7, 1}, Group: 7, Assignments: notify.Assignments{Ready: true}}}})
		synctest.Wait()
		w.did("start worker 101")
		w.sends(notification{notify.Note{Generation: 1, Message: notify.Message{PID: 8, Lineage: []int{8}, Group: 101, Assignments: notify.Assignments{Ready: true}}}})
		synctest.Wait()
		w.did("report READY=1") // the group tells whose it is
		w.shutdown(101)
	})
}

// A process of another user may join a worker's group, or be its descendant, and does not speak for it: setpgid(2). The
// worker itself does, whatever user it has become.
func TestNotificationOfAnotherUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Ready, p.Watchdog = machine.Notify, time.Hour
		w := newWorld(t, p)
		w.run()
		w.did("start worker 101")
		for _, other := range []notify.Message{
			{PID: 8, UID: 65534, Lineage: []int{8, 1}, Group: 101},
			{PID: 8, UID: 65534, Lineage: []int{8}, Group: 101},
			{PID: 8, UID: 65534, Lineage: []int{8, 101, 1}, Group: 101},
		} {
			for _, a := range []notify.Assignments{{Ready: true}, {Watchdog: true}, {WatchdogTrigger: true}} {
				other.Assignments = a
				w.sends(notification{notify.Note{Generation: 1, Message: other}})
				w.did()
			}
		}
		w.owners = map[int]int{101: 65534} // as what su(1) has executed
		w.sends(notification{notify.Note{Generation: 1, Message: notify.Message{PID: 8, UID: 65534, Lineage: []int{8, 101, 1}, Assignments: notify.Assignments{Ready: true}}}})
		w.did("report READY=1")
		w.shutdown(101)
	})
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Ready = machine.Notify
		w := newWorld(t, p)
		w.run()
		w.did("start worker 101")
		w.sends(notification{notify.Note{Generation: 1, Message: notify.Message{PID: 101, UID: 65534, Lineage: []int{101, 1}, Assignments: notify.Assignments{Ready: true}}}})
		w.did("report READY=1")
		w.shutdown(101)
	})
}

// What a worker has left may be another user's, and then does not speak for it either, not even about itself.
func TestNotificationOfAnOrphanOfAnotherUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.run()
		w.did("start worker 101")
		w.loop.orphans.worker[7] = &worker{generation: 1, over: true}
		w.owners = map[int]int{7: 65534}
		for _, test := range []struct {
			message notify.Message
			counts  int
		}{
			{notify.Message{PID: 7, UID: 65534, Lineage: []int{7, 1}, Group: 7}, 0},
			{notify.Message{PID: 8, UID: 65534, Lineage: []int{8, 7, 1}, Group: 8}, 0},
			{notify.Message{PID: 8, UID: 65534, Lineage: []int{8, 1}, Group: 7}, 0},
			{notify.Message{PID: 7, UID: 1000, Lineage: []int{7, 1}, Group: 7}, 7},
			{notify.Message{PID: 8, UID: 0, Lineage: []int{8, 7, 1}, Group: 8}, 7},
		} {
			if got := w.loop.author(notification{notify.Note{Generation: 1, Message: test.message}}); got != test.counts {
				t.Errorf("%+v counts for %d, want %d", test.message, got, test.counts)
			}
		}
		clear(w.loop.orphans.worker)
		w.passes(time.Second)
		w.did("report READY=1")
		w.shutdown(101)
	})
}

// TestFlood: nothing else that a worker may do as often as it likes drowns the log, either.
func TestFlood(t *testing.T) {
	sends := func(a notify.Assignments) func(*world) {
		return func(w *world) {
			w.sends(notification{notify.Note{Generation: 1, Message: notify.Message{PID: 101, UID: 1000, Lineage: []int{101, 1}, Assignments: a}}})
		}
	}
	for event, cause := range map[string]func(*world){
		"extend":         sends(notify.Assignments{Extend: time.Second}),
		"notify-dropped": sends(notify.Assignments{MainPID: 7}),
		"suspended": func(w *world) {
			for _, status := range []syscall.WaitStatus{syscall.WaitStatus(syscall.SIGSTOP)<<8 | 0x7f, 0xffff} {
				w.exits = append(w.exits, reaper.Exit{PID: 101, Status: status})
				w.signal(w.child, syscall.SIGCHLD)
			}
		},
	} {
		t.Run(event, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, plan())
				w.run()
				for range 100 {
					cause(w)
				}
				synctest.Wait()
				if n := strings.Count(w.log.String(), "event="+event+" "); n == 0 || n > 10 {
					t.Errorf("%d of 100 are logged", n)
				}
				w.passes(time.Minute)
				cause(w)
				if log := w.log.String(); !strings.Contains(log, "dropped=") {
					t.Errorf("the others are not counted\n%s", log)
				}
				w.signal(w.stop, syscall.SIGTERM)
				w.ends(0, 101)
				w.exited()
			})
		})
	}
}

// A worker that sends STATUS= without end does not drown initd's own lines: few are logged, and the others counted. The
// status has the last one, whatever was logged.
func TestStatusFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.run()
		flood := func(n int) {
			for i := range n {
				w.sends(notification{notify.Note{Generation: 1, Message: notify.Message{PID: 101, Lineage: []int{101, 1}, Assignments: notify.Assignments{HasStatus: true, Status: fmt.Sprint("at ", i)}}}})
			}
		}
		logged := func() int { return strings.Count(w.log.String(), "event=status ") }
		flood(1000)
		if n := logged(); n == 0 || n > 20 {
			t.Errorf("%d of 1000 are logged", n)
		}
		before := logged()
		if s := w.asks(control.Request{Request: control.AskStatus}, false).Status; s.Generations[0].Workers[0].Message != "at 999" {
			t.Errorf("the status has %+v", s.Generations[0].Workers[0])
		}
		w.passes(time.Minute)
		flood(1)
		if n := logged() - before; n != 1 || !strings.Contains(w.log.String(), fmt.Sprintf("dropped=%d", 1000-before)) {
			t.Errorf("%d were logged after a minute\n%s", n, w.log.String())
		}
		flood(50)
		w.signal(w.stop, syscall.SIGTERM)
		w.ends(0, 101)
		if log := w.log.String(); !strings.Contains(log[strings.Index(log, "worker ended"):], "dropped=") {
			t.Error("those since the last line were not counted")
		}
		w.exited()
	})
}

// Who was gone before it could be looked at is believed if it can only have
// been the worker's, and had its rights.
func TestNotificationOfOneThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Ready = machine.Notify
		w := newWorld(t, p)
		w.run()
		gone := notify.Message{PID: 7, UID: 65534, Lineage: []int{7}, Assignments: notify.Assignments{Ready: true}}
		w.sends(notification{notify.Note{Generation: 1, Message: gone}})
		synctest.Wait()
		w.did("start worker 101")
		gone.UID = 1000
		w.sends(notification{notify.Note{Generation: 2, Message: gone}})
		synctest.Wait()
		w.did()
		w.sends(notification{notify.Note{Generation: 1, Message: gone}})
		synctest.Wait()
		w.did("report READY=1")
		w.shutdown(101)
	})
}

// A process may be reaped before the word comes that it could not be executed.
func TestExitBeforeOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.hold = true
		w.run()
		w.did("start worker 101")
		w.held[101] <- &launch.Failure{Stage: "exec", Path: "worker", Errno: syscall.ENOENT}
		w.ends(127, 101)
		if e := w.exited(); e.Status != 127 || !strings.Contains(e.Reason, "no such file") {
			t.Errorf("exit %+v, want 127 and the reason", e)
		}
	})
}

func TestForkFailsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.forking = errors.New("fork: resource temporarily unavailable")
		w.run()
		w.did("cannot start worker")
		w.passes(999 * time.Millisecond)
		w.did()
		w.passes(time.Millisecond)
		w.did("cannot start worker")
		w.forking = nil
		w.passes(2 * time.Second)
		w.did("start worker 101")
		w.shutdown(101)
	})
}

// All ends are told one by one, orphans change nothing, and no pid that is
// free again is signalled: kill checks that.
func TestManyEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Workers = 3
		w := newWorld(t, p)
		w.run()
		w.did("start worker 101", "start worker 102", "start worker 103")
		w.passes(3 * time.Second)
		w.did("report READY=1")
		for orphan := range 1000 {
			w.live[5000+orphan] = true
			w.exits = append(w.exits, reaper.Exit{PID: 5000 + orphan})
		}
		w.ends(1, 103, 101, 102)
		w.did("start worker 104", "start worker 105", "start worker 106")
		w.shutdown(104, 105, 106)
	})
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Probe, p.ProbeTimeout = true, 5*time.Second
		w := newWorld(t, p)
		w.run()
		w.passes(time.Second)
		w.did("start worker 101", "start probe 102")
		w.ends(1, 102)
		w.did()
		w.passes(time.Second)
		w.did("start probe 103")
		w.passes(5 * time.Second) // it hangs
		w.did("KILL -103", "KILL 103", "start probe 104")
		w.ends(0, 103) // the killed one's end means nothing
		w.did()
		w.ends(0, 104)
		w.did("report READY=1")
		w.shutdown(101)
	})
}

// The timer is the machine's deadline and nothing else: a calm loop sleeps.
func TestCalmHasNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.run()
		w.passes(time.Second)
		if d := w.loop.machine.Deadline(); !d.IsZero() {
			t.Errorf("deadline %v while nothing can happen", d)
		}
		w.shutdown(101)
	})
}

func TestBrokenGoroutineIsAPanicOfTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		go func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				w.done <- machine.Exit{}
			}()
			w.loop.run()
		}()
		synctest.Wait()
		w.loop.inbox.start(func() { panic("reader") })
		w.exited()
	})
}

// After a defect initd ends with its last worker, and does not wait out the
// grace of those that obey.
func TestRescueEndsWithTheLastWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.live[101] = true
		w.loop.children[101] = &child{role: &worker{}, pid: 101}
		began := time.Now()
		go func() {
			w.loop.rescue(syscall.SIGTERM)
			w.done <- machine.Exit{}
		}()
		synctest.Wait()
		w.did("TERM 101")
		w.live[99] = true // an orphan of 101
		w.ends(0, 101)
		w.did("KILL 99")
		w.ends(0, 99)
		<-w.done
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v after the last worker had ended", took)
		}
	})
}

// A hook is awaited before the first worker, refuses a swap, is told how it
// went, and is killed with its group when it takes too long.
func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Hooks = [...]bool{machine.AfterInit: true, machine.BeforeSwap: true, machine.AfterSwap: true, machine.BeforeShutdown: true, machine.OnDisconnect: false}
		p.HookTimeout = 10 * time.Second
		w := newWorld(t, p)
		w.run()
		w.did("start hook-after-init 101")
		w.ends(0, 101)
		w.did("start worker 102")
		w.passes(time.Second)
		w.did("report READY=1")
		w.signal(w.hangup, syscall.SIGHUP)
		w.did("report RELOADING=1", "start hook-before-swap 103")
		w.ends(1, 103)
		w.did("start hook-after-swap 104", "report READY=1")
		w.signal(w.hangup, syscall.SIGHUP)
		w.did("report RELOADING=1", "start hook-before-swap 105")
		w.passes(10 * time.Second)
		w.did("KILL -105", "KILL 105", "KILL -104", "KILL 104", "start hook-after-swap 106", "report READY=1")
		delete(w.live, 104)
		delete(w.live, 105)
		w.signal(w.stop, syscall.SIGTERM)
		w.did("start hook-before-shutdown 107", "report STOPPING=1")
		w.ends(0, 107)
		w.did("KILL -106", "KILL 106", "TERM 102")
		w.ends(0, 102, 106)
		w.did("TERM 106") // a cancelled hook's process is an orphan until it is reaped
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
	})
}

// A survey is asked for while the pool may grow, what it sees has workers
// started, and what is watched and changes has them swapped.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.MaxWorkers, p.MinIdle, p.MaxIdle, p.Survey, p.Debounce = 2, 1, 1, 250*time.Millisecond, time.Second
		w := newWorld(t, p)
		defer close(w.surveys)
		w.run()
		w.did("start worker 101")
		w.passes(1250 * time.Millisecond)
		w.did("report READY=1", "survey [101]")
		w.passes(surveyLimit - time.Millisecond)
		w.did() // one at a time
		w.surveys <- map[int]survey.Worker{101: {Known: survey.Connections, Open: 1}}
		w.passes(250 * time.Millisecond)
		w.did("start worker 102", "survey [101 102]")
		w.sends(changed{"envdir"})
		w.passes(time.Second)
		w.did("report RELOADING=1", "start worker 103", "start worker 104")
		w.shutdown(101, 102, 103, 104)
	})
}

// The end of a process costs the same however many there are: nobody lists them all
// before orphans are asked to end.
func TestEndsListNoChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.LogCommands = 1
		w := newWorld(t, p)
		w.run()
		w.passes(time.Second)
		for range 3 {
			w.live[99] = true
			w.ends(0, 99)
		}
		if w.listed > 0 {
			t.Errorf("all children were listed %d times", w.listed)
		}
		w.shutdown(102)
	})
}
