package machine

import (
	"fmt"
	"slices"
)

func (j *judge) judgeStart(a Start) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	g := j.generation(a.Generation)
	if g == nil || a.Slot < 0 {
		broken("I3", "%v: there is no such generation", a)
	}
	if g.state == Starting && !g.hasBatch() && (a.Slot >= len(j.slots) || j.slots[a.Slot].owner != g.number) {
		j.expectBatch(g)
	}
	if a.Slot >= len(j.slots) || !j.slots[a.Slot].open {
		j.fitSlots()
	}
	if a.Slot >= len(j.slots) || !j.slots[a.Slot].open {
		broken("I22", "%v: there is no such slot, or no room for it", a)
	}
	u := &seenWorker{generation: g, slot: a.Slot, started: j.now}
	switch p := g.place(a.Slot); {
	case p.due:
		p.due, p.worker = false, u
	case p.worker == nil && j.holds(g, a.Slot) && Starting <= g.state && g.state <= Serving:
		if p.refill.IsZero() || j.forking(g.number, a.Slot) != nil {
			broken("I3", "%v is not due", a)
		}
		if j.now.Before(p.refill) {
			broken("I13", "%v %v too early", a, p.refill.Sub(j.now))
		}
		j.mark("vacant slot filled")
		if g.state != Serving {
			j.mark("vacant slot of a candidate filled")
		}
		p.worker = u
	case j.recycled == p.worker && p.worker != nil:
		p.replacement, j.recycled = u, nil
	case p.worker != nil:
		broken("I9", "%v and the slot has a worker", a)
	default:
		broken("I3", "%v in a generation that is %v and does not hold the slot", a, g.state)
	}
}

// expectBatch sets which workers a swap starts next.
func (j *judge) expectBatch(g *seenGeneration) {
	first := !slices.ContainsFunc(j.slots, func(b seenSlot) bool { return b.owner == g.number })
	if why := j.batchWaits(); !first && why != "" {
		broken("I24", "the next batch of generation %d comes too early: %s", g.number, why)
	}
	n := j.policy.Surge
	if n == 0 || j.serving() == nil {
		n = len(j.slots)
	}
	for slot, b := range j.slots {
		if b.open && b.owner != g.number && n > 0 {
			n--
			p := g.place(slot)
			p.inBatch, p.due = true, true
		}
	}
	if !first {
		j.mark("next batch")
		g.began = j.now
	}
}

// batchWaits is why the next batch of a swap may not begin.
func (j *judge) batchWaits() string {
	if j.policy.Surge == 0 {
		return ""
	}
	for _, g := range j.generations {
		if g.state <= Partial && len(g.leaving) > 0 {
			return fmt.Sprintf("a worker of generation %d has not ended", g.number)
		}
	}
	return ""
}
