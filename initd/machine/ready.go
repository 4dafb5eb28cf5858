package machine

import (
	"fmt"
	"time"
)

// awaitReady makes workers ready that have lived for the interval, where that
// counts. It kills those that are not ready in time and are not of a batch: the
// time that a batch may take is limited by advance.
func (m *Machine) awaitReady() {
	for _, g := range m.generations {
		if g.state < Starting || g.state > Partial {
			continue
		}
		for slot := range g.places {
			p := &g.places[slot]
			for _, w := range [...]*worker{p.worker, p.replacement} {
				if w == nil || w.state > ready || w.state == ready && w != p.replacement {
					continue
				}
				if m.livesLongEnough(w) {
					m.becomeReady(g, w)
				} else if (!g.isCandidate() || !p.inBatch) && w.canBeKilled() && m.due(later(m.startLimit(w.started), w.extended)) {
					m.kill(g, w, fmt.Sprintf("it was not ready within start-timeout=%v", m.policy.StartTimeout))
				}
			}
		}
	}
}

// livesLongEnough reports whether a worker is ready because it has lived for the
// interval, where that counts.
func (m *Machine) livesLongEnough(w *worker) bool {
	alive := m.policy.Respawn == Never || m.policy.Ready != Notify
	return alive && w.state == running && !w.suspended && m.due(w.started.Add(m.aliveAfter()))
}

// aliveAfter is the time after which a worker that lives counts as ready. A
// plain init does not judge its command.
func (m *Machine) aliveAfter() time.Duration {
	if m.policy.Respawn == Never {
		return 0
	}
	return m.policy.Interval
}

// startLimit is when what began at a time has to be ready; zero: no limit.
func (m *Machine) startLimit(began time.Time) time.Time {
	if m.policy.Respawn == Never {
		return time.Time{}
	}
	return after(began, m.policy.StartTimeout)
}

// becomeReady takes note that a worker is ready.
func (m *Machine) becomeReady(g *generation, w *worker) {
	w.state, w.readyAt, w.lastPing, w.extended = ready, m.now, m.now, time.Time{}
	m.changed = true
	m.replace(g, w)
}

// replace gives a replacement its slot when it is ready.
func (m *Machine) replace(g *generation, w *worker) {
	if p := g.place(w.slot); p.replacement == w && w.isReady() {
		g.vacate(p.worker)
		m.recycling = recycling{notBefore: m.now.Add(m.policy.interval())}
	}
}
