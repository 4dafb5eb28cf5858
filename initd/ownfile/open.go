package ownfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// always are the flags of every open(2). O_NONBLOCK is for a FIFO, which would wait for
// its other end, and O_NOCTTY for a terminal, which would become the one that
// controls initd.
const always = unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// Open opens the regular file at path, which is not a symbolic link. Links on the way
// are followed as in the description of this package. Errors are fs.PathErrors.
func Open(path string, flags int, mode fs.FileMode) (*os.File, error) {
	file, err := openAt(path, flags|unix.O_NOFOLLOW, mode, false)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a regular file")}
	}
	return file, nil
}

// Append opens a file for appending, and makes it if it does not exist. It may be a
// device or FIFO; it may be a symbolic link, which is followed as in the description
// of this package. Errors are fs.PathErrors.
func Append(path string) (*os.File, error) {
	return openAt(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT, 0o644, true)
}

// Follow opens a file or directory for reading. It may be a symbolic link, as for
// Append. Errors are fs.PathErrors.
func Follow(path string, flags int) (*os.File, error) {
	return openAt(path, unix.O_RDONLY|flags, 0, true)
}

func openAt(path string, flags int, mode fs.FileMode, follow bool) (file *os.File, err error) {
	err = in(path, follow, func(p place) error {
		if !p.magic {
			flags |= unix.O_NOFOLLOW
		}
		fd, err := open(p.dir, p.name, flags|always, mode)
		if err == unix.ELOOP {
			err = errLink
		}
		if err == nil {
			if err = p.check(fd); err != nil {
				unix.Close(fd)
			}
		}
		if err == nil {
			file = os.NewFile(uintptr(fd), path)
		}
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return file, nil
}

// open is openat(2).
func open(dir int, name string, flags int, mode fs.FileMode) (fd int, err error) {
	err = eintr.Retry(func() (err error) {
		fd, err = unix.Openat(dir, name, flags, uint32(mode.Perm()))
		return err
	})
	return fd, err
}

var errLink = errors.New("it is a symbolic link, which is not followed: use the path of the file itself")

// check returns an error for a regular file that has other names, if another user can
// have given it this one: it may be a file from elsewhere; link(2).
func (p place) check(fd int) error {
	var file, dir unix.Stat_t
	if err := unix.Fstat(fd, &file); err != nil {
		return err
	}
	if file.Mode&unix.S_IFMT != unix.S_IFREG || file.Nlink <= 1 {
		return nil
	}
	if err := unix.Fstat(p.dir, &dir); err != nil {
		return err
	}
	if !trusted(dir.Uid) && dir.Uid != file.Uid || dir.Mode&0o022 != 0 {
		return fmt.Errorf("it has %d hard links, in a directory that others can write to: it may be a file from elsewhere; remove the others, or use another directory", file.Nlink)
	}
	return nil
}

// trusted reports whether a user can make initd do anything anyway: root, and the one
// that initd runs as.
func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
