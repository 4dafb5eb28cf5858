package output

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// File is a pipe whose other end is a file.
type File struct {
	*Pipe
	path   string
	tell   func(error) // what cannot be written, the first time in a row; nil: it can be again
	source *os.File    // the pipe's read end
	done   chan struct{}

	mutex sync.Mutex
	file  *os.File
	lost  int // bytes in a row
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

// Reopen opens the file anew, for it may have been renamed. Where that fails the
// old one stays.
func (f *File) Reopen() error {
	file, err := open(f.path)
	if err != nil {
		return err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.file.Close()
	f.file = file
	return nil
}

func (f *File) run() {
	defer close(f.done)
	buffer := make([]byte, size)
	for {
		n, err := f.source.Read(buffer)
		f.write(buffer[:n])
		if err != nil {
			return // closed, or nobody writes any more
		}
	}
}

// write drops what the file does not take.
func (f *File) write(text []byte) {
	if len(text) == 0 {
		return
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
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
	f.source.SetReadDeadline(time.Now())
	select {
	case <-f.done:
	case <-time.After(limit):
		return // the file hangs
	}
	f.Rest(f.write)
	f.source.Close()
	f.file.Close()
}
