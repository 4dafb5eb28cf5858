// Package statusfile keeps the file that tells which workers there are: a line
// "generation:pid" for each, as start_server writes it.
package statusfile

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A write that has failed is tried again after retry, then twice that, up to
// maxRetry: what cannot be written may be so for good.
const (
	retry    = time.Second
	maxRetry = time.Minute
)

// File is a status file that this process writes. It is written by a goroutine
// of its own, for a file system may hang.
type File struct {
	path   string
	tell   func(error) // a write has failed, the first time in a row; nil: one has succeeded again
	next   chan string // the text to be written; the latest alone counts
	done   chan struct{}
	ours   os.FileInfo // what was written last; nil: nothing yet
	failed bool
}

// Open returns a file at path. What another process has left there is removed by
// the first Write, for its numbers mean nothing any more; but what is no status
// file is left alone, and an error. Tell is called by another goroutine.
func Open(path string, tell func(error)) (*File, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	f := &File{path: path, tell: tell, next: make(chan string, 1), done: make(chan struct{})}
	go f.run()
	return f, nil
}

func check(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // what keeps it from being written will be told then
	}
	var text []byte
	if info.Mode().IsRegular() {
		text, _ = os.ReadFile(path)
	}
	if !info.Mode().IsRegular() || !isStatus(string(text)) {
		return &os.PathError{Op: "replace", Path: path, Err: errors.New("it is there and no status file; move it away or name another")}
	}
	return nil
}

func isStatus(text string) bool {
	for line := range strings.Lines(text) {
		generation, pid, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok || strings.Trim(generation, "0123456789") != "" || strings.Trim(pid, "0123456789") != "" {
			return false
		}
	}
	return true
}

// Write has the text replace what the file holds, soon, in one piece. It never
// blocks. Of texts that come faster than they can be written the last is.
// There has to be one caller only.
func (f *File) Write(text string) {
	select {
	case <-f.next:
	default:
	}
	f.next <- text
}

// Remove writes nothing more, and removes the file if it is still the one that
// was written. It gives up after the limit.
func (f *File) Remove(limit time.Duration) {
	close(f.next)
	select {
	case <-f.done:
	case <-time.After(limit):
	}
}

func (f *File) run() {
	defer close(f.done)
	defer f.remove()
	wait := retry
	text, ok := <-f.next
	for ok {
		err := f.write(text)
		if (err != nil) != f.failed {
			f.failed = err != nil
			f.tell(err)
		}
		if err == nil {
			wait = retry
			text, ok = <-f.next
			continue
		}
		select {
		case text, ok = <-f.next:
		case <-time.After(wait):
			wait = min(2*wait, maxRetry)
		}
	}
}

// write replaces the file: who reads it finds the old text or the new one. As
// long as there is nothing to tell there is no file, so that scripts can wait
// for it.
func (f *File) write(text string) (err error) {
	if text == "" && f.ours == nil {
		if err = os.Remove(f.path); os.IsNotExist(err) {
			err = nil
		}
		return err
	}
	temporary := f.path + "." + strconv.Itoa(os.Getpid())
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary)
		}
	}()
	if _, err = file.WriteString(text); err != nil {
		file.Close()
		return err
	}
	info, err := file.Stat()
	if closing := file.Close(); err == nil {
		err = closing // some file systems report a full disk only here
	}
	if err != nil {
		return err
	}
	if err = os.Rename(temporary, f.path); err != nil {
		return err
	}
	f.ours = info
	return nil
}

func (f *File) remove() {
	current, err := os.Lstat(f.path)
	// The number of a file that was removed is soon another one's.
	if err == nil && f.ours != nil && os.SameFile(current, f.ours) && current.ModTime().Equal(f.ours.ModTime()) {
		os.Remove(f.path)
	}
}

// Generations reads the numbers of the generations that a status file tells of,
// each once and in order. Lines of another form are passed over, as start_server
// does.
func Generations(path string) (numbers []int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("status-file: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		number, _, ok := strings.Cut(line, ":")
		if n, err := strconv.Atoi(number); ok && err == nil && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
