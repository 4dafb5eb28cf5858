package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// A directory is that of a unix socket, by a descriptor that is open from the start: a
// worker that may rename it cannot have the socket made elsewhere when it is made
// again, and its path may be longer than an address; unix(7).
type directory struct {
	fd   int
	name string // of the socket in it
	path string // of the socket, if nobody else can lead it elsewhere and it is an address; else empty
}

func openDirectory(path string) (d directory, err error) {
	if d.fd, d.name, _, err = ownfile.Directory(path); err != nil {
		return d, reason(err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil || len(absolute) > maxPath {
		return d, nil
	}
	if fd, _, exposed, err := ownfile.Directory(absolute); err == nil {
		if !exposed && same(d.fd, fd) {
			d.path = absolute
		}
		unix.Close(fd)
	}
	return d, nil
}

// reason is an error without its path, which leads through a descriptor, or is known.
func reason(err error) error {
	if failure := (*fs.PathError)(nil); errors.As(err, &failure) {
		return failure.Err
	}
	return err
}

func same(fd, other int) bool {
	a, err := ownfile.Held(fd)
	b, failed := ownfile.Held(other)
	return err == nil && failed == nil && a == b
}

// at is a path for system calls, by proc_pid_fd(5), that leads into the directory.
func (d directory) at(name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", d.fd, name) }

// bind binds a socket again, to the path if that is safe, so that getsockname(2) returns
// it. A name that is too long for an address with the descriptor is given afterwards.
func (d directory) bind(fd int) error {
	path := d.path
	if path == "" {
		path = d.at(d.name)
	}
	if len(path) <= maxPath {
		return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	short := d.at(fmt.Sprintf(".%d", os.Getpid()))
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: short}); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, short, d.fd, d.name, unix.RENAME_NOREPLACE)
	if err != nil {
		unix.Unlink(short)
	}
	return err
}

func (d directory) close() {
	if d.name != "" {
		unix.Close(d.fd)
	}
}
