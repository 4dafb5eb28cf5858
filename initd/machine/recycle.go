package machine

import (
	"fmt"
	"time"
)

// Recycling is when a worker is worn out. Zero: never.
type Recycling struct {
	MaxRequests int64
	MaxMemory   int64 // bytes
	MaxLifetime time.Duration
	Seed        uint64 // of the jitter
}

// recycling is the replacement of worn workers, one at a time.
type recycling struct {
	failures  int
	notBefore time.Time // back-off after a replacement that failed
}

// lifetime is how much of its limits a worker is to use: up to a tenth less,
// so that workers that were started together are not worn out together.
type lifetime struct {
	requests int64
	memory   int64
	end      time.Duration
	worn     string // why it is to be replaced; empty: it is not
}

// draw makes up the limits of the next worker. The machine has no source of
// randomness but the seed it was given; splitmix64.
func (m *Machine) draw() lifetime {
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
		l.worn = fmt.Sprintf("max-requests: it has served %d", s.Requests)
	case l.memory > 0 && s.Memory > l.memory:
		l.worn = fmt.Sprintf("max-memory: it has %d bytes", s.Memory)
	}
}

// recycle starts the successor of a worn worker, while nothing else is under
// way: no swap, no other successor, no slot without a ready worker. A slot waits
// for the worker it had before: workers that take their time, or never end, are
// to be no more than the slots.
func (m *Machine) recycle() {
	g := m.serving()
	if g == nil || m.wish.ticket != 0 || m.candidate() != nil || m.pool.shared() || !m.allReady(g) {
		return
	}
	for slot := range g.places {
		if g.places[slot].successor != nil {
			return
		}
	}
	if !m.recycling.notBefore.IsZero() && !m.due(m.recycling.notBefore) {
		return
	}
	for slot := range g.places {
		w := g.places[slot].worker
		if w == nil || m.pool.slots[slot].isClosing() || g.isCrowded(slot) {
			continue
		}
		if w.life.worn == "" && w.life.end > 0 && m.due(w.readyAt.Add(w.life.end)) {
			w.life.worn = fmt.Sprintf("max-lifetime: it has served for %v", m.now.Sub(w.readyAt).Round(time.Second))
		}
		if w.life.worn != "" {
			m.do(Recycle{g.number, slot, w.pid, w.life.worn})
			m.start(g, slot)
			return
		}
	}
}

// postpone has the next replacement wait after one has failed.
func (m *Machine) postpone(w *worker) {
	m.recycling.failures++
	m.recycling.notBefore = w.started.Add(m.policy.backoff(m.recycling.failures))
}

// cancelSuccessor ends a replacement that a swap makes pointless.
func (m *Machine) cancelSuccessor() {
	if g := m.serving(); g != nil {
		for slot := range g.places {
			if w := g.places[slot].successor; w != nil {
				g.vacate(w)
			}
		}
	}
}
