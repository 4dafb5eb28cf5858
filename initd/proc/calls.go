package proc

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// Calls calls visit with the line of /proc/PID/task/TID/syscall of each thread of a
// process (proc_pid_syscall(5)), valid until it returns. Where the kernel has no such
// file (CONFIG_HAVE_ARCH_TRACEHOOK), the error satisfies errors.Is for
// errors.ErrUnsupported.
func (r *Reader) Calls(pid int, visit func(line []byte)) error {
	threads := path(pid, "task")
	return r.entries(threads, func(_ int, name *byte) error {
		thread := unix.BytePtrToString(name)
		line, err := r.read(threads + "/" + thread + "/syscall")
		if thread == strconv.Itoa(pid) {
			err = unsupported(pid, err)
		}
		if Gone(err) {
			return nil
		}
		if err == nil {
			visit(line)
		}
		return err
	})
}

// Link is what a descriptor of a process refers to: socket:[N], anon_inode:[eventpoll],
// or a path (proc_pid_fd(5)).
func (r *Reader) Link(pid, fd int) (string, error) {
	return os.Readlink(path(pid, "fd/"+strconv.Itoa(fd)))
}

// Links calls visit with what each descriptor of a process refers to.
func (r *Reader) Links(pid int, visit func(link string)) error {
	return r.entries(path(pid, "fd"), func(_ int, name *byte) error {
		link, err := os.Readlink(path(pid, "fd/"+unix.BytePtrToString(name)))
		if errors.Is(err, fs.ErrNotExist) { // closed meanwhile
			return nil
		}
		if err == nil {
			visit(link)
		}
		return err
	})
}

// FDInfo reads /proc/PID/fdinfo/FD (proc_pid_fdinfo(5)), valid until the next read.
func (r *Reader) FDInfo(pid, fd int) ([]byte, error) {
	return r.read(path(pid, "fdinfo/"+strconv.Itoa(fd)))
}

// ReadAt fills a buffer from the memory of a process (proc_pid_mem(5)), and returns how
// much of it it could.
func (r *Reader) ReadAt(pid int, buffer []byte, address uint64) (n int, err error) {
	fd, err := open(path(pid, "mem"), 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	err = eintr.Retry(func() (err error) {
		n, err = unix.Pread(fd, buffer, int64(address))
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "read", Path: path(pid, "mem"), Err: err}
	}
	return n, nil
}
