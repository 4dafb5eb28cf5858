package initd

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// newLog returns the log: a line per event, as text or as JSON.
func newLog(w io.Writer, json bool, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if d, ok := a.Value.Any().(time.Duration); ok {
			a.Value = slog.StringValue(d.Round(100 * time.Microsecond).String())
		}
		return a
	}}
	if json {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
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
	fd       int
	terminal bool
	lines    chan []byte
	dropped  atomic.Int64
	closed   atomic.Bool
	done     chan struct{}
}

func newLogWriter(fd int) *logWriter {
	w := &logWriter{fd: fd, terminal: isTerminal(fd), lines: make(chan []byte, 256), done: make(chan struct{})}
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
func (w *logWriter) write(line []byte) {
	if w.terminal {
		defer holdTTOU()()
	}
	for len(line) > 0 {
		n, err := syscall.Write(w.fd, line)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			// A worker has made the shared description non-blocking.
			unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLOUT}}, -1)
		case err != nil:
			return
		}
		line = line[max(n, 0):]
	}
}

// holdTTOU has the calling thread write to a terminal that another job has. With
// `stty tostop` a write from the background brings a TTOU and is tried again when
// that was caught, for ever, unless the thread blocks it: setpgid(2), termios(3).
func holdTTOU() (release func()) {
	runtime.LockOSThread()
	var ttou, before unix.Sigset_t
	ttou.Val[0] = 1 << (unix.SIGTTOU - 1)
	unix.PthreadSigmask(unix.SIG_BLOCK, &ttou, &before)
	return func() {
		unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
		runtime.UnlockOSThread()
	}
}
