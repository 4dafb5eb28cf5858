package terminal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is its own initd and its own command. initd is the leader of a
// session whose terminal is the test's, and writes to stderr, a pipe, what is not
// as it should be.
const role = "TERMINAL_TEST_ROLE"

var roles = map[string]func(){
	"command": func() {
		for {
			unix.Pause()
		}
	},
	"give":     give,
	"suspend":  suspend,
	"follow":   follow,
	"nowhere":  nowhere,
	"detached": detached,
}

func TestMain(m *testing.M) {
	play := roles[os.Getenv(role)]
	os.Unsetenv(role) // of two in an environment the first counts
	if play != nil {
		runtime.LockOSThread() // with it the death signal of commands would come
		play()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// check complains if a condition does not hold.
func check(what string, ok bool) {
	if !ok {
		fmt.Fprintln(os.Stderr, "not so: "+what)
	}
}

// command starts a process in a group of its own, and returns it.
func command() (pid int) {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"command"}, &syscall.ProcAttr{
		Env: append(os.Environ(), role+"=command"), Files: []uintptr{0, 2, 2},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		panic(err)
	}
	return pid
}

func has(group int) bool {
	got, err := foreground(0)
	return err == nil && got == group
}

// give: the foreground goes to the command and comes back.
func give() {
	t := Open()
	check("there is a terminal", t != nil)
	check("it is initd's", t.IsForeground() && !Background())
	t.Restore()
	check("it is still initd's", t.IsForeground())
	first, second := command(), command()
	t.SetCommand(first)
	t.SetForeground(first)
	check("it is the command's", has(first) && !t.IsForeground() && Background())
	t.SetForeground(second)
	check("in the background initd gives nothing away", has(first))
	t.Restore()
	check("it is initd's again", t.IsForeground() && !Background())
	t.SetForeground(second)
	t.Restore()
	check("another job keeps it", has(second))
}

// suspend: a command that was stopped for not being in the foreground goes on there.
func suspend() {
	t, pid := Open(), command()
	var status syscall.WaitStatus
	syscall.Kill(pid, syscall.SIGSTOP)
	syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
	check("the command was stopped", status.Stopped())
	t.Suspend(pid)
	check("the command has the foreground", has(pid))
	syscall.Wait4(pid, &status, unix.WCONTINUED, nil)
	check("the command was continued", status.Continued())
}

// follow: one that was suspended in the foreground takes initd along.
func follow() {
	t, pid := Open(), command()
	t.SetForeground(pid)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	t.Suspend(pid)
	<-continued // the signal may stop another thread first
	check("the command has the foreground", has(pid))
}

// nowhere: without a terminal nothing happens.
func nowhere() {
	t := Open()
	check("there is no terminal", t == nil)
	check("nothing is in the foreground", !t.IsForeground())
	check("nothing is in the background", !Background())
	pid := command()
	t.SetCommand(pid)
	t.SetForeground(pid)
	t.Suspend(pid)
	t.Restore()
}

// detached: a terminal on stdin that does not control initd is none.
func detached() {
	check("no terminal controls initd", Open() == nil && !Background())
}

// pty returns both ends of a pseudo-terminal; pty(7).
func pty(t *testing.T) (person, line *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		t.Skip("needs /dev/ptmx")
	}
	if err != nil {
		t.Fatalf("open /dev/ptmx: %v", err)
	}
	person = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { person.Close() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatalf("/dev/ptmx: %v", err)
	}
	line, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	return person, line
}

// initd is the test binary in a role, not started yet, with stdin from a file.
func initd(t *testing.T, as string, stdin *os.File, how *syscall.SysProcAttr) (c *exec.Cmd, complaints *strings.Builder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c, complaints = exec.CommandContext(ctx, "/proc/self/exe"), new(strings.Builder)
	c.Env = append(os.Environ(), role+"="+as, "GORACE=atexit_sleep_ms=0")
	c.Stdin, c.Stderr, c.SysProcAttr = stdin, complaints, how
	return c, complaints
}

func TestTerminal(t *testing.T) {
	controlling := &syscall.SysProcAttr{Setsid: true, Setctty: true}
	for _, test := range []struct {
		role string
		how  *syscall.SysProcAttr
	}{
		{"give", controlling},
		{"suspend", controlling},
		{"detached", &syscall.SysProcAttr{Setsid: true}},
	} {
		t.Run(test.role, func(t *testing.T) {
			_, line := pty(t)
			c, complaints := initd(t, test.role, line, test.how)
			if err := c.Run(); err != nil || complaints.Len() > 0 {
				t.Errorf("%v\n%s", err, complaints)
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	c, complaints := initd(t, "nowhere", nil, nil)
	if err := c.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("%v\n%s", err, complaints)
	}
}

// A shell that waits for initd sees it stop with its command.
func TestFollow(t *testing.T) {
	_, line := pty(t)
	c, complaints := initd(t, "follow", line, &syscall.SysProcAttr{Setsid: true, Setctty: true})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	stop := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
	err := unix.Waitid(unix.P_PID, c.Process.Pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
	stop.Stop()
	const stopped = 5 // CLD_STOPPED
	if err != nil || info.Code != stopped {
		t.Errorf("initd was not stopped: code %d, %v", info.Code, err)
	}
	c.Process.Signal(syscall.SIGCONT)
	if err := c.Wait(); err != nil || complaints.Len() > 0 {
		t.Errorf("%v\n%s", err, complaints)
	}
}
