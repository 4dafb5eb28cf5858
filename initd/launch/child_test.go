package launch

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A direct start happens where it makes no difference, and only there.
func TestDirect(t *testing.T) {
	tests := map[string]struct {
		change func(*Command)
		want   bool
	}{
		"plain":        {func(c *Command) {}, true},
		"dir":          {func(c *Command) { c.Dir = "/" }, true},
		"relative":     {func(c *Command) { c.Dir, c.Argv[0] = "/bin", "./true" }, true},
		"in PATH":      {func(c *Command) { c.Dir, c.Environ = "/", []string{"PATH=bin"} }, true},
		"not in dir":   {func(c *Command) { c.Dir, c.Argv[0] = "/", "./true" }, false},
		"death signal": {func(c *Command) { c.DeathSignal = syscall.SIGTERM }, true},
		"unasked":      {func(c *Command) { c.Direct = false }, false},
		"umask":        {func(c *Command) { c.Umask = 0 }, false},
		"user":         {func(c *Command) { c.Credential = &Credential{} }, false},
		"privileges":   {func(c *Command) { c.NoNewPrivs = true }, false},
		"listen pid":   {func(c *Command) { c.ListenPID = true }, false},
		"not there":    {func(c *Command) { c.Argv[0] = "/no/such" }, false},
		"ignoring":     {func(c *Command) { rtSigaction(40, &sigaction{1}, nil) }, false},
		"posix_spawn":  {func(c *Command) { rtSigaction(32, &sigaction{1}, nil) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			defer rtSigaction(40, new(sigaction), nil)
			defer rtSigaction(32, new(sigaction), nil)
			c := command("true")
			c.Direct = true
			test.change(c)
			pid, ok := c.direct()
			if ok != test.want {
				t.Errorf("started directly: %v, want %v", ok, test.want)
			}
			if ok {
				if status := wait(t, pid); status != 0 {
					t.Errorf("status %#x", status)
				}
			}
		})
	}
}

// The Go runtime raises its own limit of open files, which must not reach the program: select(2) may be all it knows.
func TestOpenFilesLimit(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := role("raised")
	c.Argv = []string{"sh", "-c", "ulimit -Sn 99; exec " + binary}
	if got := runs(t, c); got != "99\n99\n" {
		t.Errorf("the limits are %q", got)
	}
}

func playRaised() {
	var ours unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &ours); ours.Cur <= 99 {
		fmt.Println("not raised")
	}
	for _, direct := range ways {
		c := command("sh", "-c", "ulimit -Sn")
		c.Direct = direct
		pid, _, err := Start(c)
		if err != nil {
			fmt.Println("Start:", err)
		}
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// The caller's standard input is the terminal, of a session of its own.
func TestForeground(t *testing.T) {
	ptmx, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ptmx)
	if err := unix.IoctlSetPointerInt(ptmx, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(ptmx, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := unix.Open(fmt.Sprintf("/dev/pts/%d", number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(terminal)
	read, write := pipe(t)
	pid, err := syscall.ForkExec(self, []string{"leader"}, &syscall.ProcAttr{
		Env:   []string{"ROLE=leader"},
		Files: []uintptr{uintptr(terminal), uintptr(write), 2},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0},
	})
	unix.Close(write)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, pid)
	if want := strings.Repeat("background\nforeground\n", 2); string(got) != want {
		t.Errorf("the children said %q, want %q", got, want)
	}
}

func playLeader() {
	for _, direct := range []bool{true, false} {
		for _, foreground := range []bool{false, true} {
			c := role("terminal")
			c.Direct, c.Foreground = direct, foreground
			pid, outcome, err := Start(c)
			if err != nil {
				fmt.Println("Start:", err)
				continue
			}
			if err := outcome.Wait(); err != nil {
				fmt.Println(err)
			}
			syscall.Wait4(pid, nil, 0, nil)
		}
	}
}

func playTerminal() {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	switch {
	case err != nil:
		fmt.Println(err)
	case int32(group) == int32(syscall.Getpgrp()):
		fmt.Println("foreground")
	default:
		fmt.Println("background")
	}
}

func TestForegroundWithoutTerminal(t *testing.T) {
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		t.Skip("standard input is a terminal")
	}
	for _, direct := range ways {
		c := command("true")
		c.Foreground, c.Direct = true, direct
		runs(t, c)
	}
}

// O_NONBLOCK is a flag of the open file description: whoever clears it blocks the event loops of all who share it.
func TestStartLeavesFlagsAlone(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	for way, direct := range ways {
		c := command("true")
		c.Direct = direct
		c.Files = append(c.Files, uintptr(fds[0]))
		runs(t, c)
		flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: flags are %#o, %v", way, flags, err)
		}
	}
}

// A descriptor left open in the parent, or one goroutine, would end a long life.
func TestStartLeavesNothing(t *testing.T) {
	count := func() (files int) {
		for fd := range 1000 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
				files++
			}
		}
		return files
	}
	once := func() {
		for _, c := range []*Command{command("true"), command("/no/such")} {
			pid, outcome, err := Start(c)
			if err != nil {
				t.Fatal(err)
			}
			outcome.Wait()
			wait(t, pid)
		}
		if _, _, err := Start(command("true", strings.Repeat("x", 1<<20))); err == nil {
			t.Fatal("no error")
		}
	}
	once()
	before := count()
	for range 5 {
		once()
	}
	if after := count(); after > before { // what another test has left open may be closed by now
		t.Errorf("%d open files, %d before", after, before)
	}
}
