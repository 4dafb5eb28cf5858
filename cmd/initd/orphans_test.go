package main_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestOrphanStorm: orphans that end together, by the thousand, are all reaped, and none is taken for a
// worker.
func TestOrphanStorm(t *testing.T) {
	t.Parallel()
	const orphans = 3000
	// Each waits for the end of file on 3, and is an orphan once the shell has ended.
	script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do (read x <&3; exit 7) & i=$((i+1)); done`, orphans)
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "start-timeout=0")}.start(t)
		p := s.next()
		p.do("storm", script)
		if n := len(children(t, d.pid)); n != orphans+1 {
			t.Fatalf("initd has %d children, not %d and one", n, orphans)
		}
		began := time.Now()
		p.do("release")
		eventually(t, "only the worker is left", func() bool { return len(children(t, d.pid)) == 1 })
		t.Logf("%d orphans were reaped within %v", orphans, time.Since(began).Round(time.Millisecond))

		p.lives()
		for _, e := range d.entries() {
			if e.Event == "exit" {
				t.Errorf("an orphan's end was reported as a worker's: %+v", e)
			}
		}
		d.stop()
	})
}

// TestOrphansAtStop: when the last worker has ended, the orphans that remain are asked to end, and get
// stop-timeout for it.
func TestOrphansAtStop(t *testing.T) {
	t.Parallel()
	orphan := func(s *stage, p *puppet, options ...string) *puppet {
		t.Helper()
		p.do("run", "sh", "-c", strings.Join(s.puppet(options...), " ")+" >/dev/null 2>&1 &")
		return s.next()
	}
	inBothModes(t, func(t *testing.T, as mode) {
		for _, test := range []struct {
			name    string
			options []string
			timeout string
		}{
			{"Obedient", nil, "60"},
			{"Stubborn", []string{"stubborn"}, "3"},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet(), "ready=notify", "stop-timeout="+test.timeout)}.start(t)
				p := s.next()
				p.ready()
				left := orphan(s, p, test.options...)
				if got := children(t, d.pid); len(got) != 2 {
					t.Fatalf("initd's children are %v, not a worker and an orphan", got)
				}
				left.lives()
				began := time.Now()
				d.signal(syscall.SIGTERM)
				p.gets(syscall.SIGTERM)
				p.ends()
				left.gets(syscall.SIGTERM)
				left.ends()
				d.exits(0)
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("the stop took %v", took)
				}
			})
		}
	})
}

// TestOrphanFamily: an orphan's own child, which becomes an orphan by the end of its parent, is asked to end
// as well.
func TestOrphanFamily(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "stop-timeout=60")}.start(t)
		p := s.next()
		p.ready()
		p.do("run", "sh", "-c", "sh -c '"+strings.Join(s.puppet(), " ")+"; :' >/dev/null 2>&1 &")
		grandchild := s.next()
		grandchild.lives()
		d.signal(syscall.SIGTERM)
		p.ends()
		grandchild.gets(syscall.SIGTERM)
		grandchild.ends()
		d.exits(0)
	})
}

// TestLateOrphan: what an orphan starts after it was asked to end, and leaves behind, is asked as well, and
// each is asked once.
func TestLateOrphan(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "stop-timeout=60")}.start(t)
		p := s.next()
		p.ready()
		d.is("serving", 1)
		leave := func(by *puppet) *puppet {
			by.do("run", "sh", "-c", strings.Join(s.puppet("stubborn"), " ")+" >/dev/null 2>&1 &")
			return s.next()
		}
		early, other := leave(p), leave(p)
		d.signal(syscall.SIGTERM)
		early.gets(syscall.SIGTERM)
		late := leave(early)
		early.tell("exit", "0")
		late.gets(syscall.SIGTERM)
		latest := leave(late)
		late.tell("exit", "0")
		latest.gets(syscall.SIGTERM)
		other.gets(syscall.SIGTERM)
		other.lives()
		latest.lives()
		other.tell("exit", "0")
		latest.tell("exit", "0")
		d.exits(0)
	})
}

// TestPlainOrphans: what the command of a plain init leaves behind is ended if initd is PID 1, and else
// left alone, as it was meant to be left behind.
func TestPlainOrphans(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: plain(s.puppet()...)}.start(t)
		p := s.next()
		p.do("run", "sh", "-c", strings.Join(s.puppet(), " ")+" >/dev/null 2>&1 &")
		orphan := s.next()
		p.tell("exit", "3")
		if as == pid1 {
			orphan.gets(syscall.SIGTERM)
			orphan.ends()
		}
		d.exits(3)
		if as == subreaper {
			orphan.lives()
			syscall.Kill(orphan.pid, syscall.SIGKILL)
		}
	})
}

// TestNoOrphans: where none is left, initd exits at once.
func TestNoOrphans(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "stop-timeout=60", "stop-delay=0")}.start(t)
		p := s.next()
		p.ready()
		d.is("serving", 1)
		began := time.Now()
		d.stop()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// TestOrphanOfWorker: a worker's child that outlives it is asked to end, and its end is not the worker's.
func TestOrphanOfWorker(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "interval=0.1")}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		first.do("run", "sh", "-c", strings.Join(s.puppet("left"), " ")+" >/dev/null 2>&1 &")
		left := s.next()
		first.tell("exit", "4")
		second := s.generation(2)
		second.ready()
		d.is("serving", 2)
		left.gets(syscall.SIGTERM)
		left.ends()
		eventually(t, "the orphan is reaped", func() bool { return len(children(t, d.pid)) == 1 })
		second.lives()
		d.stop()
		d.output()
		exits := slices.DeleteFunc(d.entries(), func(e initdtest.Entry) bool { return e.Event != "exit" || e.Generation == 0 })
		if len(exits) != 2 || exits[0].ExitStatus == nil || *exits[0].ExitStatus != 4 {
			t.Errorf("the ends that were reported are %+v", exits)
		}
	})
}
