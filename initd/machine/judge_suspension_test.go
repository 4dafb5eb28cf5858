package machine

// noteSuspended takes note that a worker was suspended.
func (j *judge) noteSuspended(e Suspended) {
	u := j.worker(e.PID)
	if u == nil || u.suspended {
		return
	}
	if u.accepts() && j.holder(u.slot) == u {
		j.missing++
	}
	u.suspended = true
	if asked := !u.stopped.IsZero() || !u.ended.IsZero(); asked && !u.killed && !u.continued {
		j.mark("suspended when it has been asked to end")
		u.mustGoOn = true
	}
}

func (j *judge) noteContinued(e Continued) {
	if u := j.worker(e.PID); u != nil && u.suspended {
		j.mark("continued while " + j.viewOf(u).State)
		u.suspended, u.mustGoOn = false, false
		if !u.unsure.IsZero() {
			u.unsure = j.now
		}
		u.news = j.now
		j.replace(u)
	}
}

// judgeContinue judges that a worker goes on which could not obey else.
func (j *judge) judgeContinue(a Continue) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if !u.mustGoOn || u.killed {
		broken("I42", "%v has no cause", a)
	}
	u.mustGoOn, u.continued = false, true
}

// askToEnd takes note that a worker was sent a signal by which it may end.
func (j *judge) askToEnd(u *seenWorker) {
	u.continued = false
	if u.mustGoOn = u.suspended; u.suspended {
		j.mark("asked to end while it is suspended")
	}
}

// hangs reports whether those that would accept for the generation that serves are
// suspended.
func (j *judge) hangs() bool {
	suspended := 0
	for slot := range j.slots {
		switch u := j.holder(slot); {
		case u.accepts():
			return false
		case u != nil && u.suspended:
			suspended++
		}
	}
	return suspended > 0
}

// isStuckInTrial reports whether a candidate waits for a worker of its batch that is
// suspended.
func (g *seenGeneration) isStuckInTrial() bool {
	for _, p := range g.places {
		if g.state == Trial && p.inBatch && p.worker != nil && p.worker.suspended {
			return true
		}
	}
	return false
}
