package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
)

// What a terminal makes of keys.
const (
	controlC = "\x03"
	controlZ = "\x1a"
)

// TestJobControl: a plain init under a shell. The command has the terminal; Ctrl-C is for it alone, and
// Ctrl-Z suspends it together with initd, until the shell continues the job.
func TestJobControl(t *testing.T) {
	t.Parallel()
	tty := initdtest.OpenTerminal(t) // closed last
	s := newStage(t)
	// The shell is a puppet, the leader of a session with the terminal.
	shell := s.shell(t, tty)
	job := shell.do(append([]string{"job", initdBinary(t)}, plain(s.puppet("stubborn")...)...)...)
	initd, _ := strconv.Atoi(job)
	t.Cleanup(func() {
		if t.Failed() {
			syscall.Kill(initd, syscall.SIGKILL)
		}
	})
	command := s.next()
	expectForeground(t, tty, command.pid)

	tty.Press(controlC)
	command.gets(syscall.SIGINT)

	for range 3 {
		tty.Press(controlZ)
		if got, want := shell.do("wait", job), fmt.Sprint("stopped ", int(syscall.SIGSTOP)); got != want {
			t.Fatalf("the shell sees that initd has %s, not %s", got, want)
		}
		eventually(t, "the command is suspended", func() bool { return state(command.pid) == "T" })
		shell.do("fg", job)
		command.gets(syscall.SIGCONT)
		expectForeground(t, tty, command.pid)
		tty.Press(controlC)
		command.gets(syscall.SIGINT)
	}

	command.tell("exit", "5")
	if got := shell.do("wait", job); got != "exited 5" {
		t.Errorf("initd has %s", got)
	}
	expectForeground(t, tty, initd)
}

// TestTerminalReturned: a script that goes on after initd, in its process group, can read from the
// terminal.
func TestTerminalReturned(t *testing.T) {
	t.Parallel()
	tty := initdtest.OpenTerminal(t)
	script := fmt.Sprintf(`%s --respawn=never -- sh -c 'read x; echo com""mand:$x; exit 3'; echo stat""us:$?; read y; echo scr""ipt:$y`, initdBinary(t))
	d := run{mode: subreaper, program: "/bin/sh", args: []string{"-c", script}, terminal: tty}.start(t)
	tty.Line.Close()
	tty.Enter("one")
	tty.Expect("command:one")
	tty.Expect("status:3")
	tty.Enter("two")
	tty.Expect("script:two")
	d.exits(0)
}

