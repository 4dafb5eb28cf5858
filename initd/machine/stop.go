package machine

import (
	"fmt"
	"time"
)

// stopUnneeded asks workers to stop that are not needed any more: those of
// retiring generations and those that have lost their slot, each once. It kills
// the workers of failed attempts, and cancels probes when initd stops.
func (m *Machine) stopUnneeded() {
	for _, g := range m.generations {
		if m.phase != operating {
			m.cancelProbe(g)
		}
		for w := range g.unneeded {
			switch {
			case w.state == forking || w.state >= stopping || w.immune:
			case w.failed && w.orphan:
				m.kill(g, w, "its worker was killed, or ended before it was ready")
			case w.failed:
				m.kill(g, w, "its attempt failed")
			case m.phase < terminating:
				w.become(stopping)
				w.extended = time.Time{}
				if w.killAt.IsZero() { // else it has what its worker had left
					w.killAt = after(m.now, m.policy.DrainTimeout)
				}
				m.do(Stop{g.number, w.slot, w.pid, m.policy.SignalOnHup})
			}
		}
	}
}

// killOverdue kills the workers that have not ended within drain-timeout.
func (m *Machine) killOverdue() {
	for _, g := range m.generations {
		for w := range g.unneeded {
			if w.canBeKilled() && m.due(later(w.killAt, w.extended)) {
				m.kill(g, w, fmt.Sprintf("it did not end within drain-timeout=%v", m.policy.DrainTimeout))
			}
		}
	}
}

// killSilent kills ready workers that have not sent WATCHDOG=1 for too long;
// sd_notify(3).
func (m *Machine) killSilent() {
	if m.policy.Watchdog <= 0 {
		return
	}
	for _, g := range m.generations {
		for w := range g.live {
			if w.state == ready && w.canBeKilled() && m.due(after(w.lastPing, m.policy.Watchdog)) {
				m.kill(g, w, fmt.Sprintf("it sent no WATCHDOG=1 within watchdog=%v", m.policy.Watchdog))
			}
		}
	}
}

// limitOld kills the oldest of the retiring generations while there are more
// than max-old-generations of them.
func (m *Machine) limitOld() {
	if m.policy.MaxOldGenerations == 0 {
		return
	}
	var old []*generation
	for _, g := range m.generations {
		if g.state == Retiring && g.isAlive() {
			old = append(old, g)
		}
	}
	for len(old) > m.policy.MaxOldGenerations {
		for w := range old[0].live {
			m.kill(old[0], w, fmt.Sprintf("more old generations than max-old-generations=%d", m.policy.MaxOldGenerations))
		}
		old = old[1:]
	}
}

// kill kills a worker, unless it is no process yet, has been killed or cannot be.
func (m *Machine) kill(g *generation, w *worker, reason string) {
	if w.pid == 0 || !w.canBeKilled() {
		return
	}
	w.become(killed)
	w.killedAt = m.now
	// The group of an orphan may be that of its worker, which is not to be found by its pid.
	m.do(Kill{g.number, w.slot, w.pid, m.policy.KillGroup && !w.orphan, reason})
}
