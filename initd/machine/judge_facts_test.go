package machine

import "slices"

func (j *judge) isFirstAttempt() bool { return j.number == 1 && j.serving() == nil && j.failures == 0 }

func (j *judge) find(f func(*seenGeneration) bool) *seenGeneration {
	for _, g := range j.generations {
		if f(g) {
			return g
		}
	}
	return nil
}

func (j *judge) generation(number int) *seenGeneration {
	return j.find(func(g *seenGeneration) bool { return g.number == number })
}
func (j *judge) serving() *seenGeneration {
	return j.find(func(g *seenGeneration) bool { return g.state == Serving })
}
func (j *judge) candidate() *seenGeneration {
	return j.find(func(g *seenGeneration) bool { return g.state < Serving })
}

func (j *judge) remove(g *seenGeneration) {
	j.generations = slices.DeleteFunc(j.generations, func(other *seenGeneration) bool { return other == g })
}

// forking is the worker of a slot that is no process yet.
func (j *judge) forking(generation, slot int) *seenWorker {
	g := j.generation(generation)
	if g == nil {
		return nil
	}
	for u := range g.live {
		if u.pid == 0 && u.slot == slot {
			return u
		}
	}
	return nil
}

func (j *judge) worker(pid int) *seenWorker {
	for _, g := range j.generations {
		for u := range g.live {
			if u.pid == pid && pid > 0 {
				return u
			}
		}
	}
	return nil
}

func (j *judge) alive() (n int) {
	for _, g := range j.generations {
		for range g.live {
			n++
		}
	}
	return n
}

// awaited is the number of workers that initd has to wait for.
func (j *judge) awaited() (n int) {
	for _, g := range j.generations {
		for u := range g.live {
			if !j.policy.PID1 && !u.orphan || !u.immune && !u.stuck {
				n++
			}
		}
	}
	return n
}

// live yields the workers that are there or were asked for.
func (g *seenGeneration) live(yield func(*seenWorker) bool) {
	for i := range g.places {
		p := &g.places[i]
		if p.worker != nil && !yield(p.worker) || p.replacement != nil && !yield(p.replacement) {
			return
		}
	}
	for _, u := range g.leaving {
		if !yield(u) {
			return
		}
	}
}

// some reports whether something is true of some worker.
func (g *seenGeneration) some(is func(*seenWorker) bool) bool {
	for u := range g.live {
		if is(u) {
			return true
		}
	}
	return false
}

func (g *seenGeneration) empty() bool { return !g.some(func(*seenWorker) bool { return true }) }

// hasBatch reports whether a batch is under way.
func (g *seenGeneration) hasBatch() bool {
	return slices.ContainsFunc(g.places, func(p seenPlace) bool { return p.inBatch })
}

// isReplacing reports whether a replacement has been started.
func (g *seenGeneration) isReplacing() bool {
	return slices.ContainsFunc(g.places, func(p seenPlace) bool { return p.replacement != nil })
}

func (g *seenGeneration) place(slot int) *seenPlace {
	for len(g.places) <= slot {
		g.places = append(g.places, seenPlace{})
	}
	return &g.places[slot]
}

// untouched reports whether nothing was done to end the worker.
func (u *seenWorker) untouched() bool { return u.stopped.IsZero() && u.ended.IsZero() && !u.killed }
