package machine

import "time"

func (j *judge) judgePrepare(a Prepare) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	if c := j.candidate(); c != nil {
		broken("I1", "%v while %d is %v", a, c.number, c.state)
	}
	if j.hooks[AfterInit].runs {
		broken("I32", "%v and after-init has not succeeded", a)
	}
	if j.noteClock(); !j.requested() {
		broken("I1", "%v without a cause", a)
	}
	if a.Generation != j.number+1 {
		broken("I2", "%v comes after %d", a, j.number)
	}
	if j.now.Before(j.notBefore) {
		broken("I13", "%v %v too early", a, j.notBefore.Sub(j.now))
	}
	if j.serving() != nil {
		j.mark("swap begun")
	}
	j.fitSlots() // at last
	if !j.changedFirst.IsZero() {
		j.mark("changes read by another swap")
	}
	j.number, j.changedFirst = a.Generation, time.Time{}
	j.judgeAttempt(a)
	if g := j.serving(); g != nil {
		for i := range g.places {
			if u := g.places[i].replacement; u != nil {
				j.mark("a swap makes a replacement pointless")
				j.vacate(u)
			}
		}
	}
	for i := range j.slots {
		if !j.slots[i].closing.IsZero() {
			j.mark("a swap keeps a slot open")
			j.slots[i].closing = time.Time{}
		}
	}
	j.generations = append(j.generations, &seenGeneration{number: a.Generation, attempted: j.now, began: j.now})
}

func (j *judge) judgeProbe(a Probe) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	g := j.generation(a.Generation)
	if g == nil || g.state != Probing || g.probeRuns || !j.allReady(g) {
		broken("I4", "%v of a generation that is not to be probed", a)
	}
	if j.now.Before(j.nextProbe(g)) {
		broken("I13", "%v too early", a)
	}
	g.probeRuns, g.probedAt = true, j.now
}

func (j *judge) judgeCancel(a CancelProbe) {
	g := j.generation(a.Generation)
	switch {
	case g == nil || !g.probeRuns:
		broken("I6", "%v, which does not run", a)
	case j.phase != operating:
		j.mark("probe cancelled by a stop")
	case g.broken:
		j.mark("probe cancelled by a failure")
	case j.past(j.limit(g.probedAt, j.policy.ProbeTimeout)):
		j.mark("probe-timeout")
	case j.past(j.startLimit(g.began)):
		j.mark("probe cancelled by start-timeout")
	default:
		broken("I7", "%v without a cause", a)
	}
	g.probeRuns = false
}
