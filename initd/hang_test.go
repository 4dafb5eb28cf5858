package initd

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/machine"
)

// goesOn fails the test if the loop waits for something: it has to answer clients and to
// reap.
func (w *world) goesOn() {
	w.t.Helper()
	c, answer := control.NewCall(control.Request{Request: control.AskHealth}, true)
	go w.loop.inbox.post(call{c})
	synctest.Wait()
	select {
	case <-answer:
	default:
		w.t.Fatal("a client is not answered")
	}
	w.live[99] = true
	orphans := w.loop.history.counters.Orphans
	w.ends(0, 99)
	if w.loop.history.counters.Orphans == orphans {
		w.t.Fatal("an orphan is not reaped")
	}
}

// hanging is a file system that does not answer until the channel is closed.
func hanging(answers <-chan bool) func(string) (assignments, ignored []string, err error) {
	return func(string) (assignments, ignored []string, err error) {
		<-answers
		return []string{"FROM=envdir"}, nil, nil
	}
}

// An envdir that hangs refuses a swap, and nothing else. When it answers again, it is
// read again.
func TestHangingEnvdir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		answers := make(chan bool)
		w.loop.programs.envdir = "/envdir"
		read := func(string) (assignments, ignored []string, err error) { return nil, nil, nil }
		w.loop.programs.read = func(dir string) (assignments, ignored []string, err error) { return read(dir) }
		w.run()
		w.passes(time.Second)
		w.did("start worker 101", "report READY=1")
		read = hanging(answers)
		for range 2 { // of which the second does not even begin to read
			w.signal(w.hangup, syscall.SIGHUP)
			w.did("report RELOADING=1")
			w.goesOn()
			w.passes(readLimit)
			w.did("report READY=1")
			if swaps := w.loop.history.swaps; swaps[len(swaps)-1].Outcome != "refused" || !strings.Contains(swaps[len(swaps)-1].Reason, "/envdir") {
				t.Errorf("the swap: %+v", swaps[len(swaps)-1])
			}
		}
		close(answers)
		w.signal(w.hangup, syscall.SIGHUP)
		w.did("report RELOADING=1", "start worker 102")
		if env := w.loop.environments[4]; env.value("FROM") != "envdir" {
			t.Errorf("the environment is %q", env)
		}
		w.shutdown(101, 102)
	})
}

// A stop does not wait for it either.
func TestStopWhileEnvdirHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		answers := make(chan bool)
		w.loop.programs.envdir, w.loop.programs.read = "/envdir", hanging(answers)
		w.run()
		w.goesOn()
		w.signal(w.stop, syscall.SIGTERM)
		if e := w.exited(); e.Status != 0 {
			t.Errorf("exit %+v, want 0", e)
		}
		close(answers)
	})
}

// Nor does a hook wait for it: hooks have initd's own environment.
func TestHookWhileEnvdirHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.Hooks[machine.AfterInit], p.HookTimeout = true, time.Minute
		w := newWorld(t, p)
		answers := make(chan bool)
		w.loop.programs.envdir, w.loop.programs.read = "/envdir", hanging(answers)
		w.run()
		w.did("start hook-after-init 101")
		w.goesOn()
		w.ends(0, 101)
		w.did()
		w.goesOn()
		close(answers)
		synctest.Wait()
		w.did("start worker 102")
		w.shutdown(102)
	})
}

// The number of an attempt is in the pid file before the envdir is read, and the swap is
// refused where it cannot be.
func TestHangingPidFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		published := make(chan struct{})
		close(published)
		w.loop.published.record = func(int, int) <-chan struct{} { return published }
		w.loop.programs.envdir, w.loop.programs.read = "/envdir", func(string) (assignments, ignored []string, err error) {
			w.wrote("read")
			return nil, nil, nil
		}
		w.run()
		w.passes(time.Second)
		w.did("read", "start worker 101", "report READY=1")
		published = make(chan struct{})
		w.signal(w.hangup, syscall.SIGHUP)
		w.goesOn()
		w.passes(readLimit)
		w.did("report RELOADING=1", "report READY=1")
		w.signal(w.hangup, syscall.SIGHUP)
		w.did("report RELOADING=1")
		close(published)
		synctest.Wait()
		w.did("read", "start worker 102")
		w.shutdown(101, 102)
	})
}

// A worker that has ended is not waited for, although somebody else holds the pipe by
// which its start is reported.
func TestExitWithoutOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		w.hold = true
		w.run()
		w.did("start worker 101")
		w.ends(3, 101)
		w.goesOn()
		if reason := w.loop.history.complaint(); !strings.Contains(reason, "exit status 3") {
			t.Errorf("the attempt has failed because %q", reason)
		}
		w.shutdown()
	})
}

// A survey that does not end is taken for one that has seen nothing, once it is late, and
// no second one waits for the same.
func TestHangingSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.MaxWorkers, p.MaxIdle, p.Survey = 2, 1, 250*time.Millisecond
		w := newWorld(t, p)
		w.run()
		w.passes(1250 * time.Millisecond)
		w.did("start worker 101", "report READY=1", "survey [101]")
		w.goesOn()
		for range 3 {
			w.passes(surveyLimit + 250*time.Millisecond)
			w.did()
			w.goesOn()
		}
		if n := strings.Count(w.log.String(), "has not ended within"); n != 1 {
			t.Errorf("it was logged %d times that a survey is late", n)
		}
		w.surveys <- nil
		synctest.Wait()
		w.did("survey [101]")
		w.surveys <- nil
		w.passes(250 * time.Millisecond)
		w.did("survey [101]")
		close(w.surveys)
		w.shutdown(101)
	})
}
