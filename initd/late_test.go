package initd

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/machine"
	"server-starter/initd/notify"
)

// notifies has the loop receive a notification of the worker that is this process.
func (w *world) notifies(generation, pid int, a notify.Assignments) {
	w.loop.inbox.post(notification{notify.Note{Generation: generation, Message: notify.Message{PID: pid, Lineage: []int{pid}, Group: pid, Assignments: a}}})
}

// watched is a world of workers that are ready and have to send WATCHDOG=1.
func watched(t *testing.T, workers int) *world {
	p := plan()
	p.Ready, p.Watchdog, p.Workers = machine.Notify, 10*time.Second, workers
	w := newWorld(t, p)
	w.run()
	for pid := 101; pid <= 100+workers; pid++ {
		w.notifies(1, pid, notify.Assignments{Ready: true})
	}
	synctest.Wait()
	w.script = nil
	return w
}

// While initd is stopped (docker pause, SIGSTOP) workers cannot be received, and mostly
// are stopped as well: their time does not pass.
func TestTimeWhileStoppedDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t, 1)
		w.passes(4 * time.Second)
		w.isStopped(time.Hour)
		w.ends(0) // the loop wakes for something else
		w.did()
		w.passes(9 * time.Second)
		w.notifies(1, 101, notify.Assignments{Watchdog: true})
		w.passes(9 * time.Second)
		w.did()
		w.passes(time.Second)
		w.did("KILL 101")
		w.shutdown(101)
	})
}

// A deadline that passed while initd was stopped comes in the end, even if it is
// stopped again and again.
func TestDeadlineComesAlthoughInitdIsAlwaysLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t, 1)
		for range 2 {
			w.passes(time.Second)
			w.isStopped(time.Minute)
			w.ends(0)
		}
		synctest.Wait()
		w.did("KILL 101")
		w.shutdown(101)
	})
}

// A loop that was held up receives what has arrived before it judges a deadline.
func TestArrivedBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t, 2)
		w.passes(9990 * time.Millisecond)
		w.stalls = map[string]time.Duration{"USR1": 10 * time.Millisecond}
		for _, pid := range []int{101, 102} { // as if each were in a socket
			go func() {
				time.Sleep(5 * time.Millisecond)
				w.notifies(1, pid, notify.Assignments{Watchdog: true})
			}()
		}
		w.signal(w.other, syscall.SIGUSR1)
		w.passes(9 * time.Second)
		w.did("USR1 101", "USR1 102")
		w.shutdown(101, 102)
	})
}

// A turn that takes long is no time that workers have had.
func TestLongTurnDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t, 1)
		w.stalls = map[string]time.Duration{"USR1": time.Minute}
		w.signal(w.other, syscall.SIGUSR1)
		w.passes(time.Minute)
		w.did("USR1 101")
		w.passes(9 * time.Second)
		w.did()
		w.passes(time.Second)
		w.did("KILL 101")
		w.shutdown(101)
	})
}

// The times that clients are shown are those of the day, whatever time did not count.
func TestTimesOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t, 1)
		began := w.now()
		w.passes(4 * time.Second)
		w.isStopped(time.Hour)
		w.ends(0)
		w.passes(time.Second)
		w.signal(w.hangup, syscall.SIGHUP)
		status := w.loop.status()
		for i, want := range []time.Time{began, began.Add(time.Hour + 5*time.Second)} {
			if g := status.Generations[i]; !g.Began.Equal(want) || !g.Workers[0].Started.Equal(want) {
				t.Errorf("generation %d began at %v, its worker at %v, want %v", g.Number, g.Began, g.Workers[0].Started, want)
			}
		}
		if ready := status.Generations[0].Ready; !ready.Equal(began) {
			t.Errorf("ready at %v, want %v", ready, began)
		}
		w.shutdown(101, 102)
	})
}

// However often initd is stopped, little is kept of it.
func TestClockIsBounded(t *testing.T) {
	now := time.Now()
	c := clock{kernel: func() time.Time { return now }}
	for range 1000 {
		c.wait(c.now().Add(time.Second))
		now = now.Add(punctual)
		c.wait(c.now().Add(time.Second))
		now = now.Add(time.Minute)
	}
	got := c.real(c.now())
	if len(c.pauses) > keptPauses {
		t.Errorf("%d pauses are kept", len(c.pauses))
	}
	if lost := 1000*time.Minute - c.lost; lost < 0 || lost > time.Millisecond {
		t.Errorf("%v did not count, want %v", c.lost, 1000*time.Minute)
	}
	if !got.Equal(now) {
		t.Errorf("it is %v, want %v", got, now)
	}
}
