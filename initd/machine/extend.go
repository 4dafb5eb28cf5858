package machine

import (
	"fmt"
	"time"
)

// Extended: a worker has sent EXTEND_TIMEOUT_USEC=: the limit of what it is about,
// its start or its end, is not to be over before this time has passed; sd_notify(3).
type Extended struct {
	PID int
	By  time.Duration
}

// HandedOver: a worker has ended by itself, and the process that it had named by
// MAINPID= goes on in its place; sd_notify(3).
type HandedOver struct{ PID, To int }

func (e Extended) String() string { return fmt.Sprintf("extended pid=%d by=%v", e.PID, e.By) }
func (e HandedOver) String() string {
	return fmt.Sprintf("handed-over pid=%d to=%d", e.PID, e.To)
}

func (e Extended) apply(m *Machine) {
	if _, w := m.worker(e.PID); w != nil && w.state != ready && w.state != killed {
		w.extended = m.now.Add(e.By)
	}
}

func (e HandedOver) apply(m *Machine) {
	_, w := m.worker(e.PID)
	if _, known := m.worker(e.To); known != nil || w == nil || w.orphan || w.state >= stopping || e.To <= 0 {
		return
	}
	w.pid, w.sight, w.sightReason, w.undecidedSince = e.To, Undecided, "", m.now
	w.lookFrom = m.now
}

// later is a limit that was extended to a time. Where there is no limit, none is made.
func later(limit, extended time.Time) time.Time {
	if limit.IsZero() || limit.After(extended) {
		return limit
	}
	return extended
}

// isLate reports whether a batch has not become ready in time: one of its workers has
// not, or another one of its generation.
func (m *Machine) isLate(g *generation) bool {
	late, allReady := false, true
	for slot := range g.places {
		p := &g.places[slot]
		if p.inBatch && (p.worker == nil || p.worker.state != ready) {
			limit := m.startLimit(g.began)
			if p.worker != nil {
				limit = later(limit, p.worker.extended)
			}
			late, allReady = m.due(limit) || late, false
		}
	}
	return late || allReady && m.due(m.startLimit(g.began))
}
