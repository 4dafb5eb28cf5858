package machine

import (
	"fmt"
	"time"
)

// SignalRefused: the kernel refused the signal of the last Stop of a worker, or of its
// Kill if Kill is set; kill(2). So the worker was not asked to end, or not killed.
type SignalRefused struct {
	PID  int
	Kill bool
}

func (e SignalRefused) String() string {
	return fmt.Sprintf("signal-refused pid=%d kill=%t", e.PID, e.Kill)
}

func (e SignalRefused) apply(m *Machine) {
	_, w := m.worker(e.PID)
	if w == nil || e.Kill && w.state != killed {
		return
	}
	s := &w.state
	if w.state == killed && !e.Kill {
		s = &w.from[killed]
	}
	if *s < stopping {
		return
	}
	if *s == stopping {
		w.killAt = time.Time{}
	}
	*s, w.immune = w.from[*s], true
	m.changed = true
}

// become sets a state from stopping on, and keeps the one before in case the signal is
// refused.
func (w *worker) become(s workerState) {
	w.from[s], w.state = w.state, s
	w.continued, w.stuck = w.continued && s == killed, false
}

// canBeKilled reports whether the worker was not killed, and its signals are not refused.
func (w *worker) canBeKilled() bool { return w.state < killed && !w.immune }

// before is the worker's state before it was asked to end.
func (w *worker) before() *workerState {
	s := &w.state
	for *s >= stopping {
		s = &w.from[*s]
	}
	return s
}

// awaitsWorkers reports whether initd has to wait for a worker before it can end. PID 1
// does not wait for workers that it cannot end: the kernel kills them when PID 1 exits.
// For orphans that it cannot end, no initd waits.
func (m *Machine) awaitsWorkers() bool { return m.awaits(func(*worker) bool { return true }) }

// awaits reports the same of some of the workers.
func (m *Machine) awaits(some func(*worker) bool) bool {
	for _, g := range m.generations {
		for w := range g.live {
			if some(w) && (!m.policy.PID1 && !w.orphan || !w.immune && !w.stuck) {
				return true
			}
		}
	}
	return false
}
