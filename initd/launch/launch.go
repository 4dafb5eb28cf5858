// Package launch starts programs: with exactly the files, the environment and the clean signal state that they are
// meant to have, and with a reason if one cannot be executed.
//
// A program is started through a stage. Start executes this same binary again, with the name stage as its argv[0], and
// there this package's init does what no parent can do for its child (LISTEN_PID is the child's own pid,
// sd_listen_fds(3)) and what syscall.SysProcAttr does not know (umask, no_new_privs, signals inherited as ignored, a search
// of PATH with the rights of the program's user). So a program that imports the package is its own stage, and another
// package whose init does what only a real start needs has to import it, too, to come after it. The stage goes by
// /proc/self/exe, so that a file replaced on disk cannot skew versions. It takes a Go program's start, most of a
// millisecond; where nothing needs it, Command.Direct does without.
//
// Files are raw descriptors and stay so: os.File and os/exec would clear O_NONBLOCK, which is a flag of the open file
// description that a socket's other holders share (open(2)).
package launch

import (
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/processes"
)

// Processes is how many processes and threads a start needs: the stage, and the threads that the Go runtime starts in it.
const Processes = 4

// self is this very program, even if its file was replaced or removed: proc_pid_exe(5).
const self = "/proc/self/exe"

// A Command is what to start, and how.
type Command struct {
	// Argv is the program and its arguments. A program without a slash is looked for in the PATH of Environ.
	Argv []string
	// Environ is the whole environment, K=V each, without LISTEN_PID.
	Environ []string
	// Files are the open files: the index is the child's number, the value ours, ^uintptr(0) a hole. The child gets no
	// other, provided that all of ours are close-on-exec. The first three must be there, as the Go runtime opens
	// /dev/null where one of them is missing.
	Files []uintptr

	Dir         string         // working directory; "": ours
	Umask       int            // file mode creation mask; -1: ours
	Credential  *Credential    // user and groups; nil: ours
	DeathSignal syscall.Signal // sent to the child when the thread that started it ends; 0: none
	NoNewPrivs  bool           // set the no_new_privs attribute, prctl(2)
	ListenPID   bool           // add LISTEN_PID, the child's own pid, to its environment
	Binds       Binds          // which of its calls are to be answered by Outcome.Binds; it sets NoNewPrivs, too

	// Foreground makes the child's process group the foreground group of the terminal on our descriptor Terminal. It
	// has no effect if that is not our controlling terminal.
	Foreground bool
	Terminal   int

	// Direct executes the program without the stage if nothing above needs one, which saves some milliseconds. The
	// caller then waits for execve(2), on a dead file server for ever: it is for a caller that has nothing else to do.
	Direct bool
}

// Binds is whether a child's bind(2) is to be answered by its parent: package bindfilter.
type Binds int

const (
	NoBinds   Binds = iota
	OnlyBinds       // and listen(2)
	AllBinds        // and unlink(2), for there are Unix sockets
)

// Start starts c in a process group of its own, with no signal blocked and none ignored.
//
// The caller must be locked to its thread, runtime.LockOSThread, as c.DeathSignal is sent when that thread ends, not the
// process (prctl(2)); and it must be the one who waits for children.
//
// If err is nil there is a child, pid, to be waited for, and outcome is to be waited for, too; it is nil where the
// program was executed already. If the program could not be executed the child exits with the Failure's ExitStatus. A
// child that ends before it could execute anything has no Failure: only its exit shows it. That happens when it is
// killed, and when a limit of processes (pids.max, RLIMIT_NPROC) is reached while the stage starts its threads: then it
// exits with 2, and the Go runtime's message is on its standard error.
//
// An err is a *Failure, too, and means that there is no child: the fork failed (EAGAIN, ENOMEM, EMFILE …), a limit leaves
// fewer than Processes (EAGAIN), or arguments and environment are too large (E2BIG).
func Start(c *Command) (pid int, outcome *Outcome, err error) {
	if pid, ok := c.direct(); ok {
		return pid, nil, nil
	}
	return c.staged()
}

// staged starts c through the stage. The report comes over a pair of sockets whose end of file, when execve(2) closes the
// stage's end, means success. The program may be on a file system that hangs: so the runtime's poller waits for it. Each
// send(2) is a message of its own, so that one that brings a descriptor cannot be taken for part of a report.
func (c *Command) staged() (int, *Outcome, error) {
	if err := processes.Check(Processes); err != nil {
		return 0, nil, &Failure{Stage: "fork/exec", Path: self, Errno: syscall.EAGAIN, Hint: err.Error()}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, failed("socketpair", "", err)
	}
	defer unix.Close(pair[1])
	report := len(c.Files) // above all the files that the program is to have
	argv := slices.Concat([]string{stage, strconv.Itoa(report)}, c.steps(), []string{"--"}, c.Argv)
	pid, err := c.fork(self, argv, &everySignal, &syscall.ProcAttr{
		Env:   append(Hide(c.Environ), oneProcessor),
		Files: slices.Concat(c.Files, []uintptr{uintptr(pair[1])}),
	})
	if err != nil {
		unix.Close(pair[0])
		if err == syscall.E2BIG {
			return 0, nil, failed("exec", program(c.Argv), err)
		}
		return 0, nil, failed("fork/exec", self, err)
	}
	return pid, newOutcome(pair[0]), nil
}

// direct starts c without the stage, if the caller wants that and it makes no difference. It reports no failure: c is
// then started through the stage after all, which finds out why.
func (c *Command) direct() (pid int, ok bool) {
	if !c.Direct || c.Umask >= 0 || c.Credential != nil || c.NoNewPrivs || c.ListenPID || c.Binds != NoBinds || ignoring() {
		return 0, false
	}
	path, ok := find(c.Argv, c.Environ, c.Dir)
	if !ok {
		return 0, false
	}
	pid, err := c.fork(path, c.Argv, &noSignal, &syscall.ProcAttr{Dir: c.Dir, Env: c.Environ, Files: c.Files})
	return pid, err == nil
}

// fork executes path in a child which begins with mask for its signal mask. Handlers are reset by execve(2).
func (c *Command) fork(path string, argv []string, mask *unix.Sigset_t, attr *syscall.ProcAttr) (pid int, err error) {
	attr.Sys = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: c.DeathSignal}
	if c.Foreground {
		_, err := unix.IoctlGetInt(c.Terminal, unix.TIOCGPGRP)
		attr.Sys.Foreground, attr.Sys.Ctty = err == nil, c.Terminal
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ours unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, mask, &ours); err != nil {
		return 0, err
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &ours, nil)
	return syscall.ForkExec(path, argv, attr)
}
