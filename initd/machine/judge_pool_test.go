package machine

import (
	"slices"
	"time"
)

// stand is what the judge knows of the slots.
type stand struct {
	slots      []berth
	base, size int
	resizes    []int // that are due
	steered    []int // as was said last
}

// berth is a slot as it is seen from outside.
type berth struct {
	open    bool
	owner   int // 0: the generation that serves
	closing time.Time
	queue   int // -1: it is not known
}

// inquiry is what the judge knows of the surveys, and of what follows from them.
type inquiry struct {
	surveyAsked time.Time // zero: none is outstanding
	surveyDue   time.Time
	waits       int // surveys in a row that saw a queue
	step        int // the next growth, at most
	surplus     time.Time
	patience    time.Duration
	shrunk      time.Time
}

// wear is what the judge knows of the recycling.
type wear struct {
	recycles     *unit // whose successor is to be started in this step
	replacements int   // that have failed in a row
	replaceAt    time.Time
}

// What is asked of the slots.

// holds reports whether a slot is for a generation to have a worker in.
func (j *judge) holds(g *cohort, slot int) bool {
	if slot >= len(j.slots) || !j.slots[slot].open {
		return false
	}
	switch owner := j.slots[slot].owner; {
	case owner == g.number:
		return true
	case g.state == Serving:
		return owner == 0
	}
	return g.state < Serving && slot < len(g.seats) && g.seats[slot].called
}

// holder is the worker that a slot has for who connects to it.
func (j *judge) holder(slot int) *unit {
	for _, g := range j.cohorts {
		if (g.state == Serving || j.slots[slot].owner == g.number) && j.holds(g, slot) {
			return g.seat(slot).unit
		}
	}
	return nil
}

// whole reports whether every slot of a generation has a worker that is ready
// and goes on.
func (j *judge) whole(g *cohort) bool {
	for slot := range j.slots {
		if j.holds(g, slot) && !g.seat(slot).unit.accepts() {
			return false
		}
	}
	return true
}

// accepts reports whether a worker is ready and goes on.
func (u *unit) accepts() bool { return u != nil && !u.ready.IsZero() && u.untouched() }

func (j *judge) readySlots() (n int) {
	for slot := range j.slots {
		if j.holder(slot).accepts() {
			n++
		}
	}
	return n
}

func (j *judge) shared() bool {
	return slices.ContainsFunc(j.slots, func(b berth) bool { return b.owner != 0 })
}

// refills reports whether a slot of a generation is to be filled.
func (j *judge) refills(g *cohort) bool {
	for slot := range j.slots {
		if j.holds(g, slot) && !g.seat(slot).refill.IsZero() {
			return true
		}
	}
	return false
}

func (j *judge) openSlots() (n int) {
	for _, b := range j.slots {
		if b.open {
			n++
		}
	}
	return n
}

// stays is the number of slots that are open and are not being closed.
func (j *judge) stays() (n int) {
	for _, b := range j.slots {
		if b.open && b.closing.IsZero() {
			n++
		}
	}
	return n
}

// replaces reports whether a worker is on its way to be one of a generation
// that goes on without it.
func (j *judge) replaces(u *unit) bool {
	g := u.cohort
	return u.ready.IsZero() && !u.leaving && Starting <= g.state && g.state <= Partial && (g.state >= Serving || !g.seat(u.slot).called)
}

// giveBack gives a slot to the generation that serves, if there is one.
func (j *judge) giveBack(from *cohort, slot int, at time.Time) {
	if j.slots[slot].owner != from.number {
		return
	}
	j.slots[slot].owner = 0
	if g := j.serving(); g != nil {
		g.seat(slot).refill = at
	}
}

// How many there are.

