package initd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/output"
	"server-starter/initd/scoreboard"
	"server-starter/reaper"
)

// world is a kernel of the test's own: it gives out pids, writes down what the
// loop does, and lets the test decide what becomes of processes.
type world struct {
	t       *testing.T
	loop    *loop
	pid     int
	script  []string // what the loop has done
	exits   []reaper.Exit
	live    map[int]bool
	forking error              // what the next starts fail with
	failing map[int]error      // by pid: what becomes of its execve
	held    map[int]chan error // by pid: outcomes the test keeps back
	hold    bool
	log     bytes.Buffer
	clock   sync.Mutex // shows the race detector that a timer's goroutine comes after the test that let time pass

	child, hangup, stop, other chan os.Signal
	notes                      chan note
	surveys                    chan machine.Surveyed
	changes                    chan string
	calls                      chan control.Call
	calm                       chan struct{}
	outcomes                   []string // what clients were told
	alone                      error    // what the companion cannot be started for
	done                       chan machine.Exit
}

func newWorld(t *testing.T, policy machine.Policy) *world {
	w := &world{
		t: t, pid: 100, live: map[int]bool{}, failing: map[int]error{}, held: map[int]chan error{},
		child: make(chan os.Signal, 1), hangup: make(chan os.Signal, 1),
		stop: make(chan os.Signal, 64), other: make(chan os.Signal, 256),
		notes: make(chan note), surveys: make(chan machine.Surveyed), changes: make(chan string), calls: make(chan control.Call), calm: make(chan struct{}), done: make(chan machine.Exit, 1),
	}
	h := host{
		now:   w.now,
		start: w.start,
		kill:  w.kill,
		reap:  w.reap,
		orphans: func(s syscall.Signal, spared map[int]*process) {
			w.wrote("orphans %v", machine.Signal(s))
		},
		others: func(spared map[int]*process) bool {
			for pid := range w.live {
				if spared[pid] == nil {
					return true
				}
			}
			return false
		},
		prepare:    func(generation int) (environ, machine.Timing, error) { return environ{"A=1"}, policy.Timing, nil },
		relisten:   func() {},
		hint:       func() string { return "" },
		explain:    func(err error) error { return err },
		rest:       func() {},
		trusts:     func(uid int) bool { return uid == 1000 },
		forget:     func(int) {},
		report:     func(state string) { w.wrote("report %s", strings.Split(state, "\n")[0]) },
		signals:    signalChannels{w.child, w.hangup, w.stop, w.other},
		notes:      w.notes,
		claim:      func(generation, slot int) int { return scoreboard.NoRow },
		seat:       func(row, pid int) {},
		release:    func(row int) {},
		background: func() bool { return false },
		survey:     func(rows map[int]int) { w.wrote("survey %v", rows) },
		surveys:    w.surveys,
		changes:    w.changes,
		steer:      func(slots string) { w.wrote("steer %s", slots) },
		hook: func(a machine.RunHook, env environ) *launch.Command {
			return &launch.Command{Argv: []string{"hook-" + a.Hook.String()}}
		},
		command: func(int, int, environ) *launch.Command { return &launch.Command{Argv: []string{"worker"}} },
		probe:   func(environ) *launch.Command { return &launch.Command{Argv: []string{"probe"}} },
		logger: func(n int) *launch.Command {
			return &launch.Command{Argv: []string{fmt.Sprintf("logger%d", n)}}
		},
		alarm:     func(text string, attrs ...any) { w.wrote("alarm %s", text) },
		announced: func(machine.Announce) {},
		publish: func(p machine.Publish) {
			w.wrote("publish %d %d %q", p.Attempt, p.GivenUp, p.Workers)
		},
		reopen:  func() { w.wrote("reopen") },
		calls:   w.calls,
		calm:    w.calm,
		facts:   func(*control.Status) {},
		changed: func() {},
		tail:    func(*launch.Command) *output.Tail { return nil },
		row:     func(int) (scoreboard.Row, bool) { return scoreboard.Row{}, false },
		told:    func(o machine.Outcome) { w.outcomes = append(w.outcomes, o.String()) },
		companion: func() (*launch.Command, func(), error) {
			return &launch.Command{Argv: []string{"companion"}}, func() { w.wrote("joined") }, w.alone
		},
	}
	w.loop = newLoop(h, machine.New(policy), slog.New(slog.NewTextHandler(&w.log, nil)))
	return w
}

func (w *world) now() time.Time {
	w.clock.Lock()
	defer w.clock.Unlock()
	return time.Now()
}

func (w *world) wrote(format string, args ...any) {
	w.script = append(w.script, fmt.Sprintf(format, args...))
}

