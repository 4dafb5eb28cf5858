// Package ownfile makes files in directories that others can write to, as /tmp is
// one, and removes them again without touching anybody else's.
//
// A program that runs as root and opens a known name there can be led anywhere by a
// symbolic link, kept waiting by a FIFO, or made to remove what has been put in its
// file's place. So a file is made under a temporary name and renamed ([Create],
// [Temporary.Rename]), what is replaced is looked at first ([Check]), and what is
// removed is recognised by its device and inode ([ID]).
//
// Symbolic links on the way to a file are followed if they belong to root or to the
// user that initd runs as. The link of another user is followed only to a directory of
// that user, who can put any file there without it. So nobody can lead initd to a file
// that they may not change themselves. The directories are opened one by one for that,
// and the file by its name in the last: what is renamed meanwhile leads nowhere else.
package ownfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// A Temporary is a file that is not in its place yet. Whoever finds it under its
// path finds it whole.
//
// Its directory is open until it is renamed or removed.
type Temporary struct {
	FD    int // open for reading and writing, close-on-exec; the caller's to close
	path  string
	place place
}

// Create makes an empty file beside path, as path.PID, with mode less the umask. A
// regular file of that name is replaced: another process of the same number has
// left it there, and in a container every initd is process 1. Anything else of that
// name is left alone and is an error, as is a symbolic link. Errors are
// fs.PathErrors.
func Create(path string, mode fs.FileMode) (*Temporary, error) {
	t := &Temporary{path: path}
	var err error
	if t.place, err = locate(path, false); err == nil {
		if err = t.create(mode); err != nil {
			unix.Close(t.place.dir)
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: t.Name(), Err: err}
	}
	return t, nil
}

func (t *Temporary) create(mode fs.FileMode) (err error) {
	dir, name := t.place.dir, t.place.name+suffix()
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		unix.Unlinkat(dir, name, 0)
	}
	t.FD, err = open(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	return err
}

// suffix is what the temporary name has in addition.
func suffix() string { return "." + strconv.Itoa(os.Getpid()) }

// Name is the temporary name.
func (t *Temporary) Name() string { return t.path + suffix() }

// Rename puts the file in its place, in one step: who opens the path finds what was
// there before, or this file. After an error it is still to be removed.
func (t *Temporary) Rename() error {
	dir, name := t.place.dir, t.place.name
	if err := eintr.Retry(func() error { return unix.Renameat(dir, name+suffix(), dir, name) }); err != nil {
		return &os.LinkError{Op: "rename", Old: t.Name(), New: t.path, Err: err}
	}
	unix.Close(dir)
	return nil
}

// Remove removes a file that is not to be put in its place.
func (t *Temporary) Remove() {
	unix.Unlinkat(t.place.dir, t.place.name+suffix(), 0)
	unix.Close(t.place.dir)
}

// Check reports why what is at path must not be replaced, as an fs.PathError: it is
// not a regular file, or recognise, which is given its content, returns false: it is
// another program's. What is the name of what was expected, as "status file".
// Nothing is changed. It is no error if there is nothing.
func Check(path, what string, recognise func(io.Reader) bool) error {
	var before unix.Stat_t
	if err := stat(path, &before); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // or making the file will fail for the same reason
		}
		return err
	}
	foreign := &fs.PathError{Op: "replace", Path: path, Err: errors.New("it exists and is not a " + what + "; move it away or use another path")}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return foreign // opening a device may have effects
	}
	file, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	// It may have been put in the place of the other.
	var now unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &now); err != nil || id(&now) != id(&before) || !recognise(file) {
		return foreign
	}
	return nil
}

// stat is lstat(2) of what path leads to. The error is an fs.PathError.
func stat(path string, st *unix.Stat_t) error {
	err := in(path, false, func(p place) error {
		return eintr.Retry(func() error { return unix.Fstatat(p.dir, p.name, st, unix.AT_SYMLINK_NOFOLLOW) })
	})
	if err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return nil
}

// An ID identifies a file. The zero ID is that of no file.
type ID struct {
	device, inode uint64
	modified      unix.Timespec // zero if it does not count
}

// Held identifies an open file that stays open for as long as the ID is used: until
// then its inode number cannot become another file's.
func Held(fd int) (ID, error) {
	id, err := Closed(fd)
	id.modified = unix.Timespec{}
	return id, err
}

// Closed identifies an open file that will be closed, and not be written to any
// more. Its inode number may then become another file's, so that the time of its
// last modification counts as well.
func Closed(fd int) (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, os.NewSyscallError("fstat", err)
	}
	return id(&st), nil
}

func id(st *unix.Stat_t) ID { return ID{uint64(st.Dev), st.Ino, st.Mtim} }

// At reports whether path is that file, and no symbolic link to it.
func (i ID) At(path string) bool {
	var st unix.Stat_t
	return stat(path, &st) == nil && i.is(&st)
}

func (i ID) is(st *unix.Stat_t) bool {
	other := id(st)
	if i.modified == (unix.Timespec{}) {
		other.modified = i.modified
	}
	return i != (ID{}) && i == other
}

// Remove removes path if it still is that file. The error is an fs.PathError.
func (i ID) Remove(path string) error {
	if i == (ID{}) {
		return nil
	}
	return remove(path, i.is)
}

// Rename puts a file in the place of another in the same directory, in one step. The
// error is an fs.PathError.
func Rename(path, to string) error {
	err := in(to, false, func(p place) error {
		return eintr.Retry(func() error { return unix.Renameat(p.dir, filepath.Base(path), p.dir, p.name) })
	})
	if err != nil {
		return &fs.PathError{Op: "rename", Path: path, Err: err}
	}
	return nil
}

// Remove removes what is at path, if that is a regular file. The error is an
// fs.PathError; it is none if nothing is there.
func Remove(path string) error {
	return remove(path, func(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG })
}

func remove(path string, is func(*unix.Stat_t) bool) error {
	err := in(path, false, func(p place) error {
		var st unix.Stat_t
		if unix.Fstatat(p.dir, p.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || !is(&st) {
			return nil
		}
		return unix.Unlinkat(p.dir, p.name, 0)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}