// noteWish takes note of a TTIN or TTOU.
func (j *judge) noteWish(more int) {
	if j.phase != operating {
		return
	}
	if j.restsAt(more) {
		j.mark(map[int]string{+1: "TTIN", -1: "TTOU"}[more])
		if j.candidate() != nil {
			j.mark("resized while a swap is under way")
		}
	} else {
		j.mark("asked for what cannot be")
	}
	j.resizes = append(j.resizes, j.size)
}

// restsAt has the pool have one worker more or less at rest, and reports
// whether it may.
func (j *judge) restsAt(more int) bool {
	most := j.policy.MaxWorkers
	base := max(1, j.base+more)
	if most > 0 && more > 0 && base > most {
		base = j.base
	}
	if base == j.base {
		return false
	}
	j.size = max(base, j.size+more)
	if most > 0 {
		j.size = min(j.size, most)
	} else {
		j.size = base
	}
	j.base = base
	return true
}

func (j *judge) judgeResize(a Resize) {
	if len(j.resizes) == 0 || j.resizes[0] != a.Workers {
		broken("I26", "%v, and what is due is %d", a, j.resizes)
	}
	j.resizes = j.resizes[1:]
}

// fit opens and closes slots by the size that is wanted.
func (j *judge) fit() {
	if j.phase != operating {
		return
	}
	for j.serving() != nil && j.stays() < j.size && j.openSlot() {
	}
	for j.serving() != nil && j.candidate() == nil && j.stays() > j.size {
		b := &j.slots[j.leastMissed()]
		b.closing, b.queue = j.now, -1
		if !j.policy.Steer {
			b.queue = 0
		} else {
			j.mark("closing with a grace")
		}
	}
	for slot := range j.slots {
		if b := &j.slots[slot]; !b.closing.IsZero() && b.queue == 0 && (j.allAccept() || !j.holder(slot).accepts()) {
			j.mark("slot closed")
			*b = berth{}
			for _, g := range j.cohorts {
				for p := g.seat(slot); p.unit != nil && (g.state == Serving || g.state == Partial); {
					j.leave(p.unit)
				}
			}
		}
	}
}

// allAccept reports whether each slot that stays has a ready worker.
func (j *judge) allAccept() bool {
	for slot, b := range j.slots {
		if b.open && b.closing.IsZero() && !j.holder(slot).accepts() {
			j.mark("a slot stays open for one that has lost its worker")
			return false
		}
	}
	return true
}

// openSlot opens a slot if it may.
func (j *judge) openSlot() bool {
	there := j.openSlots()
	for _, g := range j.cohorts {
		if g.state == Serving || g.state == Partial {
			there += len(g.leaving)
		}
	}
	room := j.policy.MaxWorkers == 0 || there < j.policy.MaxWorkers
	strays, closing, shut := -1, -1, -1
	for slot, b := range slices.Backward(j.slots) {
		switch {
		case !b.closing.IsZero():
			closing = slot
		case b.open:
		case b.queue > 0:
			strays, shut = slot, slot
		default:
			shut = slot
		}
	}
	switch {
	case strays >= 0 && room:
		j.mark("a closed slot with a queue opened")
		shut = strays
	case closing >= 0:
		j.mark("a closing slot kept")
		j.slots[closing].closing = time.Time{}
		return true
	case !room:
		j.mark("no room for a slot yet")
		return false
	case shut < 0:
		shut = len(j.slots)
		j.slots = append(j.slots, berth{})
	}
	j.mark("slot opened")
	if j.candidate() != nil {
		j.mark("slot opened while a swap is under way")
	}
	j.slots[shut] = berth{open: true}
	j.serving().seat(shut).refill = j.now
	return true
}

// leastMissed is the slot to be closed: one without a ready worker, else the
// one whose worker has been idle for the longest time; of several the last.
func (j *judge) leastMissed() int {
	least, since := -1, time.Time{}
	for slot, b := range j.slots {
		if !b.open || !b.closing.IsZero() {
			continue
		}
		u, idle := j.holder(slot), time.Time{}
		switch {
		case !u.accepts():
		case u.idle.IsZero():
			idle = j.now.Add(time.Nanosecond)
		default:
			idle = u.idle
		}
		if least < 0 || !idle.After(since) {
			least, since = slot, idle
		}
	}
	return least
}

