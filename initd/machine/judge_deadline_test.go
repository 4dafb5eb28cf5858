package machine

import "time"

// concludeDeadline collects every limit there is: none may have passed, and
// the deadline is the earliest.
func (j *judge) concludeDeadline(deadline time.Time, candidate, serving *seenGeneration) {
	var earliest time.Time
	limit := func(t time.Time, format string, args ...any) {
		switch {
		case t.IsZero():
		case !j.now.Before(t):
			broken("I11", "%v too late: "+format, append([]any{j.now.Sub(t)}, args...)...)
		case earliest.IsZero() || t.Before(earliest):
			earliest = t
		}
	}
	for i, k := range j.logCommands {
		if !k.runs {
			limit(k.at, "back-off of log command %d", i)
		}
	}
	if !j.http.runs && j.phase < orphaned {
		limit(j.http.at, "back-off of the HTTP process")
	}
	for _, g := range j.generations {
		for u := range g.live {
			if u.killed {
				if !u.stuck {
					limit(u.killedAt.Add(time.Second), "death of pid %d", u.pid)
				}
				continue
			}
			if !u.immune {
				limit(extended(u.drainUntil, u), "drain-timeout of generation %d", g.number)
			}
			if j.phase != operating {
				continue
			}
			if u.untouched() && !u.ready.IsZero() && !u.immune {
				limit(j.limit(u.lastPing, j.policy.Watchdog), "watchdog of pid %d", u.pid)
			}
			if t := u.started.Add(j.aliveAfter()); j.aliveCounts() && j.mayBecomeAlive(u) {
				switch by := j.by(u); {
				case j.now.Before(t) || by != ByNothing:
					limit(t, "interval of pid %d", u.pid)
				case u.sight == Undecided && j.policy.Ready == Auto:
					limit(j.patience(u), "patience with pid %d", u.pid)
				}
			}
			if t := extended(j.startLimit(u.started), u); j.replaces(u) && !u.immune && (u.pid > 0 || j.now.Before(t)) {
				limit(t, "start-timeout of pid %d", u.pid)
			}
		}
		for slot := range g.places {
			p := &g.places[slot]
			if j.phase != operating || p.worker != nil || !j.holds(g, slot) || g.state < Starting || g.state > Serving {
				continue
			}
			if j.now.Before(p.refill) || j.forking(g.number, slot) == nil {
				limit(p.refill, "back-off of slot %d", slot)
			}
		}
	}
	j.hookLimits(limit)
	switch j.phase {
	case operating:
		j.poolLimits(limit)
		j.stableLimits(limit)
		j.lookLimits(limit)
		if candidate != nil && candidate.isStuckInTrial() {
			limit(j.startLimit(candidate.trial.Add(j.timing.KillOldDelay)), "start-timeout after the trial of generation %d", candidate.number)
		}
		if candidate != nil && (candidate.state == Starting && candidate.hasBatch() || candidate.state == Probing) {
			limit(j.batchLimit(candidate), "start-timeout of generation %d", candidate.number)
		}
		switch {
		case candidate == nil && j.requested() && j.hooks[AfterInit].runs:
		case candidate == nil && j.requested():
			limit(j.notBefore, "back-off")
		case candidate == nil && serving != nil:
			limit(j.restartAt(), "auto-restart")
		case candidate == nil:
		case candidate.state == Probing && candidate.probeRuns:
			limit(j.limit(candidate.probedAt, j.policy.ProbeTimeout), "probe-timeout")
		case candidate.state == Probing && j.allReady(candidate):
			limit(j.nextProbe(candidate), "the next probe")
		case candidate.state == Trial && j.allReady(candidate):
			limit(candidate.trial.Add(j.timing.KillOldDelay), "kill-old-delay")
		}
	case lingering:
		if !j.hooks[BeforeShutdown].runs {
			limit(j.stopAt, "stop-delay")
		}
	case terminating:
		j.limitOrphans()
		if j.now.Before(j.killAt) {
			limit(j.killAt, "stop-timeout")
		}
		for _, g := range j.generations {
			for u := range g.live {
				if u.pid > 0 && !u.killed && !u.immune {
					limit(j.killLimit(u), "stop-timeout of pid %d", u.pid)
				}
			}
		}
	case orphaned:
		limit(j.killAt, "grace of the orphans")
	}
	if !deadline.Equal(earliest) && !j.endsLife(deadline, earliest) {
		broken("I11", "the deadline is %v and the earliest limit %v", j.offset(deadline), j.offset(earliest))
	}
}

func (j *judge) offset(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Sub(j.now).String() + " from now"
}

func (j *judge) limit(from time.Time, limit time.Duration) time.Time {
	if limit == 0 {
		return time.Time{}
	}
	return from.Add(limit)
}

func (j *judge) past(t time.Time) bool { return !t.IsZero() && !j.now.Before(t) }

func (j *judge) startLimit(from time.Time) time.Time {
	if j.policy.Respawn == Never {
		return time.Time{}
	}
	return j.limit(from, j.policy.StartTimeout)
}

func (j *judge) nextProbe(g *seenGeneration) time.Time {
	if g.probedAt.IsZero() {
		return j.now
	}
	return g.probedAt.Add(j.wait(1))
}

// restartAt is when auto-restart asks for a swap; zero for never.
func (j *judge) restartAt() time.Time {
	if !j.timing.AutoRestart || j.policy.Respawn == Never {
		return time.Time{}
	}
	if len(j.generations) > 1 {
		return j.limit(j.swappedAt, 2*j.timing.AutoRestartInterval)
	}
	return j.limit(j.swappedAt, j.timing.AutoRestartInterval)
}

func (j *judge) restarts() bool {
	if j.requested() || j.candidate() != nil || j.serving() == nil || !j.past(j.restartAt()) {
		return false
	}
	j.mark(map[bool]string{true: "auto-restart with old ones left", false: "auto-restart"}[len(j.generations) > 1])
	return true
}

func (j *judge) aliveCounts() bool { return j.policy.Respawn == Never || j.policy.Ready != Notify }

func (j *judge) aliveAfter() time.Duration {
	if j.policy.Respawn == Never {
		return 0
	}
	return j.policy.Interval
}

func (j *judge) stableAfter() time.Duration { return max(j.policy.StableAfter, j.interval()) }

func (j *judge) interval() time.Duration {
	if j.policy.Interval == 0 {
		return 100 * time.Millisecond
	}
	return j.policy.Interval
}

func (j *judge) backoff() time.Duration { return j.wait(j.failures) }

// wait is the back-off as the contract has it.
func (j *judge) wait(failures int) time.Duration {
	bound := j.policy.MaxBackoff
	if bound == 0 {
		bound = 24 * time.Hour
	}
	doublings := max(failures-1, 0)
	if d := j.interval() << min(doublings, 30); d < bound {
		return d
	}
	if doublings > 0 {
		j.mark("back-off at its bound")
	}
	return bound
}