// TestTerminalElsewhere: a command can read from the terminal whatever its standard streams are. In a pipeline the
// other programs can.
func TestTerminalElsewhere(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]string{
		"NoInput":   `%s --respawn=never -- sh -c 'read x </dev/tty; echo com""mand:$x' </dev/null`,
		"NoStreams": `%s --respawn=never -- sh -c 'read x </dev/tty; echo com""mand:$x >/dev/tty' </dev/null >/dev/null 2>&1`,
		"Pipeline":  `%s --respawn=never -- yes </dev/null | sh -c 'read r; read x </dev/tty; echo com""mand:$x'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tty := initdtest.OpenTerminal(t)
			script := fmt.Sprintf(job+`; read y; echo scr""ipt:$y`, initdBinary(t))
			d := run{mode: subreaper, program: "/bin/sh", args: []string{"-c", script}, terminal: tty}.start(t)
			tty.Line.Close()
			tty.Enter("one")
			tty.Expect("command:one")
			tty.Enter("two")
			tty.Expect("script:two")
			d.exits(0)
		})
	}
}

// TestAnswerFromBackground: under `stty tostop` an initd that prints something is suspended, as any program, until the
// shell puts it in the foreground. While it catches TTOU, the kernel would repeat the write for ever.
func TestAnswerFromBackground(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--version", "--stop --pid-file=/no/such/file"} {
		t.Run(strings.Fields(args)[0], func(t *testing.T) {
			t.Parallel()
			tty := initdtest.OpenTerminal(t)
			d := run{mode: subreaper, program: "/bin/sh", args: []string{"-i"}, environ: []string{"PS1=ready> "}, terminal: tty, stderr: tty.Line}.start(t)
			tty.Line.Close()
			tty.Expect("ready> ")
			tty.Enter("stty tostop")
			tty.Expect("ready> ")
			tty.Enter(initdBinary(t) + " " + args + " &")
			eventually(t, "initd is suspended", func() bool {
				for _, child := range children(t, d.pid) {
					if state(child) == "T" {
						return true
					}
				}
				return false
			})
			tty.Enter("fg; echo do\"\"ne")
			tty.Expect("initd") // the job
			tty.Expect("done")
			text := tty.Screen.String()
			if !strings.Contains(text, "\ninitd 0.") && !strings.Contains(text, "\ninitd: ") {
				t.Errorf("there is no answer in\n%s", text)
			}
			tty.Enter("exit 0")
			d.exits(0)
		})
	}
}

// TestTerminalOfPID1: as PID 1 that leads its session, as in `docker run -it`.
func TestTerminalOfPID1(t *testing.T) {
	t.Parallel()
	tty := initdtest.OpenTerminal(t) // closed last
	s := newStage(t)
	d := run{mode: pid1, args: plain(s.puppet("stubborn")...), terminal: tty}.start(t)
	tty.Line.Close()
	command := s.next()
	expectForeground(t, tty, command.pid)
	tty.Press(controlC)
	command.gets(syscall.SIGINT)
	// Nobody could continue PID 1: the command alone is suspended, until initd is sent CONT.
	tty.Press(controlZ)
	eventually(t, "the command is suspended", func() bool { return state(command.pid) == "T" })
	d.signal(syscall.SIGCONT)
	command.gets(syscall.SIGCONT)
	tty.Press(controlC)
	command.gets(syscall.SIGINT)
	command.tell("exit", "6")
	d.exits(6)
}

// TestShellOnTerminal: an interactive shell finds job control.
func TestShellOnTerminal(t *testing.T) {
	t.Parallel()
	for _, as := range []mode{subreaper, pid1} {
		t.Run(string(as), func(t *testing.T) {
			tty := initdtest.OpenTerminal(t)
			d := run{mode: as, args: plain("/bin/sh", "-i"), environ: []string{"PS1=ready> "}, terminal: tty, stderr: tty.Line}.start(t)
			tty.Line.Close()
			tty.Expect("ready> ")
			tty.Enter("sleep 1000")
			sleep := func() (pid int) {
				eventually(t, "sleep has the terminal", func() bool {
					pid = foreground(t, tty)
					name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
					return string(name) == "sleep\n"
				})
				return pid
			}
			before := sleep()
			tty.Press(controlZ)
			tty.Expect("ready> ")
			tty.Enter("fg")
			if after := sleep(); after != before {
				t.Errorf("%d was suspended, and %d continued", before, after)
			}
			tty.Press(controlC)
			tty.Expect("ready> ")
			tty.Enter("echo stat\"\"us=$?")
			tty.Expect("status=130")
			tty.Enter("exit 4")
			d.exits(4)
			if strings.Contains(tty.Screen.String(), "job control") {
				t.Errorf("the shell complains:\n%s", tty.Screen)
			}
		})
	}
}

// TestBackgroundJob: a plain init that was started in the background gives its command the terminal when
// the shell puts it in the foreground.
func TestBackgroundJob(t *testing.T) {
	t.Parallel()
	tty := initdtest.OpenTerminal(t)
	d := run{mode: subreaper, program: "/bin/sh", args: []string{"-i"}, environ: []string{"PS1=ready> "}, terminal: tty, stderr: tty.Line}.start(t)
	tty.Line.Close()
	tty.Expect("ready> ")
	tty.Enter(initdBinary(t) + ` --respawn=never -- sh -c 'echo start""ed; exec sed -u s/^/from:/' &`)
	tty.Expect("started")
	family := descendants(t, d.pid)
	t.Cleanup(func() {
		if t.Failed() {
			for _, pid := range family {
				syscall.Kill(pid, syscall.SIGKILL) // may be suspended
			}
		}
	})
	tty.Enter("fg")
	tty.Expect("--respawn=never")
	tty.Enter("here")
	tty.Expect("from:here")
	tty.Press(controlC)
	tty.Expect("ready> ")
	tty.Enter(`echo stat""us=$?`)
	tty.Expect("status=130")
	tty.Enter("exit 0")
	d.exits(0)
}

// TestSentToBackground: a plain init whose job was suspended and sent to the background leaves the terminal
// to the shell, also when it ends.
func TestSentToBackground(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tty := initdtest.OpenTerminal(t)
	d := run{mode: subreaper, program: "/bin/sh", args: []string{"-i"}, environ: []string{"PS1=ready> "}, terminal: tty, stderr: tty.Line}.start(t)
	tty.Line.Close()
	tty.Expect("ready> ")
	tty.Enter(initdBinary(t) + ` --respawn=never -- sh -c 'echo start""ed; read line <` + fifo + `; exit 3'`)
	tty.Expect("started")
	tty.Press(controlZ)
	tty.Expect("ready> ")
	expectForeground(t, tty, d.pid)
	tty.Enter("bg")
	tty.Expect("ready> ")
	release, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the command
	if err != nil {
		t.Fatal(err)
	}
	if got := foreground(t, tty); got != d.pid {
		t.Errorf("%d has the terminal, not the shell, %d", got, d.pid)
	}
	release.Close()
	eventually(t, "the job is over", func() bool {
		for _, child := range children(t, d.pid) {
			if s := state(child); s != "Z" && s != "" {
				return false
			}
		}
		return true
	})
	if got := foreground(t, tty); got != d.pid {
		t.Errorf("%d has the terminal, not the shell, %d", got, d.pid)
	}
	tty.Enter(`wait %1; echo stat""us=$?`)
	tty.Expect("status=3")
	tty.Enter("exit 0")
	d.exits(0)
}

// shell starts a puppet that leads a session with a terminal.
func (s *stage) shell(t *testing.T, tty *initdtest.Terminal) *puppet {
	t.Helper()
	command := s.puppet("stubborn")
	run{mode: subreaper, program: command[0], args: command[1:], terminal: tty}.start(t)
	tty.Line.Close()
	return s.next()
}

// foreground is the process group that has a terminal.
func foreground(t *testing.T, tty *initdtest.Terminal) int {
	t.Helper()
	group, err := unix.IoctlGetInt(int(tty.Person.Fd()), unix.TIOCGPGRP)
	if err != nil {
		t.Fatal(err)
	}
	return group
}

// expectForeground waits until a process group has a terminal.
func expectForeground(t *testing.T, tty *initdtest.Terminal, group int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d has the terminal", group), func() bool { return foreground(t, tty) == group })
}
