// Package ownfile makes files in directories that others can write to, as /tmp is
// one, and removes them again without touching anybody else's.
//
// A program that runs as root and opens a known name there can be led anywhere by a
// symbolic link, kept waiting by a FIFO, or made to remove what has been put in its
// file's place. So a file is made under a temporary name and renamed ([Create],
// [Temporary.Rename]), what is replaced is looked at first ([Check]), and what is
// removed is recognised by its device and inode ([ID]).
package ownfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Temporary is a file that is not in its place yet. Whoever finds it under its
// path finds it whole.
type Temporary struct {
	FD   int // open for reading and writing, close-on-exec; the caller's to close
	name string
	path string
}

// Create makes an empty file beside path, as path.PID, with mode less the umask. A
// regular file of that name is replaced: another process of the same number has
// left it there, and in a container every initd is process 1. Anything else of that
// name is left alone and is an error, as is a symbolic link. Errors are
// fs.PathErrors.
func Create(path string, mode fs.FileMode) (*Temporary, error) {
	name := path + "." + strconv.Itoa(os.Getpid())
	if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
		os.Remove(name)
	}
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open(name, flags, uint32(mode.Perm()))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Temporary{FD: fd, name: name, path: path}, nil
}

// Name is the temporary name.
func (t *Temporary) Name() string { return t.name }

// Rename puts the file in its place, in one step: who opens the path finds what was
// there before, or this file.
func (t *Temporary) Rename() error { return os.Rename(t.name, t.path) }

// Remove removes a file that is not to be put in its place.
func (t *Temporary) Remove() { os.Remove(t.name) }

// Check reports why what is at path must not be replaced, as an fs.PathError: it is
// not a regular file, or recognise, which is given its content, returns false: it is
// another program's. What is the name of what was expected, as "status file".
// Nothing is changed. It is no error if there is nothing.
func Check(path, what string, recognise func(io.Reader) bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing is there, or making the file will fail for the same reason
	}
	foreign := &fs.PathError{Op: "replace", Path: path, Err: errors.New("it exists and is not a " + what + "; move it away or use another path")}
	if !info.Mode().IsRegular() {
		return foreign // opening a device may have effects
	}
	// The last two are for what has been put in its place since.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if now, err := file.Stat(); err != nil || !os.SameFile(now, info) || !recognise(file) {
		return foreign
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
	return unix.Lstat(path, &st) == nil && i.is(&st)
}

// Behind reports whether path is that file or a symbolic link to it.
func (i ID) Behind(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && i.is(&st)
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
	if !i.At(path) {
		return nil
	}
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}
