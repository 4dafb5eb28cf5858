package machine

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
	case g.isCandidate() && (g.places[w.slot].inBatch || !m.wasStable(w)):
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

// scheduleRefill decides when the slot of a worker that has ended gets the next
// one: at once if the worker was stable, else after the back-off.
func (m *Machine) scheduleRefill(g *generation, w *worker, status Status, reason string) {
	next := m.now
	if !m.wasStable(w) {
		// A worker that was there already when a failure was counted belongs to that
		// failure: workers that all end for one cause are counted once.
		if !w.started.Before(m.failedAt) {
			m.countFailure()
		}
		next = w.started.Add(m.policy.backoff(m.failures))
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
	switch {
	case m.candidate() != nil: // takes its place
	case m.policy.MaxFailures > 0 && m.failures >= m.policy.MaxFailures:
		m.halt(m.policy.exitStatus(status), reason)
	default:
		m.request(OnLoss)
		m.notBefore, a.Next = next, wait
	}
	m.do(a)
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
