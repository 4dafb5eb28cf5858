package machine

import "time"

// seenFlapping is what the judge knows of workers that end early.
type seenFlapping struct {
	sound    time.Time // since when half of the slots have been ready; zero: they are not
	flapping time.Time // since when; zero: it is not
	last     Status    // of the last that has ended early
	lastAt   time.Time
}

func (j *judge) wasStable(u *seenWorker) bool {
	return !u.ready.IsZero() && j.now.Sub(u.ready) >= j.stableAfter()
}

func (j *judge) wasAlive(u *seenWorker) bool {
	return !u.ready.IsZero() && j.now.Sub(u.ready) >= j.interval()
}

// isEarly reports whether the end of a worker is a failed start.
func (j *judge) isEarly(u *seenWorker, status Status) bool {
	switch {
	case j.wasStable(u):
		return false
	case u.signalled:
		j.mark("loss of a worker that was signalled")
		return false
	case status.Success() && j.wasAlive(u) && j.readySlots() > 0:
		j.mark("loss of a worker that has done its work")
		return false
	}
	return true
}

// next is when a slot that has lost so many in a row may be filled again.
func (j *judge) next(u *seenWorker, losses int) time.Time {
	switch {
	case !j.wasAlive(u):
		return u.started.Add(j.wait(losses))
	case losses == 1:
		j.mark("the first loss is replaced at once")
		return j.now
	}
	j.mark("a loss waits from its end")
	return j.now.Add(j.wait(losses - 1))
}

// forgives forgets failures where it has been shown that workers can be ready.
func (j *judge) forgives() {
	for slot := range j.slots {
		if u := j.holder(slot); u != nil && j.wasStable(u) {
			j.slots[slot].losses = 0
		}
	}
	if j.soundFor(j.stableAfter()) {
		j.failures = 0
	}
}

func (j *judge) soundFor(d time.Duration) bool {
	return !j.sound.IsZero() && !j.sound.Before(j.failedAt) && j.now.Sub(j.sound) >= d
}

// isFailing reports whether workers fail just now.
func (j *judge) isFailing() bool {
	if j.failures > 0 && !j.soundFor(j.interval()) {
		return true
	}
	for slot, b := range j.slots {
		if u := j.holder(slot); b.open && b.losses > 0 && (u == nil || !j.wasAlive(u)) {
			return true
		}
	}
	return false
}

// losing is the number of slots that lose one worker after the other, and the most that
// one of all has lost since its worker was stable.
func (j *judge) losing() (slots, most int) {
	for slot, b := range j.slots {
		u := j.holder(slot)
		if !b.open || b.losses == 0 || u != nil && j.wasStable(u) {
			continue
		}
		if most = max(most, b.losses); b.losses > 1 {
			slots++
		}
	}
	return slots, most
}

// concludeFlapping takes note of what is shown by the workers that there are.
func (j *judge) concludeFlapping(serving *seenGeneration) {
	ready := j.readySlots()
	switch {
	case serving == nil, ready == 0, 2*ready < j.openSlotsWith():
		j.sound = time.Time{}
	case j.sound.IsZero():
		j.sound = j.now
	}
	if j.phase != operating {
		return
	}
	slots, _ := j.losing()
	switch flaps := slots > 0 && 2*slots >= j.openSlotsWith(); {
	case flaps && j.flapping.IsZero():
		j.mark("flapping begins")
		j.flapping = j.now
	case !flaps && !j.flapping.IsZero():
		j.mark("flapping is over")
		j.flapping = time.Time{}
	case !flaps && slots > 0:
		j.mark("too few slots lose workers to be flapping")
	}
}

// openSlotsWith is the number of open slots, with those that are being closed.
func (j *judge) openSlotsWith() (n int) {
	for _, b := range j.slots {
		if b.open {
			n++
		}
	}
	return n
}

// flappingView is what a view has to have of it.
func (j *judge) flappingView() Flapping {
	if j.flapping.IsZero() {
		return Flapping{}
	}
	_, most := j.losing()
	return Flapping{Since: j.flapping, Losses: most, Last: j.last, LastAt: j.lastAt}
}

// stableLimits are when slots that lose their workers have one that is stable.
func (j *judge) stableLimits(limit func(time.Time, string, ...any)) {
	for slot, b := range j.slots {
		if u := j.holder(slot); b.open && b.losses > 1 && u != nil && !u.ready.IsZero() && !j.wasStable(u) {
			limit(u.ready.Add(j.stableAfter()), "slot %d is stable", slot)
		}
	}
}
