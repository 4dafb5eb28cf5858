package eventlog

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"server-starter/initd/output"
)

// Writer writes lines to a file descriptor from a goroutine of its own, for
// that may block for ever: whoever reads a container's stderr may hang. A line
// that finds the queue full is dropped and counted, so that the loop goes on.
type Writer struct {
	to        output.Stream
	lines     chan []byte
	dropped   atomic.Int64 // that were ever dropped
	unwritten atomic.Int64 // of these, those that the log does not mention yet
	closed    atomic.Bool
	done      chan struct{}
}

// queued is how many lines wait to be written before one is dropped.
const queued = 256

// NewWriter returns a writer to a file descriptor, which may be a broken one. Start
// starts a goroutine.
func NewWriter(fd int, start func(func())) *Writer {
	w := &Writer{to: output.NewStream(fd), lines: make(chan []byte, queued), done: make(chan struct{})}
	start(w.run)
	return w
}

// Write never blocks and never fails. What comes after Close is dropped.
func (w *Writer) Write(line []byte) (int, error) {
	if w.closed.Load() {
		return len(line), nil
	}
	select {
	case w.lines <- []byte(string(line)):
	default:
		w.dropped.Add(1)
		w.unwritten.Add(1)
	}
	return len(line), nil
}

// Dropped is how many lines were dropped since the start. Any goroutine may ask.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Close waits until what is queued is written, for at most the time given. It
// is for the goroutine that writes, and may be called again.
func (w *Writer) Close(limit time.Duration) {
	if !w.closed.Swap(true) {
		close(w.lines)
	}
	select {
	case <-w.done:
	case <-time.After(limit):
	}
}

func (w *Writer) run() {
	defer close(w.done)
	for line := range w.lines {
		// A descriptor that is broken is given up: there is nowhere else to log it.
		w.to.Write(line)
		if n := w.unwritten.Swap(0); n > 0 {
			json := strings.HasPrefix(string(line), "{") // as the others are
			New(w.to, json, slog.LevelWarn).Warn(LogDropped, "log lines dropped: stderr was blocked", "count", n)
		}
	}
}
