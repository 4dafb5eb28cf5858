package machine

import (
	"slices"
	"time"
)

// noteLoss takes note of a worker's end and of what has to follow.
func (j *judge) noteLoss(u *seenWorker, status Status) {
	g := u.generation
	p := g.place(u.slot)
	held, replacement := p.worker == u && j.holds(g, u.slot), p.replacement == u
	if held && u.accepts() {
		j.missing++
	}
	switch u {
	case p.worker:
		p.worker, p.replacement = p.replacement, nil
	case p.replacement:
		p.replacement = nil
	default:
		g.leaving = slices.DeleteFunc(g.leaving, func(other *seenWorker) bool { return other == u })
	}
	vacant := g.empty()
	switch {
	case j.phase != operating, g.state == Retiring, g.state == Failed:
		if vacant {
			j.expect(g, Gone, 0)
		}
	case j.policy.Respawn == Never, j.policy.Respawn == OnFailure && status.Success() && held && (g.state >= Serving || j.serving() == nil):
		j.mark(map[bool]string{true: "the command of a plain init has ended", false: "a worker has succeeded"}[j.policy.Respawn == Never])
		if vacant {
			j.expect(g, Gone, 0)
		}
		j.halt(j.policy.exitStatus(status))
	case replacement:
		j.noteFailedReplacement(u)
	case !held:
		if vacant && g.state == Partial {
			j.expect(g, Gone, 0)
		}
	case g.state < Serving && (p.inBatch || j.isEarly(u, status) && (!j.wasAlive(u) || !g.some(func(u *seenWorker) bool { return !u.orphan }) || j.slots[u.slot].lostBy == g.number)):
		if !p.inBatch {
			j.mark("a swapped slot fails its attempt")
			if j.wasAlive(u) {
				j.mark("a swapped slot fails its attempt by its second loss")
			}
		}
		j.giveBack(g, u.slot, j.now)
		g.broken = true
	default:
		j.lost(g, u, status, vacant)
	}
}

// lost is what follows from the end of a worker in a slot of its generation.
func (j *judge) lost(g *seenGeneration, u *seenWorker, status Status, vacant bool) {
	next, early := j.now, j.isEarly(u, status)
	b := &j.slots[u.slot]
	switch {
	case early:
		b.losses++
		b.lostBy = g.number
		j.last, j.lastAt = status, j.now
		next = j.next(u, b.losses)
		j.mark("loss of a worker that was not stable")
	case j.wasStable(u):
		j.mark("loss of a worker that was stable")
	}
	switch p := g.place(u.slot); {
	case p.worker != nil:
		j.mark("loss of a worker that has a replacement")
		j.expect(g, g.state, 0)
		return
	case g.state == Partial:
		j.mark("loss of a slot that was swapped")
		j.giveBack(g, u.slot, next)
		j.expect(g, Partial, next.Sub(j.now))
		if vacant {
			j.expect(g, Gone, 0)
		}
		return
	case g.some(func(u *seenWorker) bool { return !u.orphan }), g.state < Serving, j.shared():
		j.mark(map[bool]string{true: "loss of all workers but of swapped slots", false: "loss of some workers"}[vacant])
		p.refill = next
		j.expect(g, g.state, next.Sub(j.now))
		return
	}
	j.mark("loss of all workers")
	if g.state = Retiring; vacant {
		j.remove(g)
	} else {
		j.mark("loss of all workers but orphans")
	}
	j.serves = 0
	if early {
		if !u.started.Before(j.failedAt) {
			j.failures++
			j.failedAt = j.now
		} else {
			j.mark("one failure of several workers")
		}
		next = j.next(u, max(j.failures, b.losses))
	}
	var wait time.Duration
	switch {
	case j.candidate() != nil:
		j.mark("loss of all workers while the next is " + j.candidate().state.String())
	case early && j.policy.MaxFailures > 0 && j.failures >= j.policy.MaxFailures:
		j.mark("given up with nothing that serves")
		j.halt(j.policy.exitStatus(status))
	default:
		j.request(OnLoss)
		j.notBefore, wait = next, next.Sub(j.now)
	}
	j.expect(g, Lost, wait)
	if early && j.now.Sub(g.served) < j.stableAfter() {
		j.expectOutcome(seenTicket{number: g.ticket}, Outcome{Result: OutcomeLost, Generation: g.number})
		if g.swapped && j.phase == operating {
			j.mark("after-swap hears of a loss")
			j.runHook(AfterSwap, g.number, true)
		}
	}
}

func (j *judge) expect(g *seenGeneration, s State, next time.Duration) {
	j.transitions = append(j.transitions, Transition{Generation: g.number, State: s, Next: max(0, next)})
}

// noteAlive makes those ready that have lived long enough.
func (j *judge) noteAlive() {
	if j.phase != operating || !j.aliveCounts() {
		return
	}
	for _, g := range j.generations {
		for u := range g.live {
			if !j.mayBecomeAlive(u) || j.now.Before(u.started.Add(j.aliveAfter())) {
				continue
			}
			if by := j.by(u); by != ByNothing {
				j.ready(u, by)
			}
		}
	}
}

func (j *judge) mayBecomeAlive(u *seenWorker) bool {
	return u.executed && !u.orphan && u.ready.IsZero() && u.untouched() && !u.suspended && !u.leaving && u != j.hung && Starting <= u.generation.state && u.generation.state <= Partial
}

func (j *judge) ready(u *seenWorker, by ReadyBy) {
	u.ready, u.readyBy, u.lastPing, u.extended = j.now, by, j.now, time.Time{}
	u.news = j.now
	if by == ByInterval && j.policy.Looks && j.policy.Ready == Auto {
		j.unverified = append(j.unverified, u)
	}
	j.replace(u)
}

// replace gives a replacement that is ready its slot.
func (j *judge) replace(u *seenWorker) {
	if p := u.generation.place(u.slot); p.replacement == u && u.accepts() {
		j.mark("recycled")
		j.vacate(p.worker)
		j.replacements, j.replaceAt = 0, j.now.Add(j.interval())
	}
}

// vacate takes a worker's slot from it.
func (j *judge) vacate(u *seenWorker) {
	g := u.generation
	p := g.place(u.slot)
	if p.worker == u {
		p.worker = p.replacement
	}
	p.replacement = nil
	u.leaving = true
	g.leaving = append(g.leaving, u)
}
