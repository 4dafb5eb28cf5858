package eventlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"server-starter/initd/output"
)

// Writer writes lines to a file descriptor from a goroutine of its own, for
// that may block for ever: whoever reads a container's stderr may hang. Lines wait in
// memory, so that the loop goes on; where too many wait, further ones are dropped and
// counted.
type Writer struct {
	to      output.Stream
	dropped atomic.Int64  // that were ever dropped
	written atomic.Int64  // calls of write(2) that have returned
	filled  chan struct{} // something waits, or the writer is closed
	done    chan struct{}

	mu        sync.Mutex
	waiting   []byte
	unwritten int // lines that were dropped and that the log does not mention yet
	closed    bool
}

const (
	maxWaiting = 8 << 20 // bytes, which a pool of thousands does not reach in one turn
	atOnce     = 4096    // PIPE_BUF: bytes that a pipe keeps together, pipe(7)
)

// NewWriter returns a writer to a file descriptor, which may be a broken one. Start
// starts a goroutine.
func NewWriter(fd int, start func(func())) *Writer {
	w := &Writer{to: output.NewStream(fd), filled: make(chan struct{}, 1), done: make(chan struct{})}
	start(w.run)
	return w
}

// Write takes a line. It never blocks and never fails. What comes after Close is
// dropped.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	switch {
	case w.closed:
	case len(w.waiting)+len(line) > maxWaiting:
		w.dropped.Add(1)
		w.unwritten++
	default:
		w.waiting = append(w.waiting, line...)
	}
	w.mu.Unlock()
	w.wake()
	return len(line), nil
}

func (w *Writer) wake() {
	select {
	case w.filled <- struct{}{}:
	default:
	}
}

// Dropped is how many lines were dropped since the start. Any goroutine may ask.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Close waits until what waits is written, for as long as each part of it takes no
// longer than the limit, and all no longer than ten times that. It is for the goroutine
// that writes, and may be called again.
func (w *Writer) Close(limit time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake()
	for range 10 {
		written := w.written.Load()
		select {
		case <-w.done:
			return
		case <-time.After(limit):
		}
		if w.written.Load() == written {
			return
		}
	}
}

func (w *Writer) run() {
	defer close(w.done)
	for range w.filled {
		w.mu.Lock()
		text, unwritten, closed := w.waiting, w.unwritten, w.closed
		w.waiting, w.unwritten = nil, 0
		w.mu.Unlock()
		w.write(text)
		if unwritten > 0 {
			json := bytes.HasPrefix(text, []byte("{")) // as the others are
			New(w.to, json, slog.LevelWarn).Warn(LogDropped, fmt.Sprintf("log lines dropped: %d MiB were waiting to be written", maxWaiting>>20), "count", unwritten)
		}
		if closed {
			return
		}
	}
}

// write writes lines, several at once, and each whole.
func (w *Writer) write(text []byte) {
	for len(text) > 0 {
		end := bytes.LastIndexByte(text[:min(atOnce, len(text))], '\n') + 1
		if end == 0 { // one that is longer
			end = bytes.IndexByte(text, '\n') + 1
		}
		if end == 0 {
			end = len(text)
		}
		// A descriptor that is broken is given up: there is nowhere else to log it.
		w.to.Write(text[:end])
		w.written.Add(1)
		text = text[end:]
	}
}
