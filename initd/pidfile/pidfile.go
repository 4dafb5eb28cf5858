// Package pidfile keeps the file by which an initd is found: the lock because of which
// there is only one, and what somebody has to know who waits for a swap.
//
// The file contains the pid and a newline, nothing else. It is locked as
// start_server locks it, flock(2), for as long as initd lives. Record locks, fcntl(2),
// have more for those who ask for them with F_GETLK: the number of the last attempt,
// that of the last attempt that failed and is not repeated, and initd's pid in the
// caller's pid namespace; see [region]. All locks end with the process, however it
// ends, so that another process that has got the pid since cannot be mistaken for it.
//
// Any user who can read the file can take a flock(2), or a record lock for reading.
// Neither counts: the process must be one of the file's owner or root, or have a record
// lock for writing. A file that another user owns, or has locked, is replaced.
package pidfile

import (
	"os"
	"strconv"
	"sync"

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
// and the file is not changed; nor is a file that has no pid. Start starts a goroutine.
func Lock(path string, start func(func())) (*File, error) {
	f, err := lock(path)
	if err == nil {
		f.next = make(chan record, 1)
		start(f.run)
	}
	return f, err
}

func lock(path string) (*File, error) {
	for {
		f, err := acquire(path, 0o644)
		if err == nil {
			if err = f.write(); err != nil {
				return nil, err
			}
			return f, nil
		}
		if err != errNobody {
			return nil, err
		}
		if f, err = f.replace(); f != nil || err != nil {
			return f, err
		}
	}
}

// write writes the pid, or removes and closes the file.
func (f *File) write() error {
	text := strconv.Itoa(os.Getpid()) + "\n"
	_, err := f.file.WriteAt([]byte(text), 0)
	if err == nil {
		err = f.file.Truncate(int64(len(text))) // only now: it is never empty while it is ours
	}
	if err != nil {
		f.remove() // it would be empty, or have another pid
		f.file.Close()
	}
	return err
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
		attempts.advance(f.file, r.attempt)
		givenUp.advance(f.file, r.givenUp)
		for _, published := range r.published {
			close(published)
		}
	}
}

// Remove removes the file, if it is still this one. The locks stay until the
// process ends: until then it can be found by them. It comes last, may block, and may
// be called again.
func (f *File) Remove() error {
	f.removing.Do(func() { close(f.next) })
	return f.remove()
}

func (f *File) remove() error { return f.id.Remove(f.path) }

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
