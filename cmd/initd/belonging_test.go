package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// wrapped is a shell that starts a puppet without exec, and waits for it.
func (s *stage) wrapped(options ...string) []string {
	return []string{"sh", "-c", strings.Join(s.puppet(options...), " ") + "; :"}
}

// leaves has a worker start a process that it does not wait for.
func (s *stage) leaves(p *puppet, prefix string, options ...string) *puppet {
	s.Helper()
	p.do("run", "sh", "-c", prefix+" "+strings.Join(s.puppet(options...), " ")+" >/dev/null 2>&1 &")
	return s.next()
}

// notGone fails the test if a generation is gone.
func (d *daemon) notGone(generation int) {
	d.Helper()
	for _, e := range d.entries() {
		if e.Event == "gone" && e.Generation == generation {
			d.Errorf("generation %d is gone, and a process of it is left", generation)
		}
	}
}

// TestShellWithoutExec: a signal ends the shell alone. The server that it has started is sent the signal next, and
// its generation is not gone before it has ended, as the status shows.
func TestShellWithoutExec(t *testing.T) {
	t.Parallel()
	s := steerCommand(t, func(s *stage) []string { return s.wrapped("stubborn") }, "ready=notify", "stop-timeout=1")
	old := s.generation(1)
	old.ready()
	s.is("serving", 1)
	s.swap()
	s.generation(2).ready()
	old.gets(syscall.SIGTERM)
	old.lives()
	s.notGone(1)
	if g := s.state().Generations; len(g) != 2 || len(g[0].Workers) != 1 || g[0].Workers[0].PID != old.pid || !g[0].Workers[0].Orphan {
		t.Errorf("the status has the generations %+v, and the server of the first is %d", g, old.pid)
	}
	syscall.Kill(old.pid, syscall.SIGKILL)
	s.is("gone", 1)
	s.stop()
}

// TestOrphansEndWithWorker: what a worker leaves is asked to end or killed, as the worker was or would have been,
// whether it is in the worker's process group, has its environment or holds a listener.
func TestOrphansEndWithWorker(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string]string{
		"Group":       "",
		"Environment": "setsid",
		"Listener":    "setsid env -i",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBothModes(t, func(t *testing.T, as mode) {
				t.Run("Crash", func(t *testing.T) {
					t.Parallel()
					d, s, first := serving(t, as)
					left := s.leaves(first, prefix)
					first.tell("die", "9")
					left.gets(syscall.SIGTERM)
					left.ends()
					s.generation(2).ready()
					d.stop()
				})
				t.Run("DrainTimeout", func(t *testing.T) {
					t.Parallel()
					d, s, first := serving(t, as, "drain-timeout=0.3")
					left := s.leaves(first, prefix, "stubborn")
					d.swap()
					s.generation(2).ready()
					left.gets(syscall.SIGTERM)
					left.ends()
					d.is("gone", 1)
					d.stop()
				})
				t.Run("FailedAttempt", func(t *testing.T) {
					t.Parallel()
					d, s, first := serving(t, as)
					d.swap()
					second := s.generation(2)
					left := s.leaves(second, prefix, "stubborn")
					second.tell("exit", "3")
					left.ends()
					d.is("gone", 2)
					first.lives()
					d.signal(syscall.SIGTERM)
				})
			})
		})
	}
}

// TestOrphanOfLivingWorker: a daemon that a worker has left behind while it lives is not taken for one of another worker
// that ends, whatever it shows.
func TestOrphanOfLivingWorker(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string]string{
		"Group":       "",
		"Environment": "setsid",
		"Listener":    "setsid env -i",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBothModes(t, func(t *testing.T, as mode) {
				d, s, first := serving(t, as)
				d.swap()
				second := s.generation(2)
				daemon := s.leaves(second, prefix)
				second.ready()
				first.ends()
				d.is("gone", 1)
				daemon.lives()
				second.tell("exit", "1")
				daemon.gets(syscall.SIGTERM)
				daemon.ends()
				s.generation(3).ready()
				d.stop()
			})
		})
	}
}

// TestOrphansLeftAlone: with kill-group=false a worker is one process.
func TestOrphansLeftAlone(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "kill-group=false")
		left := s.leaves(first, "")
		d.swap()
		s.generation(2).ready()
		d.is("gone", 1)
		left.lives()
		d.stop()
	})
}

// TestMainPID: a process that a worker has named by MAINPID= takes its place when the worker ends, and what belongs to
// both ends with it. A process that does not descend from the worker cannot be named, nor by anyone but the worker.
func TestMainPID(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as)
		started := func(options ...string) *puppet {
			first.do(append([]string{"start"}, s.puppet(options...)...)...)
			return s.next()
		}
		main, other := started(), started()
		other.do("notify", fmt.Sprint("MAINPID=", other.PID))
		first.do("notify", "MAINPID=1")
		d.says("MAINPID=1: the process does not descend")
		first.do("notify", fmt.Sprint("MAINPID=", main.PID))
		first.do("notify", "STATUS=named") // after which the other has been read
		d.says("status: named")
		first.tell("exit", "1")
		d.event("it has handed over", func(e initdtest.Entry) bool { return e.Event == "handed-over" && e.PID == first.PID })
		main.lives()
		other.lives()
		d.swap()
		second := s.generation(2)
		second.ready()
		for _, p := range []*puppet{main, other} {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
		d.is("gone", 1)
		d.stop()
	})
}

// TestMainPIDOfStoppedWorker: a worker that was asked to end does not hand over; what it has named is asked next.
func TestMainPIDOfStoppedWorker(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as)
		first.do(append([]string{"start"}, s.puppet()...)...)
		main := s.next()
		first.do("notify", fmt.Sprint("MAINPID=", main.PID))
		d.swap()
		s.generation(2).ready()
		first.ends()
		main.gets(syscall.SIGTERM)
		main.ends()
		d.is("gone", 1)
		d.stop()
	})
}
