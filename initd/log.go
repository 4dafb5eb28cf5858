package initd

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
	"server-starter/initd/output"
)

// newLog returns the log: a line per event, as text or as JSON.
func newLog(w io.Writer, json bool, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: plainDuration}
	if json {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func plainDuration(groups []string, a slog.Attr) slog.Attr {
	if d, ok := a.Value.Any().(time.Duration); ok {
		a.Value = slog.StringValue(d.Round(100 * time.Microsecond).String())
	}
	return a
}

// withEvents is a log whose lines from info on are told to who has subscribed to
// events, too, whatever the level of the log is.
func withEvents(log *slog.Logger, server *control.Server) *slog.Logger {
	json := slog.NewJSONHandler(published{server}, &slog.HandlerOptions{ReplaceAttr: plainDuration})
	return slog.New(slog.NewMultiHandler(log.Handler(), subscribed{json, server}))
}

// published is where the lines for subscribers go.
type published struct{ *control.Server }

func (p published) Write(line []byte) (int, error) {
	p.Publish(line)
	return len(line), nil
}

// subscribed is a handler that has nothing to do while nobody listens.
type subscribed struct {
	slog.Handler
	server *control.Server
}

func (s subscribed) Enabled(ctx context.Context, level slog.Level) bool {
	return s.server.Subscribed() && s.Handler.Enabled(ctx, level)
}

// isTerminal reports whether a file descriptor is one; isatty(3).
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// logWriter writes lines to a file descriptor from a goroutine of its own, for
// that may block for ever: whoever reads a container's stderr may hang. A line
// that finds the queue full is dropped and counted, so that the loop goes on.
type logWriter struct {
	to      output.Stream
	lines   chan []byte
	dropped atomic.Int64 // and not told of yet
	lost    atomic.Int64 // that were ever dropped
	closed  atomic.Bool
	done    chan struct{}
}

func newLogWriter(fd int) *logWriter {
	w := &logWriter{to: output.NewStream(fd), lines: make(chan []byte, 256), done: make(chan struct{})}
	go w.run()
	return w
}

// Write never blocks and never fails. What comes after Close is dropped.
func (w *logWriter) Write(line []byte) (int, error) {
	if w.closed.Load() {
		return len(line), nil
	}
	select {
	case w.lines <- []byte(string(line)):
	default:
		w.dropped.Add(1)
		w.lost.Add(1)
	}
	return len(line), nil
}

// Close waits until what is queued is written, for at most the time given. It
// is for the goroutine that writes.
func (w *logWriter) Close(limit time.Duration) {
	w.closed.Store(true)
	close(w.lines)
	select {
	case <-w.done:
	case <-time.After(limit):
	}
}

func (w *logWriter) run() {
	defer close(w.done)
	for line := range w.lines {
		w.write(line)
		if n := w.dropped.Swap(0); n > 0 {
			newLog(unqueued{w}, strings.HasPrefix(string(line), "{"), slog.LevelWarn).
				Warn("log lines dropped: stderr was blocked", "event", "log-dropped", "count", n)
		}
	}
}

// unqueued writes at once, in the writer's own goroutine.
type unqueued struct{ w *logWriter }

func (u unqueued) Write(line []byte) (int, error) {
	u.w.write(line)
	return len(line), nil
}

// write gives up on a descriptor that is broken: there is nobody left to tell.
func (w *logWriter) write(line []byte) { w.to.Write(line) }
