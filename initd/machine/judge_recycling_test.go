package machine

import (
	"slices"
	"time"
)

// seenRecycling is what the judge knows of the recycling.
type seenRecycling struct {
	recycled     *seenWorker // whose replacement is to be started in this step
	replacements int         // that have failed in a row
	replaceAt    time.Time
}

// recyclable reports whether a worn worker may be recycled now, but for the
// back-off.
func (j *judge) recyclable() bool {
	g := j.serving()
	return j.phase == operating && g != nil && !j.requested() && j.candidate() == nil && !j.shared() && j.allReady(g) && !g.isReplacing()
}

// recyclables yields the workers that may be recycled when they are worn.
func (j *judge) recyclables(yield func(*seenWorker) bool) {
	g := j.serving()
	if !j.recyclable() || j.now.Before(j.replaceAt) {
		return
	}
	for slot := range g.places {
		if u := g.places[slot].worker; u != nil && j.slots[slot].closing.IsZero() && !g.isLeft(slot) && !yield(u) {
			return
		}
	}
}

// isLeft reports whether a worker has given a slot up and is still there.
func (g *seenGeneration) isLeft(slot int) bool {
	return slices.ContainsFunc(g.leaving, func(u *seenWorker) bool { return u.slot == slot })
}

func (j *judge) judgeRecycle(a Recycle) {
	j.fitSlots()
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if j.recycled != nil {
		broken("I25", "%v and another one is being recycled", a)
	}
	for other := range j.recyclables {
		if other == u {
			j.recycled = u
		}
	}
	if j.recycled == nil {
		broken("I25", "%v, and something else is under way", a)
	}
	old := j.policy.MaxLifetime > 0 && j.now.Sub(u.ready) >= j.policy.MaxLifetime/10*9
	if !u.worn && !old {
		broken("I25", "%v, and it is not worn", a)
	}
	j.mark(map[bool]string{true: "recycled for its age", false: "recycled for its wear"}[old])
	u.worn, u.wornOut = true, true // it was found to be
}

// noteFailedReplacement takes note of a replacement that has failed.
func (j *judge) noteFailedReplacement(u *seenWorker) {
	j.mark("a replacement failed")
	j.replacements++
	j.replaceAt = u.started.Add(j.wait(j.replacements))
	j.expect(u.generation, u.generation.state, j.replaceAt.Sub(j.now))
}

// endsLife reports whether a deadline is the end of a worker's life, which is
// drawn, and not later than another limit.
func (j *judge) endsLife(deadline, earliest time.Time) bool {
	if deadline.IsZero() || !earliest.IsZero() && deadline.After(earliest) {
		return false
	}
	for u := range j.recyclables {
		if life := deadline.Sub(u.ready); life >= j.policy.MaxLifetime/10*9 && life <= j.policy.MaxLifetime {
			return true
		}
	}
	return false
}
