package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"server-starter/initd/eintr"
	"server-starter/initd/output"

	"golang.org/x/sys/unix"
)

// ErrPID1 is for a process 1, which cannot go to the background.
var ErrPID1 = errors.New("PID 1 cannot run in the background: the container would end")

// exitFailed is the status of a parent whose initd goes on trying.
const exitFailed = 1

// Start starts initd again in a session of its own, which has no terminal and so
// gets none of a terminal's signals; setsid(2), daemon(7). A Go program cannot
// fork. It returns when the first generation is ready or has failed, or initd has
// ended before; the exit status is different for each. Signals that come by stop
// meanwhile are meant for initd and are passed on. An error means that nothing was
// started.
func Start(argv []string, stop <-chan os.Signal) (status int, err error) {
	if os.Getpid() == 1 {
		return 0, ErrPID1
	}
	keepFiles()
	pid, messages, err := fork(argv)
	if err != nil {
		return 0, err
	}
	var stopped atomic.Int32
	go func() {
		for s := range stop {
			stopped.Store(int32(s.(syscall.Signal)))
			syscall.Kill(pid, s.(syscall.Signal))
		}
	}()
	message, _ := io.ReadAll(messages)
	if text, is := bytes.CutPrefix(message, []byte(failed)); is {
		fmt.Fprintf(output.NewStream(2), "initd: %s; initd keeps trying as process %d\n", text, pid)
		return exitFailed, nil
	}
	if len(message) > 0 {
		return 0, nil
	}
	return ended(pid, &stopped), nil
}

// fork starts initd again, and returns the pipe by which the outcome of its first
// attempt comes.
func fork(argv []string) (pid int, messages *os.File, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, nil, fmt.Errorf("pipe: %w", err)
	}
	// Its number is one that no inherited listener has.
	unix.FcntlInt(uintptr(pipe[1]), unix.F_SETFD, 0)
	defer unix.Close(pipe[1])
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(null)
		pid, err = syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
			Env:   append(os.Environ(), fmt.Sprintf("%s=%d", Variable, pipe[1])),
			Files: []uintptr{uintptr(null), 1, 2},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			err = fmt.Errorf("fork/exec /proc/self/exe: %w", err)
		}
	} else {
		err = &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	if err != nil {
		unix.Close(pipe[0])
		return 0, nil, err
	}
	return pid, os.NewFile(uintptr(pipe[0]), "messages"), nil
}

// ended is the status of an initd that has ended before it was ready.
func ended(pid int, stopped *atomic.Int32) (status int) {
	var s unix.WaitStatus
	eintr.Retry(func() error { _, err := unix.Wait4(pid, &s, 0, nil); return err })
	switch signal := int(stopped.Load()); {
	case s.Signaled():
		return 128 + int(s.Signal())
	case s.ExitStatus() == 0 && signal != 0:
		return 128 + signal // 0 would mean that it is ready
	}
	return s.ExitStatus()
}

// keepFiles keeps what the parent was started with from the initd in the
// background, all but what may be handed on to workers: a caller who waits until
// nobody holds a pipe or a lock any more does not wait for a daemon.
func keepFiles() {
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
