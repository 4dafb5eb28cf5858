package machine

import "fmt"

// Orphaned: a process that belonged to a worker, or to an orphan of one, is left
// by its end, of which the event follows.
type Orphaned struct {
	PID    int // of the one that has ended
	Orphan int
}

func (e Orphaned) String() string { return fmt.Sprintf("orphaned pid=%d orphan=%d", e.PID, e.Orphan) }

// An orphan takes the place of what has ended in all that concerns its own end: it
// is asked to end or killed as that would have been, and in the same time. It has
// no slot, and its generation is not gone before it has ended.
func (e Orphaned) apply(m *Machine) {
	g, w := m.worker(e.PID)
	if w == nil || !m.policy.EndsOrphans() || e.Orphan <= 0 {
		return
	}
	if m.phase == orphaned { // PID 1 did not wait for w; every orphan is asked to end now
		return
	}
	if _, known := m.worker(e.Orphan); known != nil {
		return
	}
	g.leaving = append(g.leaving, &worker{
		slot: w.slot, pid: e.Orphan, orphan: true, state: running, started: m.now, killAt: w.killAt, extended: w.extended,
		failed: w.state == killed || w.state < ready,
	})
}

// EndsOrphans reports whether the orphans of a worker end with it. What the command
// of a plain init leaves behind is ended when initd ends, or never.
func (p *Policy) EndsOrphans() bool { return p.KillGroup && p.Respawn != Never }

// hasWorker reports whether a worker is left, and not only orphans.
func (g *generation) hasWorker() bool {
	for w := range g.live {
		if !w.orphan {
			return true
		}
	}
	return false
}
