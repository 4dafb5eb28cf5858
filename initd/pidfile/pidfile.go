// Package pidfile keeps the file by which an initd is found: the lock because of which
// there is only one, and what somebody has to know who waits for a swap.
//
// The file contains the pid and a newline, nothing else. It is locked as
// start_server locks it, flock(2), for as long as initd lives. A record lock,
// fcntl(2), has more for those who ask for it with F_GETLK: l_pid is initd's pid in
// the caller's pid namespace, l_start the number of the last attempt that failed and
// is not repeated, and l_start + l_len - 1 that of the last attempt. Both locks
// end with the process, however it ends, so that another process that has got the pid
// since cannot be mistaken for it.
package pidfile

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// File is a pid file that this process holds.
type File struct {
	path string
	file *os.File
	id   ownfile.ID
}

// Lock locks the file at path, which may be left from a process that has ended, or
// makes it, and writes the pid. If another process holds it, the error is which one,
// and the file is not changed.
func Lock(path string) (*File, error) {
	for {
		file, err := ownfile.Open(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		id, err := lock(file)
		if err != nil {
			file.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		// Its holder may have removed it after it was opened and before it was locked.
		if id.At(path) {
			return write(&File{path, file, id})
		}
		file.Close()
	}
}

func lock(file *os.File) (id ownfile.ID, err error) {
	err = control(file, func(fd int) (err error) {
		if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err == nil {
			id, err = ownfile.Held(fd)
		}
		return err
	})
	if err == unix.EWOULDBLOCK {
		if pid, err := read(file); err == nil {
			return id, fmt.Errorf("process %d holds it: another instance is running", pid)
		}
		return id, errors.New("another process holds it: another instance is running")
	}
	return id, err
}

func write(f *File) (*File, error) {
	text := strconv.Itoa(os.Getpid()) + "\n"
	_, err := f.file.WriteAt([]byte(text), 0)
	if err == nil {
		err = f.file.Truncate(int64(len(text))) // only now: it is never empty while it is ours
	}
	if err != nil {
		f.Remove() // it would be empty, or have another pid
		f.file.Close()
		return nil, err
	}
	f.Publish(0, 0)
	return f, nil
}

// Publish publishes the number of the last attempt, and that of the last one that was
// given up. Neither may be less than before. On a file system without record locks it
// does nothing.
func (f *File) Publish(attempt, givenUp int) {
	// Adjacent locks of one process become one, fcntl(2): there is always a lock.
	f.record(unix.F_WRLCK, int64(givenUp), int64(attempt-givenUp+1))
	if givenUp > 0 {
		f.record(unix.F_UNLCK, 0, int64(givenUp))
	}
}

func (f *File) record(kind int16, start, length int64) {
	control(f.file, func(fd int) error {
		return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: kind, Start: start, Len: length})
	})
}

// Remove removes the file, if it is still this one. The locks stay until the
// process ends: until then it can be found by them.
func (f *File) Remove() error { return f.id.Remove(f.path) }

// control calls f with a file's descriptor, and does not make it blocking as
// File.Fd would.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return err
	}
	return result
}
