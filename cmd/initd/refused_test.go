package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/control"
)

// needRoot skips a test that takes root's rights from an initd.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for an initd that may change users and not signal them")
	}
}

// TestUserWithoutKill: an initd that could not signal its workers does not start any. A Compose file that drops
// all capabilities and adds SETUID and SETGID makes such a one.
func TestUserWithoutKill(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, respawn := range []string{"always", "never"} {
		t.Run(respawn, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				d := run{mode: as, given: []string{"powerless"}, args: flags([]string{"/bin/sleep", "1000"}, "user=65531", "respawn="+respawn)}.start(t)
				d.exits(125)
				for _, text := range []string{"user", "CAP_KILL", "65531"} {
					d.says(text)
				}
			})
		})
	}
	t.Run("own", func(t *testing.T) {
		t.Parallel()
		run{mode: subreaper, given: []string{"powerless"}, args: flags([]string{"/bin/sh", "-c", "exit 3"}, "user=0", "respawn=never")}.start(t).exits(3)
	})
}

// TestRefusedSignal: a worker that has changed its user was not stopped by a signal that the kernel refuses. It is
// shown as what it is, there is no further swap that would leave one more, and PID 1 ends in spite of it.
func TestRefusedSignal(t *testing.T) {
	t.Parallel()
	needRoot(t)
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, given: []string{"powerless"}, args: flags(s.puppet(), "ready=notify", "drain-timeout=0.1", "control-socket="+path)}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		d.swap()
		second := s.generation(2)
		first.do("user", "65531")
		second.ready()
		d.is("serving", 2)
		refused := func(signal string) {
			d.event(signal+" is refused", func(e initdtest.Entry) bool { return e.Event == "kill-failed" && e.Signal == signal })
		}
		refused("TERM")
		first.lives()
		status, err := connect(t, path).Ask(limited(t), control.Request{Request: control.AskStatus})
		if err != nil {
			t.Fatal(err)
		}
		if g := status.Status.Generations[0]; g.Number != 1 || g.State != "retiring" || g.Workers[0].State != "ready" {
			t.Errorf("the old generation is said to be %+v", g)
		}
		if killed := status.Status.Counters.Killed; killed != 0 {
			t.Errorf("%d workers are said to have been killed", killed)
		}
		_, err = connect(t, path).Ask(limited(t), control.Request{Request: control.AskSignal, Signal: "USR1", Generation: 1})
		if err == nil || !strings.Contains(err.Error(), "not permitted") {
			t.Errorf("USR1 to the old generation: %v", err)
		}
		d.swap()
		if e := d.is("refused", 3); !strings.Contains(e.Message, "not permitted") {
			t.Errorf("a swap was refused with %q", e.Message)
		}
		second.lives()

		d.signal(syscall.SIGTERM)
		second.ends()
		if as == subreaper {
			first.lives()
			first.tell("exit", "0")
		}
		first.ends()
		d.exits(0)
	})
}

// TestRefusedForward: a plain init says so on one line if its command, which has another user, does not get a signal.
func TestRefusedForward(t *testing.T) {
	t.Parallel()
	needRoot(t)
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, given: []string{"powerless"}, args: plain(s.puppet()...)}.start(t)
		p := s.next()
		p.do("user", "65531")
		d.signal(syscall.SIGTERM)
		d.says("not permitted")
		d.signal(syscall.SIGTERM)
		d.signal(syscall.SIGUSR1)
		p.lives()
		p.tell("exit", "5")
		d.exits(5)
		if lines := strings.Split(strings.TrimSpace(d.output()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "TERM") {
			t.Errorf("stderr has\n%s", strings.Join(lines, "\n"))
		}
	})
}

// TestRefused: initd does without what the kernel refuses, and logs a note, unless a setting asks for it. PID 1 needs
// no prctl(2) to adopt orphans, nor for its workers to end with it.
func TestRefused(t *testing.T) {
	t.Parallel()
	const cannotNotify, orphansGo, workersStay = "workers cannot send READY=1", "initd cannot adopt the orphans of its workers", "workers keep running if initd is killed"
	for _, test := range []struct {
		refused  string
		as       []mode
		settings []string
		status   int
		says     string // empty: nothing that is a warning
	}{
		{"AF_UNIX", []mode{subreaper, pid1}, []string{"respawn=on-failure"}, 0, cannotNotify},
		{"AF_UNIX", []mode{subreaper, pid1}, []string{"respawn=on-failure", "ready=alive"}, 0, cannotNotify},
		{"AF_UNIX", []mode{subreaper, pid1}, []string{"respawn=never"}, 0, ""},
		{"AF_UNIX", []mode{subreaper}, []string{"respawn=on-failure", "ready=notify"}, 125, "SERVER_STARTER_READY (--ready): "},
		{"AF_UNIX", []mode{subreaper}, []string{"respawn=on-failure", "watchdog=60"}, 125, "SERVER_STARTER_WATCHDOG (--watchdog): "},
		{"PR_SET_CHILD_SUBREAPER", []mode{subreaper}, []string{"respawn=on-failure"}, 0, orphansGo},
		{"PR_SET_CHILD_SUBREAPER", []mode{pid1}, []string{"respawn=on-failure"}, 0, ""},
		{"PR_SET_CHILD_SUBREAPER", []mode{subreaper, pid1}, []string{"respawn=never"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{subreaper}, []string{"respawn=on-failure"}, 0, workersStay},
		{"PR_SET_PDEATHSIG", []mode{pid1}, []string{"respawn=on-failure"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{pid1}, []string{"respawn=on-failure", "death-signal=KILL"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{subreaper, pid1}, []string{"respawn=never"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{subreaper}, []string{"respawn=on-failure", "death-signal=KILL"}, 125, "SERVER_STARTER_DEATH_SIGNAL (--death-signal): "},
	} {
		for _, as := range test.as {
			t.Run(fmt.Sprint(test.refused, "/", as, test.settings), func(t *testing.T) {
				t.Parallel()
				writer, text := textPipe(t)
				notify := "NOTIFY_SOCKET=@initd-test-nobody" // of initd's own supervisor
				d := run{mode: as, given: []string{"refused=" + test.refused}, environ: []string{notify}, stdout: writer,
					args: flags([]string{"/bin/sh", "-c", `echo "worker $NOTIFY_SOCKET"; exit 0`}, test.settings...)}.start(t)
				d.exits(test.status)
				output := d.output()
				if !strings.Contains(output, test.says) {
					t.Errorf("it does not say %q", test.says)
				}
				notes := slices.DeleteFunc(d.entries(), func(e initdtest.Entry) bool {
					return e.Event != "note" || strings.HasPrefix(e.Message, "neither port nor path is set")
				})
				if test.says == "" && len(notes) > 0 {
					t.Errorf("it notes %v", notes)
				}
				if got := text(); test.status == 0 && test.says == cannotNotify && got != "worker \n" {
					t.Errorf("the worker says %q", got)
				}
			})
		}
	}
}
