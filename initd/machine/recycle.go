package machine

import (
	"fmt"
	"time"
)

// Recycling is after how much a worker is recycled. Zero: never.
type Recycling struct {
	MaxRequests int64
	MaxMemory   int64 // bytes
	MaxLifetime time.Duration
	Seed        uint64 // of the random part
}

// recycles reports whether there is a limit after which a worker is recycled.
func (r Recycling) recycles() bool { return r.MaxRequests > 0 || r.MaxMemory > 0 || r.MaxLifetime > 0 }

// recycling is the state of the recycling, which goes one worker at a time, and has a
// pause after each: what a worker is worn by comes from the scoreboard, to which any
// worker can write for all.
type recycling struct {
	failures  int       // replacements in a row that have failed
	notBefore time.Time // back-off after a replacement that failed, the interval after another
}

// lifetime is a worker's own limits. They are up to a tenth lower than the policy's,
// so that workers that were started together are not all recycled together.
type lifetime struct {
	requests int64
	memory   int64
	end      time.Duration
	worn     string // why the worker is to be recycled; empty: it is not
}

// drawLifetime draws the limits of the next worker, by splitmix64: the machine has no
// source of randomness but the seed that it was given.
func (m *Machine) drawLifetime() lifetime {
	z := m.policy.Seed + uint64(m.pool.starts)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	less := func(limit int64) int64 { return limit - limit/1000*int64(z%100) - limit%1000*int64(z%100)/1000 }
	return lifetime{requests: less(m.policy.MaxRequests), memory: less(m.policy.MaxMemory), end: time.Duration(less(int64(m.policy.MaxLifetime)))}
}

// wear takes note of what a worker has used up.
func (l *lifetime) wear(s Sample) {
	switch {
	case l.requests > 0 && s.Requests >= l.requests:
		l.worn = fmt.Sprintf("it has served %d requests (max-requests)", s.Requests)
	case l.memory > 0 && s.Memory > l.memory:
		l.worn = fmt.Sprintf("it uses %d bytes of memory (max-memory)", s.Memory)
	}
}

// recycle starts the replacement of a worker that has reached a limit, while nothing
// else is under way: no swap, no other replacement, no slot without a ready worker.
// It waits until the last worker that was recycled in the same slot has ended:
// however long workers take to stop, there are no more than two to a slot.
func (m *Machine) recycle() {
	if !m.policy.recycles() {
		return
	}
	g := m.serving()
	if g == nil || m.waiting.ticket != 0 || m.candidate() != nil || m.pool.shared() || !m.allReady(g) {
		return
	}
	for slot := range g.places {
		if g.places[slot].replacement != nil {
			return
		}
	}
	if !m.recycling.notBefore.IsZero() && !m.due(m.recycling.notBefore) {
		return
	}
	for slot := range g.places {
		w := g.places[slot].worker
		if w == nil || m.pool.slots[slot].isClosing() || g.hasSecondWorker(slot) {
			continue
		}
		if w.life.worn == "" && w.life.end > 0 && m.due(w.readyAt.Add(w.life.end)) {
			w.life.worn = fmt.Sprintf("it has run for %v (max-lifetime)", m.now.Sub(w.readyAt).Round(time.Second))
		}
		if w.life.worn != "" {
			m.do(Recycle{g.number, slot, w.pid, w.life.worn})
			m.start(g, slot)
			return
		}
	}
}

// delayReplacement has the next replacement wait after one has failed.
func (m *Machine) delayReplacement(w *worker) {
	m.recycling.failures++
	m.recycling.notBefore = w.started.Add(m.policy.backoff(m.recycling.failures))
}

// cancelReplacements stops a replacement that is not needed any more, for a swap
// begins.
func (m *Machine) cancelReplacements() {
	if g := m.serving(); g != nil {
		for slot := range g.places {
			if w := g.places[slot].replacement; w != nil {
				g.vacate(w)
			}
		}
	}
}
