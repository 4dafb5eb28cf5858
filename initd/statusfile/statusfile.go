// Package statusfile keeps the file in which the workers are listed: a line
// "generation:pid" for each, as start_server writes it.
package statusfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"server-starter/initd/ownfile"
)

// A write that has failed is tried again after retry, then after twice that, up to
// maxRetry: the reason may be permanent.
const (
	retry    = time.Second
	maxRetry = time.Minute
)

// spacing is the least time from one write to the next: when thousands of workers
// end, the file is not written thousands of times.
const spacing = 10 * time.Millisecond

// File is a status file that this process writes. It is written by a goroutine
// of its own, for a file system may hang.
type File struct {
	path   string
	report func(error)  // see Open
	next   chan pending // to be written; only the latest counts
	done   chan struct{}
	ours   ownfile.ID // what was written last; zero: nothing yet
	failed bool

	removing sync.Once
}

// Open returns a file at path. A status file that another process has left there is
// removed by the first Write, for its pids mean nothing any more; any other file is
// left alone, and an error. Start starts a goroutine. Report is called by another goroutine: with an error when
// a write fails, the first time in a row, and with nil when one succeeds again.
func Open(path string, start func(func()), report func(error)) (*File, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	f := &File{path: path, report: report, next: make(chan pending, 1), done: make(chan struct{})}
	start(f.run)
	return f, nil
}

// check reports why what is at path must not be replaced.
func check(path string) error { return ownfile.Check(path, "status file", isStatus) }

func isStatus(r io.Reader) bool {
	text, err := read(r)
	if err != nil {
		return false
	}
	for line := range strings.Lines(text) {
		generation, pid, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok || strings.Trim(generation, "0123456789") != "" || strings.Trim(pid, "0123456789") != "" {
			return false
		}
	}
	return true
}

// maxSize in bytes is more than all workers that initd can have need.
const maxSize = 1 << 20

func read(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err == nil && len(text) > maxSize {
		err = errors.New("it is too large for a status file")
	}
	return string(text), err
}

// Worker is a line of the file.
type Worker struct{ Generation, PID int }

// pending is what the file is to hold, and what is to be called once that was tried.
type pending struct {
	workers []Worker
	then    []func()
}

// Write has lines for these workers, in this order, replace the content of the
// file, in one step, soon. It never blocks, and keeps a copy. If calls come faster
// than the file can be written, only the last one is sure to be written. Then is
// called by another goroutine when it, or a later one, has been written, or could
// not be. Only one goroutine may call Write.
func (f *File) Write(workers []Worker, then ...func()) {
	select {
	case c := <-f.next:
		then = append(c.then, then...)
	default:
	}
	f.next <- pending{slices.Clone(workers), then}
}

// text is what a file with these workers holds.
func text(workers []Worker) string {
	var lines []byte
	for _, w := range workers {
		lines = strconv.AppendInt(lines, int64(w.Generation), 10)
		lines = append(lines, ':')
		lines = strconv.AppendInt(lines, int64(w.PID), 10)
		lines = append(lines, '\n')
	}
	return string(lines)
}

// Remove ends writing, and removes the file if it is still the one that was
// written. It waits for that no longer than limit. It may be called again.
func (f *File) Remove(limit time.Duration) {
	f.removing.Do(func() { close(f.next) })
	select {
	case <-f.done:
	case <-time.After(limit):
	}
}

func (f *File) run() {
	defer close(f.done)
	defer func() { f.ours.Remove(f.path) }()
	wait := retry
	next, ok := <-f.next
	for ok {
		err := f.write(text(next.workers))
		if (err != nil) != f.failed {
			f.failed = err != nil
			f.report(err)
		}
		for _, then := range next.then {
			then()
		}
		next.then = nil
		if err == nil {
			wait = retry
			next, ok = f.latest(time.Now().Add(spacing))
			continue
		}
		select {
		case next, ok = <-f.next:
		case <-time.After(wait):
			wait = min(2*wait, maxRetry)
		}
	}
}

// latest waits for something to be written, and takes the last there is at the
// time given. Not ok is the end of writing.
func (f *File) latest(at time.Time) (latest pending, ok bool) {
	latest, ok = <-f.next
	for due := time.After(time.Until(at)); ok; {
		var newer pending
		select {
		case newer, ok = <-f.next:
			latest = pending{newer.workers, append(latest.then, newer.then...)}
		case <-due:
			return latest, true
		}
	}
	return pending{}, false
}

// write replaces the file: a reader finds the old text or the new one. Before the
// first worker there is no file, so that scripts can wait for it.
func (f *File) write(text string) (err error) {
	if !f.ours.At(f.path) { // it may be another file since
		if err := check(f.path); err != nil {
			return err
		}
	}
	if text == "" && f.ours == (ownfile.ID{}) {
		return ownfile.Remove(f.path)
	}
	temporary, err := ownfile.Create(f.path, 0o644)
	if err != nil {
		return err
	}
	written, err := fill(temporary, text)
	if err == nil {
		err = temporary.Rename()
	}
	if err != nil {
		temporary.Remove()
		return err
	}
	f.ours = written
	return nil
}

// fill writes the text and closes the file.
func fill(temporary *ownfile.Temporary, text string) (id ownfile.ID, err error) {
	file := os.NewFile(uintptr(temporary.FD), temporary.Name())
	if _, err = file.WriteString(text); err == nil {
		id, err = ownfile.Closed(temporary.FD)
	}
	if closing := file.Close(); err == nil {
		err = closing // some file systems report a full disk only here
	}
	return id, err
}

// Generations reads the numbers of the generations in a status file, each once, in
// ascending order. Lines of another form are ignored, as start_server does.
func Generations(path string) (numbers []int, err error) {
	file, err := ownfile.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("status-file: %w", err)
	}
	defer file.Close()
	text, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("status-file %s: %w", path, err)
	}
	for line := range strings.Lines(text) {
		number, _, ok := strings.Cut(line, ":")
		if n, err := strconv.Atoi(number); ok && err == nil && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
