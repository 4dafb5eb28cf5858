package initd

import (
	"fmt"
	"slices"
	"strings"

	"server-starter/initd/eventlog"
	"server-starter/initd/socket"
)

// everySlot is where relisten looks at the listeners of all slots.
const everySlot = -1

// relisten makes listeners accept again after the worker of a slot has called shutdown(2)
// on them, which takes effect for all workers that share them, and restores the paths of
// unix sockets that were removed.
func (l *loop) relisten(slot int) {
	restored, err := l.controlSocket.Relisten()
	for _, m := range restored {
		l.log.Warn(eventlog.Relisten, "the path "+m.Key+" of the control socket was removed; initd restored it", "key", m.Key)
	}
	if err != nil {
		l.log.Error(eventlog.Relisten, "control socket: "+err.Error())
	}
	again := l.sockets.RestorePaths
	if slot == everySlot || l.sockets.ShutDown(slot) {
		again = l.sockets.Relisten
	}
	l.relistened(again, l.whatWasMended)
}

// relistened records what was mended, with a line of the log for each.
func (l *loop) relistened(relisten func() ([]socket.Mended, error), what func(socket.Mended) string) {
	mended, err := relisten()
	l.history.counters.Relistened += int64(len(mended))
	for _, m := range mended {
		l.log.Warn(eventlog.Relisten, what(m), "key", m.Key)
	}
	if err != nil {
		l.log.Error(eventlog.Relisten, err.Error())
	}
}

// whatWasMended is what had happened to a listener, and what initd did.
func (l *loop) whatWasMended(m socket.Mended) string {
	switch {
	case m.Restored:
		return "the path " + m.Key + " of a listener was removed; initd restored it"
	case m.Replaced:
		return "listener " + m.Key + " was shut down for all workers, or its path removed; " +
			"initd restored it as a new socket, which running workers do not have until the next swap (HUP)"
	case bool(l.settings.ReusePort) && m.Slot >= 0:
		return fmt.Sprintf("a worker shut down listener %s of slot %d; initd restored it", m.Key, m.Slot)
	}
	return "a worker shut down listener " + m.Key + " for all workers; initd restored it"
}

// relistenHTTP makes the listener of the HTTP process accept again after somebody
// has called shutdown(2) on it.
func (l *loop) relistenHTTP() {
	l.relistened(l.http.sockets.Relisten, func(socket.Mended) string { return "the listener of http was shut down; initd restored it" })
}

// hint says, from the listeners, why the program of a generation does not come up.
func (l *loop) hint(generation int) string {
	for _, q := range l.sockets.Waiting() {
		if q.Length > 0 && q.Network != "udp" {
			return fmt.Sprintf("%d connections are waiting on %s, but no worker accepts them: does the program use the inherited socket?", q.Length, q.Key)
		}
	}
	return l.inUse(generation)
}

// inUse is for a program that binds an address that is initd's, as its last lines say. They
// are known with stderr-lines; otherwise nothing is guessed.
func (l *loop) inUse(generation int) string {
	end, known := l.history.ends[generation]
	if !known || end.lines == nil || l.sockets.Len() == 0 {
		return ""
	}
	says := func(line string) bool {
		line = strings.ToLower(line)
		return strings.Contains(line, "eaddrinuse") || strings.Contains(line, "address already in use") || strings.Contains(line, "address in use")
	}
	if !slices.ContainsFunc(end.lines(), says) {
		return ""
	}
	if l.settings.Binds() {
		return "the program found an address in use that is no listener of initd: name it in port or path, if an older generation has it"
	}
	return "the program found an address in use: initd holds the listeners, so it has to use the inherited socket, or export=bind gives it to a program that binds its own"
}

// steer directs new connections to the sockets of these slots alone.
func (l *loop) steer(slots []int) {
	if err := l.sockets.Steer(slots); err != nil {
		l.log.Warn(eventlog.Steer, err.Error())
	}
}
