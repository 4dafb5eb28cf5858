// Package proc reads what the kernel tells of one process: its CPU time, its
// memory, its children and the sockets that it holds.
//
// Much of it is in proc(5), which is read here with one buffer and as few system
// calls as there can be, because a survey looks at each file of each worker
// twice a second. What a process may keep to itself, its files and the details
// of its memory, is for whoever may trace it (ptrace(2), PTRACE_MODE_READ_FSCREDS):
// who has the same user and group and no fewer capabilities, unless the process is
// not dumpable, or CAP_SYS_PTRACE. Root without that capability, as in a Docker
// container, has fewer rights to a worker of another user than that user, and
// looks as that user does; see asOwner.
//
// Errors are fs.PathErrors and satisfy errors.Is for fs.ErrPermission where it
// may not be read, for errors.ErrUnsupported where this kernel does not tell,
// and Gone where the process has ended.
package proc

import (
	"errors"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// A Reader reads /proc. It keeps its buffers from one call to the next; the zero
// value is ready for use, by one goroutine.
type Reader struct {
	text []byte // of a file
	list []byte // of a directory
}

// Gone reports whether err says that the process has ended: open(2) finds
// nothing any more, and a file that is open has no process (proc(5)).
func Gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// CPU is the time that all threads of a process have used, in user mode and in
// the kernel, those of threads that have ended included and those of children
// not. It is the process's CPU clock (clock_getcpuclockid(3)): exact where the
// fields of /proc/PID/stat count ticks, and one system call. Anyone may read it.
func CPU(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED of linux/posix-timers_types.h
	var used unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|sched), &used)
	if err == unix.EINVAL { // which it says of a pid that there is not
		err = unix.ESRCH
	}
	if err != nil {
		return 0, &fs.PathError{Op: "clock_gettime", Path: path(pid, ""), Err: err}
	}
	return time.Duration(used.Nano()), nil
}

func path(pid int, name string) string {
	p := "/proc/" + strconv.Itoa(pid)
	if name != "" {
		p += "/" + name
	}
	return p
}

// read returns a file whole, valid until the next read.
func (r *Reader) read(path string) ([]byte, error) {
	fd, err := open(path, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if r.text == nil {
		r.text = make([]byte, 1024)
	}
	for length := 0; ; {
		var n int
		err := eintr.Retry(func() (err error) {
			n, err = unix.Read(fd, r.text[length:])
			return err
		})
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return r.text[:length], nil
		}
		if length += n; length == len(r.text) {
			r.text = append(r.text, make([]byte, length)...)
		}
	}
}

// told turns the absence of a file of a process that is there into what it
// means: this kernel does not have it.
func told(pid int, err error) error {
	if errors.Is(err, unix.ENOENT) {
		if _, gone := CPU(pid); gone == nil {
			var path *fs.PathError
			errors.As(err, &path)
			return &fs.PathError{Op: path.Op, Path: path.Path, Err: errors.ErrUnsupported}
		}
	}
	return err
}

func open(path string, flags int) (int, error) {
	fd := -1
	err := eintr.Retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		return err
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
