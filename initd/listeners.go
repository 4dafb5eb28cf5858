package initd

import (
	"fmt"
	"server-starter/initd/eventlog"
)

// relisten makes listeners accept again after a worker has called shutdown(2) on
// them, which takes effect for all workers.
func (l *loop) relisten() {
	mended, err := l.sockets.Relisten()
	l.history.counters.Relistened += int64(len(mended))
	for _, m := range mended {
		text := "a worker shut down listener " + m.Key + " for all workers; initd restored it"
		if l.settings.ReusePort && m.Slot >= 0 {
			text = fmt.Sprintf("a worker shut down listener %s of slot %d; initd restored it", m.Key, m.Slot)
		}
		if m.Replaced {
			text += " as a new socket, which running workers do not have until the next swap (HUP)"
		}
		l.log.Warn(eventlog.Relisten, text, "key", m.Key)
	}
	if err != nil {
		l.log.Error(eventlog.Relisten, err.Error())
	}
}

// hint guesses, from the listeners, why a program does not come up.
func (l *loop) hint() string {
	for _, q := range l.sockets.Waiting() {
		if q.Length > 0 && q.Network != "udp" {
			return fmt.Sprintf("%d connections are waiting on %s, but no worker accepts them: does the program use the inherited socket?", q.Length, q.Key)
		}
	}
	if l.sockets.Len() > 0 {
		return "if the program reported EADDRINUSE (address already in use): initd holds the port, so it has to use the inherited socket instead of binding its own"
	}
	return ""
}

// steer directs new connections to the sockets of these slots alone.
func (l *loop) steer(slots []int) {
	if err := l.sockets.Steer(slots); err != nil {
		l.log.Warn(eventlog.Steer, err.Error())
	}
}
