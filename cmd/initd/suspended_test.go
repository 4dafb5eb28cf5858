package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/control"
)

// suspend stops a process, and waits until it is.
func (p *puppet) suspend() {
	p.Helper()
	if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
		p.Fatal(err)
	}
	// Its parent is told when the last of its threads has stopped.
	eventually(p.T, "it is suspended", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread)
			if !strings.Contains(string(stat), ") T ") {
				return false
			}
		}
		return err == nil && len(threads) > 0
	})
}

// tells waits for an event of a kind.
func (d *daemon) tells(event string) initdtest.Entry {
	d.Helper()
	return d.event(event, func(e initdtest.Entry) bool { return e.Event == event })
}

// TestSuspended: a worker that is suspended is not ready, and said to be suspended, until it goes on.
func TestSuspended(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "control-socket="+path)}.start(t)
		p := s.generation(1)
		p.ready()
		d.is("serving", 1)
		asked := func() (*control.Health, string) {
			a, err := connect(t, path).Ask(limited(t), control.Request{Request: control.AskStatus})
			if err != nil {
				t.Fatal(err)
			}
			return &a.Status.Health, a.Status.Generations[0].Workers[0].State
		}
		p.suspend()
		d.tells("suspended")
		if health, state := asked(); health.Ready || !strings.Contains(health.Reason, "suspended") || state != "suspended" {
			t.Errorf("a suspended worker is %s, and initd %+v", state, health)
		}
		if err := syscall.Kill(p.pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		d.tells("continued")
		if health, state := asked(); !health.Ready || state != "ready" {
			t.Errorf("a worker that goes on is %s, and initd %+v", state, health)
		}
		d.stop()
	})
}

// TestStopSuspended: a worker that is suspended obeys when it is asked to end, by a swap or by the end of initd, and so
// does an orphan, and the command of a plain init.
func TestStopSuspended(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		t.Run("worker", func(t *testing.T) {
			t.Parallel()
			d, s, first := serving(t, as)
			first.suspend()
			d.swap()
			second := s.generation(2)
			second.ready()
			first.ends()
			second.suspend()
			d.stop()
			second.ends()
		})
		t.Run("orphan", func(t *testing.T) {
			t.Parallel()
			d, s, p := serving(t, as, "stop-timeout=600")
			p.do("run", "sh", "-c", strings.Join(s.puppet(), " ")+" >/dev/null 2>&1 &")
			left := s.next()
			left.suspend()
			d.stop()
			left.ends()
		})
		t.Run("plain", func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := run{mode: as, args: plain(s.puppet("exit=4")...)}.start(t)
			p := s.next()
			p.suspend()
			d.signal(syscall.SIGTERM)
			d.exits(4)
		})
	})
}

// TestTerminalOfWorker: a single worker that reads from the terminal, or changes its mode, as getpass(3) does, gets it,
// and initd takes it back; `docker run -t`.
func TestTerminalOfWorker(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		tty := initdtest.OpenTerminal(t)
		script := `stty -echo; read x; stty echo; echo got:$x; read y; echo th""en:$y; exit 1`
		d := run{mode: as, args: flags([]string{"/bin/sh", "-c", script}, "interval=0.01"), terminal: tty}.start(t)
		tty.Line.Close()
		tty.Enter("secret")
		tty.Expect("got:secret")
		tty.Enter("more")
		tty.Expect("then:more")
		// The next one gets it, too.
		tty.Enter("again")
		tty.Expect("got:again")
		d.signal(syscall.SIGTERM)
		d.exits(0)
	})
}

// TestTerminalOfPool: none of several workers gets the terminal, and each that waits for it is said to be suspended.
func TestTerminalOfPool(t *testing.T) {
	t.Parallel()
	tty := initdtest.OpenTerminal(t)
	d := run{mode: pid1, args: flags([]string{"/bin/sh", "-c", "read x"}, "workers=2"), terminal: tty}.start(t)
	tty.Line.Close()
	d.event("both are suspended", func() func(initdtest.Entry) bool {
		slots := map[int]bool{}
		return func(e initdtest.Entry) bool {
			if e.Event == "suspended" && e.Signal == "TTIN" {
				slots[e.Slot] = true
			}
			return len(slots) == 2
		}
	}())
	tty.Press(controlC) // initd has it still
	d.exits(0)
}
