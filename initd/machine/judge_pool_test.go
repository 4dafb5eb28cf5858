package machine

import (
	"slices"
	"time"
)

// seenPool is what the judge knows of the slots.
type seenPool struct {
	slots      []seenSlot
	base, size int
	resizes    []int // that are due
	steered    []int // by the last Steer
}

// seenSlot is a slot as it is seen from outside.
type seenSlot struct {
	open    bool
	owner   int // 0: the generation that serves
	closing time.Time
	queue   int // -1: it is not known
	losses  int // workers in a row that have ended early
	lostBy  int // the last one's generation
}

// holds reports whether a slot is for a generation to have a worker in.
func (j *judge) holds(g *seenGeneration, slot int) bool {
	if slot >= len(j.slots) || !j.slots[slot].open {
		return false
	}
	switch owner := j.slots[slot].owner; {
	case owner == g.number:
		return true
	case g.state == Serving:
		return owner == 0
	}
	return g.state < Serving && slot < len(g.places) && g.places[slot].inBatch
}

// holder is the worker that a slot has for who connects to it.
func (j *judge) holder(slot int) *seenWorker {
	for _, g := range j.generations {
		if (g.state == Serving || j.slots[slot].owner == g.number) && j.holds(g, slot) {
			return g.place(slot).worker
		}
	}
	return nil
}

// allReady reports whether every slot of a generation has a worker that is ready
// and goes on.
func (j *judge) allReady(g *seenGeneration) bool {
	for slot := range j.slots {
		if j.holds(g, slot) && !g.place(slot).worker.accepts() {
			return false
		}
	}
	return true
}

// accepts reports whether a worker is ready and goes on.
func (u *seenWorker) accepts() bool {
	return u != nil && !u.ready.IsZero() && u.untouched() && !u.suspended
}

func (j *judge) readySlots() (n int) {
	for slot := range j.slots {
		if j.holder(slot).accepts() {
			n++
		}
	}
	return n
}

func (j *judge) shared() bool {
	return slices.ContainsFunc(j.slots, func(b seenSlot) bool { return b.owner != 0 })
}

// refills reports whether a slot of a generation is to be filled.
func (j *judge) refills(g *seenGeneration) bool {
	for slot := range j.slots {
		if j.holds(g, slot) && !g.place(slot).refill.IsZero() {
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

// stayingOpen is the number of slots that are open and are not being closed.
func (j *judge) stayingOpen() (n int) {
	for _, b := range j.slots {
		if b.open && b.closing.IsZero() {
			n++
		}
	}
	return n
}

// replaces reports whether a worker is on its way to be one of a generation
// that goes on without it.
func (j *judge) replaces(u *seenWorker) bool {
	g := u.generation
	return (u.ready.IsZero() || g.place(u.slot).replacement == u) && !u.leaving && Starting <= g.state && g.state <= Partial && (g.state >= Serving || !g.place(u.slot).inBatch)
}

// giveBack gives a slot to the generation that serves, if there is one.
func (j *judge) giveBack(from *seenGeneration, slot int, at time.Time) {
	if j.slots[slot].owner != from.number {
		return
	}
	j.slots[slot].owner = 0
	if g := j.serving(); g != nil {
		g.place(slot).refill = at
	}
}

// noteBaseSignal takes note of a TTIN or TTOU.
func (j *judge) noteBaseSignal(more int) {
	if j.phase != operating {
		return
	}
	if j.changeBase(more) {
		j.mark(map[int]string{+1: "TTIN", -1: "TTOU"}[more])
		if j.candidate() != nil {
			j.mark("resized while a swap is under way")
		}
	} else {
		j.mark("asked for what cannot be")
	}
	j.resizes = append(j.resizes, j.size)
}

// changeBase makes the base size larger or smaller by one, and reports whether it
// may.
func (j *judge) changeBase(more int) bool {
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

// fitSlots opens and closes slots by the size that is wanted.
func (j *judge) fitSlots() {
	if j.phase != operating {
		return
	}
	for j.serving() != nil && j.stayingOpen() < j.size && j.openSlot() {
	}
	for j.serving() != nil && j.candidate() == nil && j.stayingOpen() > j.size {
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
			*b = seenSlot{}
			for _, g := range j.generations {
				for p := g.place(slot); p.worker != nil && (g.state == Serving || g.state == Partial); {
					j.vacate(p.worker)
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
	for _, g := range j.generations {
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
		j.slots = append(j.slots, seenSlot{})
	}
	j.mark("slot opened")
	if j.candidate() != nil {
		j.mark("slot opened while a swap is under way")
	}
	j.slots[shut] = seenSlot{open: true}
	j.serving().place(shut).refill = j.now
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

func (j *judge) judgeSteer(a Steer) {
	if j.fitSlots(); slices.Equal(a.Slots, j.steered) || !j.policy.Steer || j.phase != operating {
		broken("I30", "%v changes nothing", a)
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
	if j.recycled != nil {
		broken("I25", "slot %d is recycled without a replacement", j.recycled.slot)
	}
	for u := range j.recyclables {
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
			if u := j.holder(slot); u.accepts() && !j.isGated(u) {
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
	if j.policy.Steer && slices.ContainsFunc(j.slots, func(b seenSlot) bool { return !b.closing.IsZero() }) {
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
		for u := range j.recyclables {
			// Drawn lower it shows in endsLife.
			limit(j.limit(u.ready, j.policy.MaxLifetime), "life of pid %d", u.pid)
		}
	}
}