// What they do.

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
		switch u := j.unit(s.PID); {
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
func (j *judge) noteSample(u *unit, s Sample) {
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
		if u.forsaken++; u.forsaken == 2 {
			if j.policy.DisconnectSignal != 0 {
				j.mark("told that its clients have gone")
				j.forwards = append(j.forwards, Forward{u.cohort.number, u.slot, u.pid, j.policy.DisconnectSignal})
			}
			j.tell(RunHook{Hook: OnDisconnect, Generation: u.cohort.number, Slot: u.slot, PID: u.pid})
		}
	} else {
		u.forsaken = 0
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
	idle, starting := 0, max(0, j.size-j.stays())
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
	if slices.ContainsFunc(j.slots, func(b berth) bool { return !b.open && b.queue > 0 }) {
		if j.policy.MaxWorkers == 0 {
			most = j.size + 1
		}
		if j.grow(min(j.size+1, most), "grown by the queue of a closed slot") {
			return
		}
	}
	if starting > 0 && j.failures > 0 && idle > j.policy.MaxIdle && j.size > j.base {
		j.mark("shrinking while workers fail")
		starting = 0
	}
	switch {
	case idle <= j.policy.MaxIdle || starting > 0 || j.waits > 1 || j.size <= j.base:
		j.surplus = time.Time{}
	case j.surplus.IsZero():
		j.surplus = j.now
	case j.now.Sub(j.surplus) < j.patience:
	case j.candidate() != nil:
		j.mark("not shrunk while a swap is under way")
	case !j.shrunk.IsZero() && j.now.Sub(j.shrunk) < time.Second:
		j.mark("not shrunk within a second")
	default:
		j.mark("shrunk")
		if j.patience > 15*time.Second {
			j.mark("shrunk after more patience")
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
	if j.failures > 0 {
		j.mark("not grown while workers fail")
		return false
	}
	j.mark(reason)
	if !j.shrunk.IsZero() {
		switch quiet := j.now.Sub(j.shrunk); {
		case quiet < 10*time.Minute:
			j.mark("more patience")
			j.patience = min(2*j.patience, 10*time.Minute)
		case quiet > 40*time.Minute:
			j.patience = 15 * time.Second
		}
	}
	j.shrunk = time.Time{}
	j.size = size
	j.resizes = append(j.resizes, size)
	return true
}

// How long they live.

// recyclable reports whether a worn worker may be recycled now, but for the
// back-off.
func (j *judge) recyclable() bool {
	g := j.serving()
	return j.phase == operating && g != nil && !j.wanted() && j.candidate() == nil && !j.shared() && j.whole(g) && !g.succeeds()
}

// wears yields the workers that may be recycled when they are worn.
func (j *judge) wears(yield func(*unit) bool) {
	g := j.serving()
	if !j.recyclable() || j.now.Before(j.replaceAt) {
		return
	}
	for slot := range g.seats {
		if u := g.seats[slot].unit; u != nil && j.slots[slot].closing.IsZero() && !g.isLeft(slot) && !yield(u) {
			return
		}
	}
}

// isLeft reports whether a worker has given a slot up and is still there.
func (g *cohort) isLeft(slot int) bool {
	return slices.ContainsFunc(g.leaving, func(u *unit) bool { return u.slot == slot })
}

func (j *judge) judgeRecycle(a Recycle) {
	j.fit()
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if j.recycles != nil {
		broken("I25", "%v and another one is being recycled", a)
	}
	for other := range j.wears {
		if other == u {
			j.recycles = u
		}
	}
	if j.recycles == nil {
		broken("I25", "%v, and something else is under way", a)
	}
	old := j.policy.MaxLifetime > 0 && j.now.Sub(u.ready) >= j.policy.MaxLifetime/10*9
	if !u.worn && !old {
		broken("I25", "%v, and it is not worn", a)
	}
	j.mark(map[bool]string{true: "recycled for its age", false: "recycled for its wear"}[old])
	u.worn, u.wornOut = true, true // it was found to be
}

// noteBadSuccessor takes note of a replacement that has failed.
func (j *judge) noteBadSuccessor(u *unit) {
	j.mark("a replacement failed")
	j.replacements++
	j.replaceAt = u.started.Add(j.wait(j.replacements))
	j.expect(u.cohort, u.cohort.state, j.replaceAt.Sub(j.now))
}

// endsLife reports whether a deadline is the end of a worker's life, which is
// drawn, and not later than another limit.
func (j *judge) endsLife(deadline, earliest time.Time) bool {
	if deadline.IsZero() || !earliest.IsZero() && deadline.After(earliest) {
		return false
	}
	for u := range j.wears {
		if life := deadline.Sub(u.ready); life >= j.policy.MaxLifetime/10*9 && life <= j.policy.MaxLifetime {
			return true
		}
	}
	return false
}

// Where connections go.

func (j *judge) judgeSteer(a Steer) {
	if j.fit(); slices.Equal(a.Slots, j.steered) || !j.policy.Steer || j.phase != operating {
		broken("I30", "%v says nothing new", a)
	}
	j.mark("steered")
	j.steered = a.Slots
}

// concludePool judges the slots after a step.
func (j *judge) concludePool() {
	if len(j.resizes) > 0 {
		broken("I26", "a resize to %d is missing", j.resizes[0])
	}
	if j.phase != operating {
		return
	}
	if most := j.policy.MaxWorkers; most > 0 && j.openSlots() > most {
		broken("I22", "%d slots are open", j.openSlots())
	}
	if n := j.readySlots(); n < j.readied-j.missing && n < j.size {
		broken("I23", "of %d ready workers are left %d, %d have ended", j.readied, n, j.missing)
	}
	if j.recycles != nil {
		broken("I25", "slot %d is recycled without a successor", j.recycles.slot)
	}
	for u := range j.wears {
		if u.wornOut || j.policy.MaxLifetime > 0 && j.now.Sub(u.ready) >= j.policy.MaxLifetime {
			broken("I25", "slot %d is worn and not recycled", u.slot)
		}
	}
	if !j.policy.Steer {
		return
	}
	var accept, open []int
	for slot, b := range j.slots {
		if b.open && b.closing.IsZero() {
			open = append(open, slot)
			if j.holder(slot).accepts() {
				accept = append(accept, slot)
			}
		}
	}
	if len(accept) == 0 {
		accept = open
	}
	if !slices.Equal(accept, j.steered) {
		broken("I30", "connections are steered to %v and not to %v", j.steered, accept)
	}
}

// poolLimits are the limits that pools have; it sees to when the next survey
// is due.
func (j *judge) poolLimits(limit func(t time.Time, format string, args ...any)) {
	every := j.policy.Survey
	if j.policy.Steer && slices.ContainsFunc(j.slots, func(b berth) bool { return !b.closing.IsZero() }) {
		every = 250 * time.Millisecond
	}
	if every > 0 && j.surveyAsked.IsZero() && j.serving() != nil {
		if next := j.now.Add(every); j.surveyDue.IsZero() || j.surveyDue.After(next) {
			j.surveyDue = next
		}
		limit(j.surveyDue, "survey")
	}
	if j.recyclable() {
		if j.now.Before(j.replaceAt) {
			limit(j.replaceAt, "back-off of replacements")
		}
		for u := range j.wears {
			// Drawn lower it shows in endsLife.
			limit(j.limit(u.ready, j.policy.MaxLifetime), "life of pid %d", u.pid)
		}
	}
}
