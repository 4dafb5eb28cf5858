package machine

// startBatch starts the next workers of a candidate, in surge of the slots that it
// has not taken over yet. It starts all at once where surge is 0, and where nothing
// serves that would have to go on serving meanwhile.
func (m *Machine) startBatch(g *generation) {
	size := m.policy.Surge
	if size == 0 || m.serving() == nil {
		size = len(m.pool.slots)
	}
	for slot, s := range m.pool.slots {
		if s.open && s.owner != g.number && size > 0 {
			size--
			g.place(slot).inBatch = true
			m.start(g, slot)
		}
	}
}

// start starts a worker in a slot of a generation: the slot's own, or the
// replacement of the one that is there.
func (m *Machine) start(g *generation, slot int) {
	m.pool.starts++
	w := &worker{slot: slot, state: forking, started: m.now, life: m.drawLifetime()}
	if p := g.place(slot); p.worker == nil {
		p.worker = w
	} else {
		p.replacement = w
	}
	m.do(Start{Generation: g.number, Slot: slot})
}

// nextBatch goes on with a swap by batches once the workers that the last batch
// has replaced are gone: a swap is to need memory for surge workers more, and no
// more than that.
func (m *Machine) nextBatch(g *generation) {
	for _, other := range m.generations {
		if m.policy.Surge > 0 && other.state <= Partial && len(other.leaving) > 0 {
			return
		}
	}
	g.began = m.now
	m.startBatch(g)
}

// takeOver gives the slots of a ready batch to the candidate. With the last of
// them the candidate serves. The older workers of these slots are asked to stop
// now, and never before.
func (m *Machine) takeOver(g *generation) {
	all := true
	for slot := range m.pool.slots {
		s := &m.pool.slots[slot]
		if g.place(slot).inBatch {
			g.places[slot].inBatch = false
			s.owner = g.number
		}
		all = all && (!s.open || s.owner == g.number)
	}
	if all {
		m.promote(g)
		return
	}
	for _, other := range m.generations {
		if other != g && (other.state == Serving || other.state == Partial) {
			m.releaseSlots(other)
		}
	}
	m.enter(g, Starting, "")
	m.stopUnneeded()
}

// releaseSlots takes the workers of a generation out of the slots that it does
// not hold any more.
func (m *Machine) releaseSlots(g *generation) {
	for slot := range g.places {
		for p := &g.places[slot]; p.worker != nil && !m.holds(g, slot); {
			g.vacate(p.worker)
		}
	}
	m.removeDone(g)
}

// promote has a generation serve that holds every slot.
func (m *Machine) promote(g *generation) {
	swap := m.serving() != nil
	m.swappedAt, m.soundSince, m.everReady = m.now, m.now, true
	g.servedAt, g.ticket, g.swapped = m.now, m.current.ticket, swap
	m.pool.clearOwners()
	m.enter(g, Serving, "")
	m.conclude(&m.current, Outcome{Result: OutcomeReady, Generation: g.number})
	for _, old := range m.generations {
		if old != g && (old.state == Serving || old.state == Partial) {
			m.enter(old, Retiring, "")
			m.removeEmpty(old)
		}
	}
	if swap {
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number})
	}
	m.stopUnneeded() // at once, before the next swap begins, if one is requested already
}
