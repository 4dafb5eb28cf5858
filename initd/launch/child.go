package launch

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/bindfilter"
	"server-starter/initd/entry"
)

// stage is the argv[0] by which this program knows itself to be the child side of a start. What follows is the number
// of the report's socket, the steps to take in their order, "--" and the program with its arguments.
var stage = entry.Stage

// oneProcessor is for the Go runtime of the stage, which has one thing to do and no use for more threads.
const oneProcessor = "GOMAXPROCS=1"

// steps are what the stage is to do before it executes the program, as words that take understands. The order matters:
// only the old user may be allowed to enter the directory and to change groups, a keyring counts against the quota of the
// user that makes it, and changing users clears the death signal.
func (c *Command) steps() (steps []string) {
	step := func(format string, values ...any) {
		steps = append(steps, fmt.Sprintf(format, values...))
	}
	if c.Dir != "" {
		step("chdir=%s", c.Dir)
	}
	if c.Umask >= 0 {
		step("umask=%d", c.Umask)
	}
	if id := c.Credential; id != nil {
		other := int(id.UID) != os.Geteuid()
		if other {
			step("session_keyring")
		}
		step("setgroups=%d", id.Groups) // in brackets
		step("setresgid=%d", id.GID)
		step("setresuid=%d", id.UID)
		if other {
			step("capabilities")
		}
	}
	if c.DeathSignal != 0 {
		step("pdeathsig=%d %d", c.DeathSignal, os.Getpid())
	}
	if c.NoNewPrivs || c.Binds != NoBinds {
		step("no_new_privs")
	}
	if c.ListenPID {
		step("listen_pid")
	}
	if c.Binds != NoBinds { // last, for all that follows is under the filter
		step("binds=%d %d", c.Binds, len(c.Files))
	}
	return steps
}

// The child side of Start is this package's init, which never returns in the stage and does nothing in any other program.
// In main it would come after the init of every package, and take a quarter longer. Credentials, the signal mask and
// no_new_privs are the thread's, and the thread that executes hands its own on: every init runs on the same one
// (runtime.LockOSThread, which is not needed then and would start another).
//
// A signal sent to the child before it executes the program acts on it as on any program that has just been started:
// Start blocks all, and what comes stays pending until the stage lets it in. A few the Go runtime lets nobody block. HUP,
// INT and TERM end the stage just as well; but a QUIT, ABRT or SYS in the time before it is reached, about a millisecond,
// ends it with a stack trace and status 2, and a PROF is lost.
func init() {
	if len(os.Args) == 0 || os.Args[0] != stage {
		return
	}
	end := slices.Index(os.Args, "--")
	if end < 2 {
		os.Exit(125) // not started by Start
	}
	report, _ := strconv.Atoi(os.Args[1])
	unix.CloseOnExec(report)
	resetSignals()
	environ := Reveal(slices.DeleteFunc(os.Environ(), IsTuning)) // those that are not hidden are the stage's own
	for _, step := range os.Args[2:end] {
		name, value, _ := strings.Cut(step, "=")
		if err := take(name, value, &environ); err != nil {
			f := failed(name, "", err)
			if name == "chdir" {
				f.Path = value
			}
			f.Hint = refused(name, f.Errno)
			f.exit(report)
		}
	}
	unix.PthreadSigmask(unix.SIG_SETMASK, &noSignal, nil)
	execute(os.Args[end+1:], environ).exit(report)
}

// take takes one step of the stage.
func take(name, value string, environ *[]string) error {
	if name == "chdir" {
		return syscall.Chdir(value)
	}
	var n []int
	for word := range strings.FieldsSeq(strings.Trim(value, "[]")) {
		i, err := strconv.Atoi(word)
		if err != nil {
			return syscall.EINVAL
		}
		n = append(n, i)
	}
	switch {
	case name == "setgroups":
		return setgroups(n)
	case name == "umask" && len(n) == 1:
		syscall.Umask(n[0])
	case name == "setresgid" && len(n) == 1:
		return setres(sysSetresgid, n[0])
	case name == "setresuid" && len(n) == 1:
		return setres(sysSetresuid, n[0])
	case name == "session_keyring":
		return leaveKeyring()
	case name == "capabilities":
		return dropCapabilities()
	case name == "pdeathsig" && len(n) == 2:
		// A parent that ended while there was no death signal has sent none.
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(n[0]), 0, 0, 0); err != nil {
			return err
		}
		if syscall.Getppid() != n[1] {
			return syscall.Kill(syscall.Getpid(), syscall.Signal(n[0]))
		}
	case name == "no_new_privs":
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	case name == "binds" && len(n) == 2:
		return supervise(Binds(n[0]), n[1])
	case name == "listen_pid":
		*environ = append(*environ, "LISTEN_PID="+strconv.Itoa(syscall.Getpid()))
	default:
		return syscall.EINVAL
	}
	return nil
}

// supervise puts the stage under the filter of package bindfilter and sends the descriptor on which its calls are
// answered by the report's socket.
func supervise(binds Binds, report int) error {
	fd, err := bindfilter.Install(binds == AllBinds)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return unix.Sendmsg(report, []byte{0}, unix.UnixRights(fd), nil, 0)
}

// setres sets the real, the effective and the saved id of this thread alone. The syscall package would have every thread
// do so and take a fifth of the stage's time for it, but execve(2) leaves no other thread.
func setres(call uintptr, id int) error {
	if _, _, errno := unix.RawSyscall(call, uintptr(id), uintptr(id), uintptr(id)); errno != 0 {
		return errno
	}
	return nil
}

// exit reports f and ends the stage.
func (f *Failure) exit(report int) {
	syscall.Write(report, f.report())
	os.Exit(f.ExitStatus())
}
