package output

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// File is a pipe whose other end is a file. All that is done to the file is done
// by one goroutine, for a file system, or who reads a FIFO, may hang.
type File struct {
	*Pipe
	path   string
	tell   func(error) // what cannot be written, the first time in a row; nil: it can be again
	source *os.File    // the pipe's read end
	done   chan struct{}

	again   atomic.Pointer[func(error)] // the file is to be opened anew, and what to call then
	closing atomic.Bool                 // what is in the pipe is all there will be

	// The goroutine's own.
	file *os.File
	lost int // bytes in a row
}

// OpenFile opens the file at path for appending, and makes it where it is not
// there. Tell is called by another goroutine.
func OpenFile(path string, uid int, tell func(error)) (*File, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	pipe, err := NewPipe(uid)
	if err != nil {
		file.Close()
		return nil, err
	}
	// The read end is no other process's, so its flags are nobody else's affair.
	unix.SetNonblock(pipe.Read, true)
	f := &File{Pipe: pipe, path: path, tell: tell, source: os.NewFile(uintptr(pipe.Read), "log"), done: make(chan struct{}), file: file}
	go f.run()
	return f, nil
}

// open does not wait for who reads a FIFO, and makes no terminal initd's own.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOCTTY|unix.O_NONBLOCK, 0o644)
}

// Reopen has the file opened anew, for it may have been renamed: what is
// written to the pipe from now on goes there. Where that fails the old one
// stays. Told is called with the outcome, by another goroutine.
func (f *File) Reopen(told func(error)) {
	f.again.Store(&told)
	f.source.SetReadDeadline(time.Now()) // wakes it
}

func (f *File) reopen() {
	told := f.again.Swap(nil)
	if told == nil {
		return
	}
	file, err := open(f.path)
	if err == nil {
		f.file.Close()
		f.file = file
	}
	(*told)(err)
}

func (f *File) run() {
	defer close(f.done)
	buffer := make([]byte, size)
	for {
		n, err := f.source.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			f.source.SetReadDeadline(time.Time{}) // before it is asked what for
		}
		f.reopen()
		f.write(buffer[:n])
		switch {
		case f.closing.Load():
			f.Rest(f.write)
			f.source.Close()
			f.file.Close()
			return
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}
	}
}

// write drops what the file does not take.
func (f *File) write(text []byte) {
	if len(text) == 0 {
		return
	}
	length := len(text)
	if f.lost > 0 {
		text = append(fmt.Appendf(nil, "initd: %d bytes are missing here, which could not be written\n", f.lost), text...)
	}
	_, err := f.file.Write(text)
	if (err != nil) != (f.lost > 0) {
		f.tell(err)
	}
	if f.lost += length; err == nil {
		f.lost = 0
	}
}

// Close writes what is in the pipe to the file, as long as that takes no longer
// than the limit, and closes both.
func (f *File) Close(limit time.Duration) {
	f.CloseWrite()
	f.closing.Store(true)
	f.source.SetReadDeadline(time.Now())
	select {
	case <-f.done:
	case <-time.After(limit): // the file hangs
	}
}