func (w *world) start(c *launch.Command) (int, <-chan error, error) {
	if w.forking != nil {
		w.wrote("cannot start %s", c.Argv[0])
		return 0, nil, w.forking
	}
	w.pid++
	w.live[w.pid] = true
	w.wrote("start %s %d", c.Argv[0], w.pid)
	result := make(chan error, 1)
	if w.hold {
		w.held[w.pid] = result
	} else {
		result <- w.failing[w.pid]
	}
	return w.pid, result, nil
}

func (w *world) kill(pid int, s syscall.Signal) error {
	if !w.live[max(pid, -pid)] {
		w.t.Errorf("signal %v to %d, which is no live child", s, pid)
	}
	w.wrote("%v %d", machine.Signal(s), pid)
	return nil
}

// reap is wait4(-1, WNOHANG) until it has nothing more.
func (w *world) reap(each func(reaper.Exit)) bool {
	for len(w.exits) > 0 {
		e := w.exits[0]
		w.exits = w.exits[1:]
		delete(w.live, e.PID)
		each(e)
	}
	return len(w.live) > 0
}

// run starts the loop and waits until it has nothing to do.
func (w *world) run() {
	go func() { w.done <- w.loop.run() }()
	synctest.Wait()
}

// ends lets processes end with an exit code, all before the loop can look.
func (w *world) ends(code int, pids ...int) {
	for _, pid := range pids {
		w.exits = append(w.exits, reaper.Exit{PID: pid, Status: syscall.WaitStatus(code << 8)})
	}
	select {
	case w.child <- syscall.SIGCHLD:
	default:
	}
	synctest.Wait()
}

func (w *world) signal(c chan os.Signal, s syscall.Signal) {
	c <- s
	synctest.Wait()
}

func (w *world) passes(d time.Duration) {
	w.now()
	time.Sleep(d) // virtual: the bubble's clock
	synctest.Wait()
}

// did compares what the loop has done since the last call.
func (w *world) did(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.script, "\n"); got != strings.Join(want, "\n") {
		w.t.Fatalf("the loop did\n\t%s\nwant\n\t%s\nlog:\n%s", strings.Join(w.script, "\n\t"), strings.Join(want, "\n\t"), w.log.String())
	}
	w.script = nil
}

// exits stops the loop and reports initd's exit.
func (w *world) exited() machine.Exit {
	w.t.Helper()
	synctest.Wait()
	select {
	case e := <-w.done:
		return e
	default:
		w.t.Fatalf("the loop goes on; log:\n%s", w.log.String())
		panic("unreachable")
	}
}

// shutdown ends what a test has left running.
func (w *world) shutdown(pids ...int) {
	w.signal(w.stop, syscall.SIGTERM)
	w.ends(0, pids...)
	if e := w.exited(); e.Status != 0 {
		w.t.Errorf("exit %+v, want 0", e)
	}
}

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
		w.notes <- note{2, notify.Message{PID: 7, Lineage: []int{7, 102, 1}, Assignments: notify.Assignments{Ready: true}}}
		synctest.Wait()
		w.did("TERM 101", "report READY=1")
		w.ends(0, 101)
		w.signal(w.stop, syscall.SIGTERM)
		w.did("report STOPPING=1", "TERM 102")
		w.ends(0, 102)
		w.did("orphans TERM")
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
	})
}

// A log command is started before the workers and again when it ends, is no
// orphan, and is left when all others have gone.
func TestLoggers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Loggers = 2
		w := newWorld(t, p)
		w.run()
		w.did("start logger0 101", "start logger1 102", "start worker 103")
		w.ends(1, 102)
		w.did("alarm a log command has ended: logger1")
		w.passes(time.Second)
		w.did("start logger1 104", "report READY=1")
		w.forking = syscall.EAGAIN
		w.ends(0, 101)
		w.did("alarm a log command has ended: logger0", "cannot start logger0", "alarm cannot start a log command: resource temporarily unavailable")
		w.forking = nil
		w.passes(2 * time.Second)
		w.did("start logger0 105")
		w.signal(w.stop, syscall.SIGTERM)
		w.did("report STOPPING=1", "TERM 103")
		w.live[99] = true // an orphan
		w.ends(0, 103)
		w.did("orphans TERM", "orphans TERM") // what 103 has left behind
		w.ends(0, 99)
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
		w.did()
		if len(w.loop.loggers) != 2 {
			t.Errorf("%d log commands are known", len(w.loop.loggers))
		}
		go func() {
			w.passes(time.Second)
			w.ends(0, 104, 105)
		}()
		w.loop.outlive(time.Minute)
		if len(w.loop.loggers) != 0 {
			t.Error("it has not waited for the log commands")
		}
	})
}

func TestPublishAndReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Publish = true
		p.SignalMap = map[machine.Signal]machine.Signal{machine.Signal(syscall.SIGUSR1): machine.REOPEN}
		w := newWorld(t, p)
		w.run()
		w.did(`publish 1 0 ""`, "start worker 101")
		w.passes(time.Second)
		w.did("report READY=1", `publish 1 0 "1:101\n"`)
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
		w.notes <- note{1, notify.Message{PID: 7, Lineage: []int{7, 1}, Group: 7, Assignments: notify.Assignments{Ready: true}}}
		synctest.Wait()
		w.did("start worker 101")
		w.notes <- note{1, notify.Message{PID: 8, Lineage: []int{8}, Group: 101, Assignments: notify.Assignments{Ready: true}}}
		synctest.Wait()
		w.did("report READY=1") // the group tells whose it is
		w.shutdown(101)
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
		w.notes <- note{1, gone}
		synctest.Wait()
		w.did("start worker 101")
		gone.UID = 1000
		w.notes <- note{2, gone}
		synctest.Wait()
		w.did()
		w.notes <- note{1, gone}
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
		go func() {
			time.Sleep(time.Millisecond)
			w.held[101] <- &launch.Failure{Stage: "exec", Path: "worker", Errno: syscall.ENOENT}
		}()
		w.ends(127, 101)
		w.passes(time.Millisecond)
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
		w.did("KILL -103", "start probe 104")
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
		broken := make(chan error, 1)
		w.loop.broken = broken
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
		broken <- errors.New("reader")
		w.exited()
	})
}

// After a defect initd ends with its last worker, and does not wait out the
// grace of those that obey.
func TestRescueEndsWithTheLastWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.live[101] = true
		w.loop.workers[101] = &process{}
		began := time.Now()
		go func() {
			w.loop.rescue(syscall.SIGTERM)
			w.done <- machine.Exit{}
		}()
		synctest.Wait()
		w.did("TERM 101")
		w.ends(0, 101)
		<-w.done
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v after the last worker had ended", took)
		}
		w.did("orphans KILL")
	})
}

func TestLogNeverBlocks(t *testing.T) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pipe[0])
	w := newLogWriter(pipe[1])
	line := bytes.Repeat([]byte("x"), 1000)
	for range 10000 { // far more than pipe and queue hold; nobody reads
		w.Write(line)
	}
	if w.dropped.Load() == 0 {
		t.Error("nothing was dropped, so nothing was blocked")
	}
	w.Close(time.Millisecond)
	// The pipe is emptied, and what was lost is told.
	seen := make(chan bool)
	go func() {
		var all []byte
		buffer := make([]byte, 1<<16)
		for !bytes.Contains(all, []byte("dropped")) {
			n, err := syscall.Read(pipe[0], buffer)
			if n <= 0 || err != nil {
				break
			}
			all = append(all, buffer[:n]...)
		}
		seen <- bytes.Contains(all, []byte("dropped"))
	}()
	select {
	case ok := <-seen:
		if !ok {
			t.Error("the loss was not told")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the writer did not go on")
	}
	syscall.Close(pipe[1])
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
		w.did("KILL -105", "KILL -104", "start hook-after-swap 106", "report READY=1")
		delete(w.live, 104)
		delete(w.live, 105)
		w.signal(w.stop, syscall.SIGTERM)
		w.did("start hook-before-shutdown 107", "report STOPPING=1")
		w.ends(0, 107)
		w.did("KILL -106", "TERM 102")
		w.ends(0, 102, 106)
		w.did("orphans TERM")
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
		p.MaxWorkers, p.MinIdle, p.MaxIdle, p.Survey, p.Debounce = 2, 0, 1, 250*time.Millisecond, time.Second
		w := newWorld(t, p)
		w.run()
		w.did("start worker 101")
		w.passes(1250 * time.Millisecond)
		w.did("report READY=1", "survey map[101:-1]")
		w.passes(time.Minute)
		w.did() // one at a time
		for range 2 {
			w.surveys <- machine.Surveyed{Queue: 1, Workers: []machine.Sample{{PID: 101, Activity: machine.Busy}}}
			w.passes(250 * time.Millisecond)
		}
		w.did("survey map[101:-1]", "start worker 102", "survey map[101:-1 102:-1]")
		w.changes <- "envdir"
		w.passes(time.Second)
		w.did("report RELOADING=1", "start worker 103", "start worker 104")
		w.shutdown(101, 102, 103, 104)
	})
}
