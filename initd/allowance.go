package initd

import (
	"log/slog"
	"time"

	"server-starter/initd/eventlog"
)

// An allowance limits how many lines of the log one worker causes at will, by what it
// sends or by suspending itself: so many in a period, and no more until that is over. The
// zero allowance has a new period ahead.
type allowance struct {
	until   time.Time // the end of the period
	left    int
	dropped int // since the last that was taken
}

const (
	linesAllowed  = 10
	allowedPeriod = 10 * time.Second
)

// take reports whether one more is allowed, and how many were dropped before it.
func (a *allowance) take(now time.Time) (dropped int, ok bool) {
	if !now.Before(a.until) {
		a.until, a.left = now.Add(allowedPeriod), linesAllowed
	}
	if a.left == 0 {
		a.dropped++
		return 0, false
	}
	a.left--
	dropped, a.dropped = a.dropped, 0
	return dropped, true
}

// logCaused logs what a worker has caused, or its orphan of that pid, if that is allowed.
func (l *loop) logCaused(w *worker, pid int, level slog.Level, kind eventlog.Kind, text string, attrs ...any) {
	dropped, ok := w.lines.take(l.now())
	if !ok {
		return
	}
	attrs = append([]any{"generation", w.generation, "slot", w.slot, "pid", pid}, attrs...)
	if dropped > 0 {
		attrs = append(attrs, "dropped", dropped)
	}
	l.log.Log(level, kind, text, attrs...)
}
