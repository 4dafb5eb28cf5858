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
	"sync"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// File is a pid file that this process holds. A goroutine of its own publishes
// attempts, for a file system may hang.
type File struct {
	path string
	file *os.File
	id   ownfile.ID
	next chan record // to be published; only the latest counts

	removing sync.Once
}

// record is what Publish was given.
type record struct {
	attempt, givenUp int
	published        []chan struct{} // to be closed when it is
}

// Lock locks the file at path, which may be left from a process that has ended, or
// makes it, and writes the pid. If another process holds it, the error is which one,
// and the file is not changed. Start starts a goroutine.
func Lock(path string, start func(func())) (*File, error) {
	for {
		// O_NONBLOCK is for a FIFO, which would wait for a reader.
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
		if err != nil {
			return nil, err
		}
		id, err := lock(file)
		if err != nil {
			file.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		// Its holder may have removed it after it was opened and before it was locked.
		if id.Behind(path) {
			f, err := write(&File{path: path, file: file, id: id, next: make(chan record, 1)})
			if err == nil {
				start(f.run)
			}
			return f, err
		}
		file.Close()
	}
}

func lock(file *os.File) (id ownfile.ID, err error) {
	info, err := file.Stat()
	if err != nil {
		return id, err
	}
	if !info.Mode().IsRegular() {
		return id, errors.New("it is not a regular file")
	}
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
		f.remove() // it would be empty, or have another pid
		f.file.Close()
		return nil, err
	}
	f.publish(record{})
	return f, nil
}

// Publish publishes the number of the last attempt, and that of the last one that was
// given up. Neither may be less than before. It never blocks; the channel is closed
// when they are published, or later ones. On a file system without record locks
// nothing is. It is for one goroutine.
func (f *File) Publish(attempt, givenUp int) <-chan struct{} {
	published := make(chan struct{})
	r := record{attempt, givenUp, []chan struct{}{published}}
	select {
	case earlier := <-f.next:
		r.published = append(r.published, earlier.published...)
	default:
	}
	f.next <- r
	return published
}

func (f *File) run() {
	for r := range f.next {
		f.publish(r)
		for _, published := range r.published {
			close(published)
		}
	}
}

func (f *File) publish(r record) {
	// Adjacent locks of one process become one, fcntl(2): there is always a lock.
	f.lock(unix.F_WRLCK, int64(r.givenUp), int64(r.attempt-r.givenUp+1))
	if r.givenUp > 0 {
		f.lock(unix.F_UNLCK, 0, int64(r.givenUp))
	}
}

func (f *File) lock(kind int16, start, length int64) {
	control(f.file, func(fd int) error {
		return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: kind, Start: start, Len: length})
	})
}

// Remove removes the file, if it is still this one. The locks stay until the
// process ends: until then it can be found by them. It comes last, may block, and may
// be called again.
func (f *File) Remove() error {
	f.removing.Do(func() { close(f.next) })
	return f.remove()
}

func (f *File) remove() error {
	if !f.id.Behind(f.path) { // which may be a link: Lock follows one
		return nil
	}
	return os.Remove(f.path)
}

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
