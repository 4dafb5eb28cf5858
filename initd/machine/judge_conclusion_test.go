package machine

import "time"

func (j *judge) conclude(deadline time.Time) {
	if len(j.forwards) > 0 {
		broken("I17", "%v is missing", j.forwards[0])
	}
	if j.reopens > 0 {
		broken("I17", "reopen is missing")
	}
	if len(j.answers) > 0 {
		broken("I36", "%v is missing", j.answers[0])
	}
	if len(j.transitions) > 0 {
		broken("I13", "%v is missing", j.transitions[0])
	}
	if len(j.early) > 64 {
		broken("I9", "%d signals are kept", len(j.early))
	}
	if j.phase != exited {
		j.fitSlots() // what shows nowhere
		j.concludePool()
		j.concludeLooks()
		j.concludeHooks()
	}
	if j.hung != nil && !j.hung.killed {
		broken("I7", "a worker has sent WATCHDOG=trigger and is not killed")
	}
	j.clockAtHalt = false
	if j.noteClock(); len(j.outcomes) > 0 {
		broken("I35", "%v is missing", j.outcomes[0])
	}
	if j.phase == exited {
		if !deadline.IsZero() {
			broken("I11", "there is a deadline after the exit")
		}
		return
	}
	if j.lastStart {
		broken("I21", "a log command was started before its back-off is over")
	}
	if !j.unlistened && j.phase >= terminating {
		broken("I40", "initd stops and has the listeners open")
	}
	if executed, is := j.event.(Executed); is && j.policy.Respawn == Never && !j.unlistened && j.worker(executed.PID) != nil {
		broken("I40", "the command runs and initd has the listeners open")
	}
	candidate, serving := j.candidate(), j.serving()
	if j.attempted && j.serves != 0 && j.phase == operating && (serving == nil || serving.number != j.serves) {
		broken("I5", "the generation that served does not serve any more")
	}
	switch j.phase {
	case operating:
		if candidate == nil && serving == nil && !j.requested() && j.number > 0 {
			broken("I12", "nothing serves and nothing is under way")
		}
		if candidate == nil && j.requested() && !j.now.Before(j.notBefore) && !j.hooks[AfterInit].runs {
			broken("I16", "an attempt is due and does not begin")
		}
	case terminating:
		if j.awaited() == 0 {
			broken("I12", "no worker is left and initd goes on")
		}
	case orphaned:
		if j.orphansGone {
			broken("I12", "no orphan is left and initd goes on")
		}
	}
	old := 0
	for _, g := range j.generations {
		j.concludeGeneration(g, serving)
		if g.state == Retiring && g.some(func(u *seenWorker) bool { return !u.killed && !u.immune && u.pid > 0 }) {
			old++
		}
	}
	if j.phase == operating && j.policy.MaxOldGenerations > 0 && old > j.policy.MaxOldGenerations {
		broken("I9", "%d old generations are alive", old)
	}
	j.concludeFlapping(serving)
	j.concludeIdle(serving)
	j.concludeDeadline(deadline, candidate, serving)
}

// concludeIdle takes note of whether nothing is under way.
func (j *judge) concludeIdle(serving *seenGeneration) {
	idle := j.phase == operating && j.policy.Respawn != Never && !j.requested() &&
		len(j.generations) == 1 && serving != nil && j.allReady(serving) && len(serving.leaving) == 0 && !serving.isReplacing() &&
		j.openSlots() == j.size && j.stayingOpen() == j.size
	if idle && !j.idle {
		j.mark("idle")
	}
	j.idle = idle
}

func (j *judge) concludeGeneration(g, serving *seenGeneration) {
	if g.empty() && g.state > Checking && !(g.state == Serving && (j.shared() || j.refills(g))) {
		broken("I9", "generation %d has no worker and is still %v", g.number, g.state)
	}
	if g.probeRuns && (g.state != Probing || j.phase != operating) {
		broken("I8", "a probe runs of generation %d, for nothing", g.number)
	}
	if j.phase == operating {
		ready := j.allReady(g)
		switch {
		case (g.broken || g.refused) && g.state < Serving:
			broken("I12", "generation %d cannot succeed any more and is still %v", g.number, g.state)
		case g.state == Starting && !g.hasBatch() && j.batchWaits() == "":
			broken("I12", "generation %d does not start its next batch", g.number)
		case g.state == Starting && g.hasBatch() && ready, g.state == Probing && ready && g.probed, g.state == Trial && ready && serving == nil:
			broken("I12", "generation %d has all it needs and is still %v", g.number, g.state)
		case g.state == Checking && !j.hooks[BeforeSwap].runs:
			broken("I12", "generation %d waits for a hook that does not run", g.number)
		case g.state == Serving && g != serving:
			broken("I4", "two generations serve")
		}
	}
	for slot := range g.places {
		p := &g.places[slot]
		if p.due {
			broken("I24", "generation %d slot %d is of the batch and is not started", g.number, slot)
		}
		if j.phase == operating && p.worker == nil && j.holds(g, slot) && p.refill.IsZero() {
			broken("I12", "generation %d slot %d is never filled", g.number, slot)
		}
	}
	for u := range g.live {
		if u.mustGoOn && !u.killed && j.phase != exited {
			broken("I42", "generation %d slot %d was asked to end and stays suspended", g.number, u.slot)
		}
		switch {
		case u.pid == 0, u.killed, u.immune:
		case u.orphan && u.untouched():
			broken("I39", "pid %d, which belonged to a worker of generation %d, was not asked to end", u.pid, g.number)
		case u.doomed:
			broken("I7", "generation %d has failed and slot %d is not killed", g.number, u.slot)
		case j.phase == terminating && u.ended.IsZero():
			broken("I12", "generation %d slot %d was not asked to end", g.number, u.slot)
		case (g.state == Retiring || g.state == Failed || u.leaving) && u.stopped.IsZero() && u.ended.IsZero():
			broken("I12", "generation %d slot %d was not asked to stop", g.number, u.slot)
		}
	}
}
