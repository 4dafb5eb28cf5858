package machine

import (
	"slices"
	"time"
)

// seenSurveys is what the judge knows of the surveys, and of what follows from them.
type seenSurveys struct {
	surveyAsked time.Time // zero: none is outstanding
	surveyDue   time.Time
	waits       int // surveys in a row that saw a queue
	step        int // the next growth, at most
	surplus     time.Time
	shrinkAfter time.Duration
	shrunk      time.Time
}

func (j *judge) judgeSurvey(a Survey) {
	switch {
	case j.phase != operating:
		broken("I8", "%v after a stop", a)
	case !j.surveyAsked.IsZero():
		broken("I29", "%v and one is outstanding", a)
	case j.serving() == nil:
		broken("I29", "%v and nothing serves", a)
	case j.surveyDue.IsZero() || j.now.Before(j.surveyDue):
		broken("I29", "%v too early", a)
	}
	j.surveyAsked, j.surveyDue = j.now, time.Time{}
}

func (j *judge) noteSurvey(e Surveyed) {
	asked := j.surveyAsked
	if j.surveyAsked = (time.Time{}); asked.IsZero() || j.phase != operating {
		return
	}
	j.mark("surveyed")
	for _, s := range e.Workers {
		switch u := j.worker(s.PID); {
		case u == nil:
			j.mark("a sample of nobody")
		case !u.started.Before(asked):
			j.mark("a sample of one that came after it was asked for")
		case u.accepts():
			j.noteSample(u, s)
		}
	}
	for slot := range j.slots {
		b := &j.slots[slot]
		if slot < len(e.Queues) && (b.closing.IsZero() || asked.Sub(b.closing) >= time.Second) {
			b.queue = e.Queues[slot]
		}
	}
	j.noteLoad(e.Queue)
}

// noteSample takes note of what was seen of a worker.
func (j *judge) noteSample(u *seenWorker, s Sample) {
	busy := s.Activity == Busy
	switch {
	case s.Activity != Silent:
	case s.Clients >= 0:
		busy = s.Clients > 0
	case !u.seen.IsZero():
		j.mark("judged by its CPU time")
		busy = s.CPU-u.cpu >= j.now.Sub(u.seen)/2
	}
	if busy {
		u.idle = time.Time{}
	} else if u.idle.IsZero() || s.Requests != u.requests {
		u.idle = j.now
	}
	if s.Activity != Idle && s.Clients > 0 && s.Gone >= s.Clients {
		if u.clientsGone++; u.clientsGone == 2 {
			if j.policy.DisconnectSignal != 0 {
				j.mark("sent a signal for its clients have gone")
				j.forwards = append(j.forwards, Forward{u.generation.number, u.slot, u.pid, j.policy.DisconnectSignal})
			}
			j.queueHook(RunHook{Hook: OnDisconnect, Generation: u.generation.number, Slot: u.slot, PID: u.pid})
		}
	} else {
		u.clientsGone = 0
	}
	u.seen, u.cpu, u.requests = j.now, s.CPU, s.Requests
	uses := func(used, limit int64) {
		if limit > 0 {
			u.worn = u.worn || 10*used >= 9*limit
			u.wornOut = u.wornOut || used > limit
		}
	}
	uses(s.Requests, j.policy.MaxRequests)
	uses(s.Memory, j.policy.MaxMemory)
	u.wornOut = u.wornOut || j.policy.MaxRequests > 0 && s.Requests == j.policy.MaxRequests
}

// noteLoad takes note of how much there is to do.
func (j *judge) noteLoad(queue int) {
	if j.serving() == nil {
		return
	}
	idle, starting := 0, max(0, j.size-j.stayingOpen())
	for slot, b := range j.slots {
		if !b.open || !b.closing.IsZero() {
			continue
		}
		switch u := j.holder(slot); {
		case !u.accepts() || u.seen.IsZero():
			starting++
		case !u.idle.IsZero():
			idle++
		}
	}
	j.waits++
	if queue == 0 {
		j.waits = 0
	}
	need, reason := j.policy.MinIdle-idle-starting, "grown by min-idle"
	if n := queue - starting; j.waits >= 2 && n > need {
		need, reason = n, "grown by the queue"
	}
	most := max(j.policy.MaxWorkers, j.base)
	if need <= 0 {
		j.step = 1
	} else if j.grow(min(j.size+min(need, j.step), most), reason) {
		if j.step = min(2*j.step, 32); j.step > 4 {
			j.mark("grown by more and more")
		}
		return
	}
	if slices.ContainsFunc(j.slots, func(b seenSlot) bool { return !b.open && b.queue > 0 }) {
		if j.policy.MaxWorkers == 0 {
			most = j.size + 1
		}
		if j.grow(min(j.size+1, most), "grown by the queue of a closed slot") {
			return
		}
	}
	if starting > 0 && j.isFailing() && idle > j.policy.MaxIdle && j.size > j.base {
		j.mark("shrinking while workers fail")
		starting = 0
	}
	switch {
	case idle <= j.policy.MaxIdle || starting > 0 || j.waits > 1 || j.size <= j.base:
		j.surplus = time.Time{}
	case j.surplus.IsZero():
		j.surplus = j.now
	case j.now.Sub(j.surplus) < j.shrinkAfter:
	case j.candidate() != nil:
		j.mark("not shrunk while a swap is under way")
	case !j.shrunk.IsZero() && j.now.Sub(j.shrunk) < time.Second:
		j.mark("not shrunk within a second")
	default:
		j.mark("shrunk")
		if j.shrinkAfter > 15*time.Second {
			j.mark("shrunk after a longer wait")
		}
		j.shrunk = j.now
		j.size--
		j.resizes = append(j.resizes, j.size)
	}
}

// grow takes note of a growth if there is to be one.
func (j *judge) grow(size int, reason string) bool {
	j.surplus = time.Time{}
	if size <= j.size {
		j.mark("too small and cannot grow")
		return false
	}
	if j.isFailing() {
		j.mark("not grown while workers fail")
		return false
	}
	j.mark(reason)
	if !j.shrunk.IsZero() {
		switch quiet := j.now.Sub(j.shrunk); {
		case quiet < 10*time.Minute:
			j.mark("shrinks later")
			j.shrinkAfter = min(2*j.shrinkAfter, 10*time.Minute)
		case quiet > 40*time.Minute:
			j.shrinkAfter = 15 * time.Second
		}
	}
	j.shrunk = time.Time{}
	j.size = size
	j.resizes = append(j.resizes, size)
	return true
}
