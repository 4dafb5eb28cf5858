package initd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/machine"
	"server-starter/initd/signals"
)

// daemonize starts initd again in a session of its own, which has no terminal
// and so gets none of a terminal's signals; setsid(2), daemon(7). A Go program
// cannot fork. It returns when the first generation is ready or has failed, or
// initd has ended before, and its status says which.
func daemonize(argv []string) (status int) {
	if os.Getpid() == 1 {
		return fatal(exitSetup, settingError("daemonize", errors.New("PID 1 cannot go to the background: the container would end with it")))
	}
	keepSockets()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fatal(exitSetup, fmt.Errorf("pipe: %w", err))
	}
	// Its number is one that no inherited listener has.
	unix.FcntlInt(uintptr(pipe[1]), unix.F_SETFD, 0)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fatal(exitSetup, &os.PathError{Op: "open", Path: os.DevNull, Err: err})
	}
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env:   append(os.Environ(), fmt.Sprintf("%s=%d", parentVariable, pipe[1])),
		Files: []uintptr{uintptr(null), 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fatal(exitSetup, fmt.Errorf("fork/exec /proc/self/exe: %w", err))
	}
	unix.Close(pipe[1])
	// Whoever has no patience means initd, not its herald.
	var stopped atomic.Int32
	go func() {
		for s := range signals.Stop {
			stopped.Store(int32(s.(syscall.Signal)))
			syscall.Kill(pid, s.(syscall.Signal))
		}
	}()
	word, _ := io.ReadAll(os.NewFile(uintptr(pipe[0]), "report"))
	if text, failed := bytes.CutPrefix(word, []byte("failed")); failed {
		fmt.Fprintf(os.Stderr, "initd:%s; initd goes on trying as process %d\n", text, pid)
		return exitFailed
	}
	if len(word) > 0 {
		return 0
	}
	var ended syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &ended, 0, nil); err != syscall.EINTR {
			break
		}
	}
	switch {
	case ended.Signaled():
		return 128 + int(ended.Signal())
	case ended.ExitStatus() == 0 && stopped.Load() != 0:
		return 128 + int(stopped.Load()) // 0 would say that it is ready
	}
	return ended.ExitStatus()
}

// keepSockets keeps what initd was started with from the one in the background,
// all but what may be handed on to workers: a caller who waits until nobody
// holds a pipe or a lock any more does not wait for a daemon.
func keepSockets() {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		return // what a service manager hands down is chosen well
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, _ := strconv.Atoi(e.Name()); fd > 2 {
			if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
				unix.CloseOnExec(fd)
			}
		}
	}
}

// parentVariable tells initd on which descriptor its parent waits.
const parentVariable = "_INITD_PARENT"

// parent is who waits for initd to go to the background. A nil parent is none:
// initd stays where it is.
type parent struct {
	report int     // descriptor; -1: the parent has been told
	null   uintptr // descriptor of /dev/null, for reading and writing
	once   bool    // the first failed attempt is initd's end
	path   string  // a file for what the Go runtime says if it ends the program
}

// inherit finds the parent that waits, if there is one.
func inherit() *parent {
	value, ok := os.LookupEnv(parentVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(parentVariable)
	fd, err := strconv.Atoi(value)
	var stat unix.Stat_t
	if err != nil || unix.Fstat(fd, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil // somebody else's variable
	}
	if session, err := unix.Getsid(0); err != nil || session != os.Getpid() {
		return nil
	}
	// It was executed as /proc/self/exe, and pidof(8) is to find it by its name;
	// proc_pid_comm(5).
	os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	// What a service manager has handed down was for the parent, and is for the
	// one that takes its place; sd_listen_fds(3).
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getppid()) {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	return &parent{report: fd, null: 0}
}

// told passes on how the first attempt went.
func (p *parent) told(a machine.Transition) {
	switch {
	case p == nil, p.released():
	case a.State == machine.Serving:
		p.release("ready")
	case a.State == machine.Failed && !p.once:
		p.release(fmt.Sprintf("failed generation %d has failed: %s", a.Generation, a.Reason))
	}
}

// release lets the parent go, and with it what initd has of its terminal.
func (p *parent) release(word string) {
	syscall.Write(p.report, []byte(strings.TrimSpace(word)))
	unix.Close(p.report)
	p.report = -1
	unix.Dup3(int(p.null), 1, 0)
	unix.Dup3(int(p.null), 2, 0)
	if p.path != "" {
		if fd, err := unix.Open(p.path, unix.O_WRONLY|unix.O_APPEND|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
			unix.Dup3(fd, 2, 0)
			unix.Close(fd)
		}
	}
}

// released reports whether initd is in the background for good.
func (p *parent) released() bool { return p != nil && p.report < 0 }
