package machine

import "time"

// lose takes note that a worker has ended, and of what follows from that for its
// slot and its generation.
func (m *Machine) lose(g *generation, w *worker, status Status, reason string) {
	held := g.place(w.slot).worker == w && m.holds(g, w.slot)
	replacement := g.place(w.slot).replacement == w
	g.removeWorker(w)
	m.changed = true
	switch {
	case m.phase != operating, g.state == Retiring, g.state == Failed:
		m.removeEmpty(g)
	case m.policy.Respawn == Never:
		m.removeEmpty(g)
		m.halt(m.policy.exitStatus(status), reason)
	case m.policy.Respawn == OnFailure && status.Success() && held && (!g.isCandidate() || m.serving() == nil):
		m.removeEmpty(g)
		m.halt(m.policy.exitStatus(status), reason)
	case replacement:
		m.delayReplacement(w)
		m.do(Transition{Generation: g.number, State: g.state, Reason: "a replacement failed: " + reason, Next: max(0, m.recycling.notBefore.Sub(m.now))})
	case !held:
		m.removeDone(g)
	case g.isCandidate() && (g.places[w.slot].inBatch || m.failsAttempt(g, w, status)):
		m.giveBack(g, w.slot, m.now)
		m.fail(g, status, reason)
	default:
		m.scheduleRefill(g, w, status, reason)
	}
}

// wasStable reports whether a worker that has ended had been ready for long enough
// to be no failed start.
func (m *Machine) wasStable(w *worker) bool {
	return !w.readyAt.IsZero() && m.now.Sub(w.readyAt) >= m.policy.stableAfter()
}

// wasAlive reports whether a worker that has ended had been ready for the interval.
func (m *Machine) wasAlive(w *worker) bool {
	return !w.readyAt.IsZero() && m.now.Sub(w.readyAt) >= m.policy.interval()
}

// isEarly reports whether the end of a worker counts as a failed start. The end of one
// that an operator has signalled does not, nor that of one that has succeeded while
// others serve: servers have their workers exit after so many requests.
func (m *Machine) isEarly(w *worker, status Status) bool {
	switch {
	case m.wasStable(w), w.signalled:
		return false
	case status.Success() && m.wasAlive(w):
		return !m.anyAccepts()
	}
	return true
}

// failsAttempt reports whether the end of a worker in a slot that its generation has
// taken over fails the attempt: it was hardly ready, the generation has no other, or it
// is the second in its slot to end early. With the first it may have been the request
// that it had in hand.
func (m *Machine) failsAttempt(g *generation, w *worker, status Status) bool {
	return m.isEarly(w, status) && (!m.wasAlive(w) || !g.hasWorker() || m.pool.slots[w.slot].lostBy == g.number)
}

// refillAt is when the successor of a worker that has ended early may be started,
// after so many in a row. One that had been ready for the interval has its first
// successor at once; from then on the waits begin at its end, for what it has lived
// would else count for them.
func (m *Machine) refillAt(w *worker, losses int) time.Time {
	switch {
	case !m.wasAlive(w):
		return w.started.Add(m.policy.backoff(losses))
	case losses > 1:
		return m.now.Add(m.policy.backoff(losses - 1))
	}
	return m.now
}

// scheduleRefill decides when the slot of a worker that has ended gets the next
// one: at once if the worker was stable, else after the back-off.
func (m *Machine) scheduleRefill(g *generation, w *worker, status Status, reason string) {
	next, early := m.now, m.isEarly(w, status)
	s := &m.pool.slots[w.slot]
	if early {
		s.losses++
		s.lostBy = g.number
		m.flapping.last, m.flapping.lastAt = status, m.now
		next = m.refillAt(w, s.losses)
	}
	a := Transition{Generation: g.number, State: Lost, Reason: reason}
	wait := max(0, next.Sub(m.now))
	switch {
	case g.place(w.slot).worker != nil: // the replacement of the one that has ended
		a.State = g.state
		m.do(a)
		return
	case g.state == Partial:
		m.giveBack(g, w.slot, next)
		a.State, a.Next = Partial, wait
		m.do(a)
		m.removeDone(g)
		return
	case g.hasWorker(), g.isCandidate(), m.pool.shared():
		a.State, a.Next = g.state, wait
		g.place(w.slot).refillAt = next
		m.do(a)
		return
	}
	if g.state = Retiring; g.empty() { // else it is gone with the last of its orphans
		m.remove(g)
	}
	if early {
		// A worker that was there already when a failure was counted belongs to that
		// failure.
		if !w.started.Before(m.failedAt) {
			m.countFailure()
		}
		next = m.refillAt(w, max(m.failures, s.losses))
	}
	switch {
	case m.candidate() != nil: // takes its place
	case early && m.policy.MaxFailures > 0 && m.failures >= m.policy.MaxFailures:
		m.halt(m.policy.exitStatus(status), reason)
	default:
		m.request(OnLoss)
		m.notBefore, a.Next = next, max(0, next.Sub(m.now))
	}
	m.do(a)
	if early {
		m.takeBack(g, reason)
	}
}

// takeBack corrects the outcome of a swap whose generation has lost its last worker
// before it had served for long enough.
func (m *Machine) takeBack(g *generation, reason string) {
	if m.now.Sub(g.servedAt) >= m.policy.stableAfter() {
		return
	}
	m.do(Outcome{Ticket: g.ticket, Result: OutcomeLost, Generation: g.number, Reason: reason})
	if g.swapped && m.phase == operating {
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number, Failure: reason})
	}
}

// refill starts a worker in each vacant slot for the generation that holds it.
func (m *Machine) refill() {
	for _, g := range m.generations {
		if g.state < Starting || g.state > Serving {
			continue
		}
		for slot := range m.pool.slots {
			if m.holds(g, slot) && g.place(slot).worker == nil && m.due(g.places[slot].refillAt) && g.forking(slot) == nil {
				m.start(g, slot)
			}
		}
	}
}
