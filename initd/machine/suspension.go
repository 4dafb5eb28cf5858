package machine

import "fmt"

// Suspended: a worker was suspended by a signal such as STOP or TTIN; wait(2),
// WUNTRACED. It does not run until it is sent CONT.
type Suspended struct{ PID int }

// Continued: a suspended worker was sent CONT; wait(2), WCONTINUED.
type Continued struct{ PID int }

// Continue: send CONT to a suspended worker. Continued.
type Continue struct{ Generation, Slot, PID int }

func (e Suspended) String() string { return fmt.Sprintf("suspended pid=%d", e.PID) }
func (e Continued) String() string { return fmt.Sprintf("continued pid=%d", e.PID) }
func (a Continue) String() string {
	return "continue " + workerFields(a.Generation, a.Slot, a.PID)
}

func (e Suspended) apply(m *Machine) {
	if _, w := m.worker(e.PID); w != nil && !w.suspended {
		w.suspended, m.changed = true, true
	}
}

func (e Continued) apply(m *Machine) {
	if g, w := m.worker(e.PID); w != nil && w.suspended {
		w.suspended, m.changed = false, true
		if !w.undecidedSince.IsZero() {
			w.undecidedSince = m.now // nothing could be seen of it before
		}
		w.lookFrom = m.now
		m.replace(g, w)
	}
}

// isReady reports whether the worker is ready, and is not suspended.
func (w *worker) isReady() bool { return w.state == ready && !w.suspended }

// continueAsked continues each suspended worker that was asked to end, because it cannot
// end while it is suspended; systemd.kill(5) does the same. It does so once: a worker that
// reads from the terminal would be suspended again and again.
func (m *Machine) continueAsked() {
	for _, g := range m.generations {
		for w := range g.live {
			if w.suspended && !w.continued && stopping <= w.state && w.state < killed {
				w.continued = true
				m.do(Continue{g.number, w.slot, w.pid})
			}
		}
	}
}

// continueAll continues every suspended worker that was sent a signal.
func (m *Machine) continueAll() {
	for _, g := range m.generations {
		for w := range g.live {
			if w.suspended && running <= w.state && w.state < killed {
				m.do(Continue{g.number, w.slot, w.pid})
			}
		}
	}
}

// hangs reports whether no slot has a worker that accepts connections, because at least
// one worker is suspended.
func (m *Machine) hangs() (suspended bool) {
	for slot := range m.pool.slots {
		_, w := m.holder(slot)
		if w != nil && w.isReady() {
			return false
		}
		suspended = suspended || w != nil && w.suspended
	}
	return suspended
}

// isSuspended reports whether a worker of the candidate's batch is suspended.
func (g *generation) isSuspended() bool {
	for _, p := range g.places {
		if p.inBatch && p.worker != nil && p.worker.suspended {
			return true
		}
	}
	return false
}
