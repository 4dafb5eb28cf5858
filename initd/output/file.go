package output

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// File is a pipe whose other end is a file. All that is done to the file is done
// by one goroutine, for a file system may hang, and so may the reader of a FIFO.
type File struct {
	*Pipe
	path   string
	failed func(error) // called with why it cannot be written, once in a row, and with nil when it can be again
	source *os.File    // the pipe's read end
	done   chan struct{}

	reopening atomic.Pointer[func(error)] // the file is to be opened anew; what to call with the outcome
	closing   atomic.Bool                 // what is in the pipe is all there will be

	// The goroutine's own.
	file *os.File
	lost int // bytes in a row
}

// OpenFile opens the file at path for appending, and makes it where it is not
// there. Start starts a goroutine. Failed is called, by another goroutine, with the error when the file
// cannot be written, and with nil when it can be written again.
func OpenFile(path string, uid int, start func(func()), failed func(error)) (*File, error) {
	file, err := ownfile.Append(path)
	if err != nil {
		return nil, err
	}
	pipe, err := NewPipe(uid)
	if err != nil {
		file.Close()
		return nil, err
	}
	// No other process has the read end, so its flags concern nobody else.
	unix.SetNonblock(pipe.Read, true)
	f := &File{Pipe: pipe, path: path, failed: failed, source: os.NewFile(uintptr(pipe.Read), "log"), done: make(chan struct{}), file: file}
	start(f.run)
	return f, nil
}

// Reopen has the file opened anew, for it may have been renamed: what is
// written to the pipe from now on goes there. Where that fails the old one
// stays. Done is called with the outcome, by another goroutine.
func (f *File) Reopen(done func(error)) {
	f.reopening.Store(&done)
	f.source.SetReadDeadline(time.Now()) // wakes it
}

func (f *File) reopen() {
	done := f.reopening.Swap(nil)
	if done == nil {
		return
	}
	file, err := ownfile.Append(f.path)
	if err == nil {
		f.file.Close()
		f.file = file
	}
	(*done)(err)
}

func (f *File) run() {
	defer close(f.done)
	buffer := make([]byte, size)
	for {
		n, err := f.source.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			f.source.SetReadDeadline(time.Time{}) // before looking what for, so that no later one is lost
		}
		f.reopen()
		f.write(buffer[:n])
		switch {
		case f.closing.Load():
			f.Remaining(f.write)
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
		text = append(fmt.Appendf(nil, "initd: %d bytes are missing here because they could not be written\n", f.lost), text...)
	}
	_, err := f.file.Write(text)
	if (err != nil) != (f.lost > 0) {
		f.failed(err)
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
