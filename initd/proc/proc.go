// Package proc reads what the kernel knows about a process: its CPU time, its memory,
// its family and the sockets that it has open.
//
// Most of it is in proc(5), which is read here with one buffer and as few system calls
// as possible, because a survey looks at each file of each worker twice a second. The
// files of a process and the details of its memory may be read by those who may trace
// it (ptrace(2), PTRACE_MODE_READ_FSCREDS): who has CAP_SYS_PTRACE, or the same user
// and group and no fewer capabilities, unless the process is not dumpable. Root
// without that capability, as in a Docker container, has fewer rights to a worker of
// another user than that user, and reads as that user; see AsOwner.
//
// Errors are fs.PathErrors and satisfy errors.Is for fs.ErrPermission if something may
// not be read, and for errors.ErrUnsupported if this kernel does not have it; they
// satisfy Gone if the process has ended.
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

// Gone reports whether err means that the process has ended: open(2) finds
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
	if err == unix.EINVAL { // for a pid that does not exist
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

// unsupported replaces the error that a process has no file of some name, if the
// process exists: then this kernel does not have such files.
func unsupported(pid int, err error) error {
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
