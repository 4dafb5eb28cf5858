package machine

import (
	"fmt"
	"time"
)

// awaitReady makes workers ready that have lived for the interval and accept
// connections, as far as that counts. It kills those that are not ready in time and are not of a batch: the
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
				if by := m.judgeAlive(w); by != ByNothing {
					m.becomeReady(g, w, by)
				} else if (!g.isCandidate() || !p.inBatch) && w.canBeKilled() && m.due(later(m.startLimit(w.started), w.extended)) {
					m.kill(g, w, fmt.Sprintf("it was not ready within start-timeout=%v%s", m.policy.StartTimeout, m.whyNotReady(w)))
				}
			}
		}
	}
}

// judgeAlive is by what a worker is ready, without its help, that has lived for the
// interval.
func (m *Machine) judgeAlive(w *worker) ReadyBy {
	alive := m.policy.Respawn == Never || m.policy.Ready != Notify
	if !alive || w.state != running || w.suspended || !m.due(w.started.Add(m.aliveAfter())) {
		return ByNothing
	}
	return m.judgeSight(w)
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

// becomeReady takes note that a worker is ready, and by what.
func (m *Machine) becomeReady(g *generation, w *worker, by ReadyBy) {
	w.state, w.readyBy, w.readyAt, w.lastPing, w.extended = ready, by, m.now, m.now, time.Time{}
	w.lookFrom = m.now
	m.changed = true
	if by == ByInterval && m.policy.Looks && m.policy.Ready == Auto {
		m.do(Unverified{g.number, w.slot, w.pid, w.sightReason})
	}
	m.replace(g, w)
}

// replace gives a replacement its slot when it is ready.
func (m *Machine) replace(g *generation, w *worker) {
	if p := g.place(w.slot); p.replacement == w && w.isReady() {
		g.vacate(p.worker)
		m.recycling = recycling{notBefore: m.now.Add(m.policy.interval())}
	}
}
