package machine

// noteOrphaned takes note of a process that is left by a worker, or by an orphan of one:
// it has to be asked to end or be killed in this very step.
func (j *judge) noteOrphaned(e Orphaned) {
	u := j.worker(e.PID)
	if u == nil || e.Orphan <= 0 || j.worker(e.Orphan) != nil || !j.policy.KillGroup || j.policy.Respawn == Never {
		return
	}
	if j.phase == orphaned {
		return // it is asked with all others
	}
	o := &seenWorker{
		generation: u.generation, slot: u.slot, pid: e.Orphan, started: j.now, executed: true, leaving: true, orphan: true,
		drainUntil: u.drainUntil, extended: u.extended, doomed: u.killed || u.ready.IsZero() && u.untouched(),
	}
	u.generation.leaving = append(u.generation.leaving, o)
	switch {
	case u.orphan:
		j.mark("an orphan leaves an orphan")
	case o.doomed && u.killed:
		j.mark("a worker that is killed leaves an orphan")
	case o.doomed:
		j.mark("a worker that is not ready leaves an orphan")
	case u.untouched():
		j.mark("a worker that ends by itself leaves an orphan")
	case !u.ended.IsZero():
		j.mark("a worker that was asked to end leaves an orphan")
	default:
		j.mark("a worker that was asked to stop leaves an orphan")
	}
}

// limitOrphans begins the time of orphans that stop-timeout does not limit.
func (j *judge) limitOrphans() {
	if j.phase != terminating || !j.killAt.IsZero() {
		return
	}
	orphans := false
	for _, g := range j.generations {
		for u := range g.live {
			switch awaited := !j.policy.PID1 && !u.orphan || !u.immune && !u.stuck; {
			case awaited && !u.orphan:
				return
			case awaited:
				orphans = true
			}
		}
	}
	if orphans {
		j.mark("orphans of workers limited without stop-timeout")
		j.stopLimit = j.now.Add(orphanGrace)
		j.killAt = j.stopLimit
	}
}
