package machine

import (
	"slices"
	"time"
)

// seenLooks is what the judge knows of the looks at workers.
type seenLooks struct {
	lookAsked  time.Time // zero: none is outstanding
	lookLast   time.Time // when the last was asked for
	lookDue    time.Time // zero: nobody has to be looked at
	unverified []*seenWorker
}

func (j *judge) judgeLook(a Look) {
	switch pids, _ := j.toSee(); {
	case j.phase != operating:
		broken("I8", "%v after a stop", a)
	case !j.policy.Looks:
		broken("I45", "%v and nothing can be seen", a)
	case !j.lookAsked.IsZero():
		broken("I45", "%v and one is outstanding", a)
	case j.now.Before(j.nextLook(pids)):
		broken("I45", "%v too early", a)
	case !slices.Equal(pids, a.PIDs) || len(pids) == 0:
		broken("I45", "%v and those to be looked at are %d", a, pids)
	}
	j.lookAsked, j.lookLast, j.lookDue = j.now, j.now, time.Time{}
}

func (j *judge) noteLooked(e Looked) {
	asked := j.lookAsked
	if j.lookAsked = (time.Time{}); asked.IsZero() || j.phase != operating {
		return
	}
	for _, g := range e.Workers {
		switch u := j.worker(g.PID); {
		case u == nil:
			j.mark("a look at nobody")
		case !u.started.Before(asked):
			j.mark("a look at one that came after it was asked for")
		case u.sight != Accepting:
			j.mark("seen as " + g.Sight.String())
			u.sight = g.Sight
			if g.Sight == NotAccepting {
				u.unsure = time.Time{}
			} else if u.unsure.IsZero() {
				u.unsure = j.now
			}
		}
	}
	pids, youngest := j.toSee()
	pause := max(10*time.Millisecond, j.now.Sub(youngest)/32, 4*j.now.Sub(asked))
	if slices.ContainsFunc(pids, func(pid int) bool { return j.worker(pid).ready.IsZero() }) {
		pause = min(pause, time.Second)
	} else if len(pids) > 0 && pause > time.Second {
		j.mark("seldom looks at ready workers that do not accept")
	}
	j.lookDue = j.now.Add(pause)
}

// nextLook is when the next look is due: soon where there is news of one of them.
func (j *judge) nextLook(pids []int) time.Time {
	if j.lookDue.IsZero() {
		j.lookDue = j.now.Add(10 * time.Millisecond)
	}
	due := j.lookDue
	for _, pid := range pids {
		if u := j.worker(pid); u.news.After(j.lookLast) && u.news.Add(10*time.Millisecond).Before(due) {
			due = u.news.Add(10 * time.Millisecond)
		}
	}
	return due
}

// toSee are the workers that have to be looked at, and when the youngest was started.
func (j *judge) toSee() (pids []int, youngest time.Time) {
	for _, g := range j.generations {
		if g.state < Starting || g.state > Partial {
			continue
		}
		for slot := range g.places {
			for _, u := range [...]*seenWorker{g.places[slot].worker, g.places[slot].replacement} {
				if u == nil || !u.executed || !u.untouched() || u.suspended || u.sight == Accepting {
					continue
				}
				if u.ready.IsZero() && (j.policy.Ready == Auto || j.policy.Ready == Seen) ||
					!u.ready.IsZero() && j.policy.Steer && j.isGated(u) {
					pids = append(pids, u.pid)
					if youngest.Before(u.started) {
						youngest = u.started
					}
				}
			}
		}
	}
	return pids, youngest
}

// patience is until when a worker may be undecided.
func (j *judge) patience(u *seenWorker) time.Time {
	if j.policy.StartTimeout == 0 {
		return u.unsure.Add(30 * time.Second)
	}
	return u.unsure.Add(j.policy.StartTimeout / 2)
}

// isGated reports whether nothing is steered to a worker, ready as it is.
func (j *judge) isGated(u *seenWorker) bool {
	return j.policy.Looks && (u.sight == NotAccepting || u.sight == Undecided && j.now.Before(j.patience(u)))
}

// by is by what a worker would be ready that has lived for the interval.
func (j *judge) by(u *seenWorker) ReadyBy {
	sees := j.policy.Respawn != Never && (j.policy.Ready == Seen || j.policy.Ready == Auto && j.policy.Looks)
	switch {
	case !sees:
		return ByInterval
	case u.sight == Accepting:
		return ByAccepting
	case j.policy.Ready == Auto && (u.sight == Unknown || u.sight == Undecided && !j.now.Before(j.patience(u))):
		j.mark("ready though it is " + u.sight.String())
		return ByInterval
	}
	return ByNothing
}

func (j *judge) judgeUnverified(a Unverified) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	i := slices.Index(j.unverified, u)
	if i < 0 {
		broken("I46", "%v has no cause", a)
	}
	j.unverified = slices.Delete(j.unverified, i, i+1)
}

// provedBy is what a generation counts as ready by.
func (g *seenGeneration) provedBy() (by ReadyBy) {
	for _, p := range g.places {
		if p.worker != nil && p.worker.readyBy != ByNothing && (by == ByNothing || p.worker.readyBy < by) {
			by = p.worker.readyBy
		}
	}
	return by
}

// lookLimits are the limits that looks have, and see to when the next one is due.
func (j *judge) lookLimits(limit func(t time.Time, format string, args ...any)) {
	if !j.policy.Looks {
		return
	}
	vague := func(u *seenWorker) {
		if t := j.patience(u); u.sight == Undecided && j.now.Before(t) {
			limit(t, "patience with pid %d", u.pid)
		}
	}
	for slot, b := range j.slots {
		if u := j.holder(slot); j.policy.Steer && b.open && b.closing.IsZero() && u.accepts() {
			vague(u)
		}
	}
	if !j.lookAsked.IsZero() {
		return
	}
	pids, _ := j.toSee()
	for _, pid := range pids {
		if u := j.worker(pid); !u.ready.IsZero() {
			vague(u)
		}
	}
	if len(pids) == 0 {
		j.lookDue = time.Time{}
		return
	}
	limit(j.nextLook(pids), "look")
}

// concludeLooks judges what should have been logged.
func (j *judge) concludeLooks() {
	for _, u := range j.unverified {
		if u.untouched() {
			broken("I46", "that pid %d cannot be seen is missing", u.pid)
		}
	}
	j.unverified = nil
}
