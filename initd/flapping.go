package initd

import (
	"fmt"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
)

// flapped logs that the pool has begun to flap, and that it does so no more.
func (l *loop) flapped(before, now machine.Flapping) {
	switch {
	case before.Since.IsZero() == now.Since.IsZero():
	case now.Since.IsZero():
		l.log.Info(eventlog.Stable, "the workers are stable again", "duration", l.clock.now().Sub(before.Since))
	default:
		l.log.Warn(eventlog.Flapping, "the workers are flapping: "+l.losses(now))
	}
}

// losses is what makes the pool flap.
func (l *loop) losses(f machine.Flapping) string {
	limit := max(time.Duration(l.settings.StableAfter), time.Duration(l.settings.Interval))
	return fmt.Sprintf("%d in a row ended sooner than %v after they were ready, the last with %s", f.Losses, limit, f.Last.Words())
}

// flapping is that for clients; nil: the pool is not flapping.
func (l *loop) flapping(f machine.Flapping) *control.Flapping {
	if f.Since.IsZero() {
		return nil
	}
	return &control.Flapping{Since: l.clock.real(f.Since), Losses: f.Losses, Last: f.Last.Words(), LastAt: l.clock.real(f.LastAt)}
}
