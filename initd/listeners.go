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

// relistenHTTP makes the listener of the HTTP process accept again after somebody
// has called shutdown(2) on it.
func (l *loop) relistenHTTP() {
	mended, err := l.http.sockets.Relisten()
	l.history.counters.Relistened += int64(len(mended))
	for _, m := range mended {
		l.log.Warn(eventlog.Relisten, "the listener of http was shut down; initd restored it", "key", m.Key)
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
		return "a program that binds the port itself fails with EADDRINUSE, because initd holds the port: configure it to use the inherited socket"
	}
	return ""
}

// steer directs new connections to the sockets of these slots alone.
func (l *loop) steer(slots []int) {
	if err := l.sockets.Steer(slots); err != nil {
		l.log.Warn(eventlog.Steer, err.Error())
	}
}
