package machine

import (
	"fmt"
	"time"
)

// SignalRefused: a worker could not be signalled, kill(2), and so was not asked to
// end, or was not killed where Kill is set. It is that of the last such action.
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

// become has a worker be asked to end, or killed. If the signal is refused it was not.
func (w *worker) become(s workerState) {
	w.from[s], w.state = w.state, s
	w.continued = false
}

// canBeKilled reports whether to kill the worker makes sense.
func (w *worker) canBeKilled() bool { return w.state < killed && !w.immune }

// before is the worker's state before it was asked to end.
func (w *worker) before() *workerState {
	s := &w.state
	for *s >= stopping {
		s = &w.from[*s]
	}
	return s
}

// awaitsWorkers reports whether initd has to wait for a worker before it can end. As
// PID 1 it need not for one that it cannot end, which the kernel will.
func (m *Machine) awaitsWorkers() bool {
	for _, g := range m.generations {
		for w := range g.live {
			if !m.policy.PID1 || !w.immune {
				return true
			}
		}
	}
	return false
}
