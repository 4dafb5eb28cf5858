package machine

import (
	"slices"
	"time"
)

func (j *judge) judgeTransition(a Transition) {
	g := j.generation(a.Generation)
	known := a
	known.Reason = ""
	if i := slices.Index(j.transitions, known); i >= 0 {
		j.transitions = slices.Delete(j.transitions, i, i+1)
		switch {
		case a.State == Checking, a.State == Starting:
			g.state = a.State
		case a.State == Gone:
			j.remove(g)
		}
		return
	}
	if g == nil {
		broken("I2", "%v of a generation that is not there", a)
	}
	if j.phase != operating && a.State <= Serving {
		broken("I8", "%v after a stop", a)
	}
	old := j.serving()
	switch {
	case a.State == Probing && g.state == Starting && g.hasBatch() && j.allReady(g) && j.policy.Probe:
		g.probedAt, g.probed = time.Time{}, false
	case a.State == Trial && j.proved(g) && old != nil && j.timing.KillOldDelay > 0:
		g.trial = j.now
	case (a.State == Serving || a.State == Starting) && (g.state == Trial || j.proved(g)):
		j.judgeTakeover(g, old, a)
	case a.State == Failed && g.state < Serving:
		j.judgeFailure(g, a)
		return
	default:
		broken("I4", "%v while it is %v", a, g.state)
	}
	g.state = a.State
}

// judgeTakeover judges that a batch has its slots.
func (j *judge) judgeTakeover(g, old *seenGeneration, a Transition) {
	switch over := g.state == Trial && !j.now.Before(g.trial.Add(j.timing.KillOldDelay)); {
	case !j.allReady(g):
		broken("I4", "%v and not all its workers are ready", a)
	case old == nil && g.state == Trial:
		j.mark("trial cut short by the loss of the old one")
	case old == nil:
	case j.timing.KillOldDelay > 0 && !over:
		broken("I4", "%v and its trial is not over", a)
	case over:
		j.mark("trial over")
	}
	if g.number < j.number {
		broken("I2", "%v and there is a newer one", a)
	}
	all := true
	for slot := range j.slots {
		b := &j.slots[slot]
		if p := g.place(slot); p.inBatch {
			p.inBatch = false
			b.owner = g.number
		}
		all = all && (!b.open || b.owner == g.number)
	}
	if a.State == Serving && a.ReadyBy != g.provedBy() {
		broken("I46", "%v, and it was by %v", a, g.provedBy())
	}
	if all != (a.State == Serving) {
		broken("I4", "%v, and that it has all slots is %v", a, all)
	}
	if !all {
		j.mark("batch swapped")
		for _, other := range j.generations {
			if other.state == Serving || other.state == Partial {
				for slot := range other.places {
					for p := other.place(slot); p.worker != nil && !j.holds(other, slot); {
						j.vacate(p.worker)
					}
				}
			}
		}
		return
	}
	j.sound, j.swappedAt, j.everReady = j.now, j.now, true
	g.served, g.ticket, g.swapped = j.now, j.current.number, old != nil
	j.attemptEnds(OutcomeReady, 0)
	for slot := range j.slots {
		j.slots[slot].owner = 0
	}
	for _, other := range j.generations {
		if other.state == Serving || other.state == Partial {
			if other.state == Partial {
				j.mark("slots swapped back")
			}
			j.expect(other, Retiring, 0)
			if other.state = Retiring; other.empty() {
				j.expect(other, Gone, 0)
			}
		}
	}
	if old != nil {
		j.runHook(AfterSwap, g.number, false)
	}
}

// proved reports whether a candidate has done all but its trial.
func (j *judge) proved(g *seenGeneration) bool {
	return g.hasBatch() && j.allReady(g) && (g.state == Starting && !j.policy.Probe || g.state == Probing && g.probed)
}

func (j *judge) judgeFailure(g *seenGeneration, a Transition) {
	switch {
	case g.refused, g.broken:
		j.mark("attempt failed while " + g.state.String())
	case (g.state == Starting && g.hasBatch() && !j.allReady(g) || g.state == Probing) && j.past(j.batchLimit(g)):
		j.mark("start-timeout while " + g.state.String())
	case g.isStuckInTrial() && j.past(j.startLimit(g.trial.Add(j.timing.KillOldDelay))):
		j.mark("start-timeout while trial")
	default:
		broken("I5", "%v without a cause", a)
	}
	j.attempted = true
	j.failures++
	j.failedAt = j.now
	next := g.began.Add(j.backoff())
	want, halts := time.Duration(0), false
	switch {
	case j.policy.MaxFailures == 0 || j.failures < j.policy.MaxFailures:
		j.notBefore, want = next, max(0, next.Sub(j.now))
		j.attemptEnds(OutcomeFailed, want)
	case j.serving() != nil:
		j.mark("given up, the old one stays")
		j.attemptEnds(OutcomeGivenUp, 0)
		j.failures, j.notBefore, j.swappedAt, j.gaveUp = 0, time.Time{}, j.now, g.number
	default:
		j.mark("given up with nothing that serves")
		j.attemptEnds(OutcomeGivenUp, 0)
		halts = true
	}
	if a.Next != want {
		broken("I13", "%v, and %d failures in a row make it %v", a, j.failures, want)
	}
	j.discard(g)
	switch {
	case j.serving() != nil:
		j.runHook(AfterSwap, g.number, true)
	case !halts:
	case g.refused:
		j.halt(j.policy.exitStatus(Status{Code: setupFailed}))
	case g.broken: // the status of a worker that was lost is known where it was lost
		j.halt(j.lastStatus())
	default:
		j.halt(j.policy.exitStatus(Status{Signal: KILL}))
	}
}

// discard is what becomes of a failed attempt.
func (j *judge) discard(g *seenGeneration) {
	trial, late := g.state == Trial, !g.broken && !g.refused
	if g.state = Failed; trial {
		g.state = Retiring // clients may be with it
	}
	for slot, b := range j.slots {
		if b.open && b.owner == g.number {
			if g.place(slot).worker == nil {
				j.mark("a vacant slot of a failed attempt")
				j.giveBack(g, slot, j.now)
			} else {
				g.state = Partial
			}
		}
	}
	for slot := range g.places {
		p := &g.places[slot]
		if u := p.worker; p.inBatch && u != nil {
			u.doomed = late || u.ready.IsZero() || !u.untouched()
			if !u.doomed && !trial {
				j.mark("a ready worker of a failed attempt is asked to stop")
			}
		}
		if p.inBatch && p.worker != nil && g.state == Partial {
			j.mark(map[bool]string{true: "batch fails in its trial", false: "batch fails"}[trial])
			j.vacate(p.worker)
		}
		p.inBatch = false
	}
	if g.empty() {
		j.remove(g)
	}
}

// lastStatus is initd's own for the loss of a worker that the event is about.
func (j *judge) lastStatus() int {
	switch e := j.event.(type) {
	case Exited:
		return j.policy.exitStatus(e.Status)
	case NotExecuted:
		return j.policy.exitStatus(Status{Code: e.Status})
	case ForkFailed:
		return j.policy.exitStatus(Status{Code: e.Status})
	}
	return j.policy.exitStatus(Status{Code: setupFailed})
}
