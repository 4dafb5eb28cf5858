package machine

import "time"

// flapping is whether the slots lose their workers again and again. A slot that has lost
// two in a row does, until its worker is stable; a pool in which at least half of the
// slots do is flapping. One worker of many that crashes is replaced, and no more.
type flapping struct {
	since  time.Time // zero: the pool is not flapping
	last   Status    // of the last worker that has ended early
	lastAt time.Time
}

// Flapping is for how long the pool has been flapping. Since is zero while it is not,
// and then the rest is, too.
type Flapping struct {
	Since  time.Time
	Losses int    // the most that a slot has lost in a row
	Last   Status // how the last of them ended
	LastAt time.Time
}

// noteFlapping takes note of whether the pool is flapping.
func (m *Machine) noteFlapping() {
	m.forgetLosses() // of a slot that a stable worker has taken over in this very step
	open, losing := 0, 0
	for i := range m.pool.slots {
		if !m.pool.slots[i].open {
			continue
		}
		if open++; m.pool.slots[i].losses >= 2 && !m.due(m.stableAt(i)) {
			losing++
		}
	}
	switch flaps := losing > 0 && 2*losing >= open; {
	case !flaps:
		m.flapping.since = time.Time{}
	case m.flapping.since.IsZero():
		m.flapping.since = m.now
	}
}

// stableAt is when the worker of a slot will have been ready for long enough; zero: it
// has none that is ready.
func (m *Machine) stableAt(slot int) time.Time {
	_, w := m.holder(slot)
	if w == nil || w.readyAt.IsZero() {
		return time.Time{}
	}
	return w.readyAt.Add(m.policy.stableAfter())
}

func (m *Machine) flappingView() Flapping {
	f := Flapping{Since: m.flapping.since, Last: m.flapping.last, LastAt: m.flapping.lastAt}
	if f.Since.IsZero() {
		return Flapping{}
	}
	for i := range m.pool.slots {
		f.Losses = max(f.Losses, m.pool.slots[i].losses)
	}
	return f
}

// resetFailures forgets earlier failures once half of the slots or more have had a ready
// worker for long enough, and since the last of the failures: only then is it shown that
// they can.
func (m *Machine) resetFailures() {
	if m.soundFor(m.policy.stableAfter()) {
		m.failures = 0
	}
}

// forgetLosses forgets what was lost in a slot once it has a worker that is stable,
// whatever becomes of that: it may be replaced by a swap instead of ending by itself.
func (m *Machine) forgetLosses() {
	for i := range m.pool.slots {
		if at := m.stableAt(i); !at.IsZero() && !m.now.Before(at) {
			m.pool.slots[i].losses = 0
		}
	}
}

// soundFor reports whether what serves has been sound for a time, and since the last
// failure.
func (m *Machine) soundFor(d time.Duration) bool {
	return !m.soundSince.IsZero() && !m.soundSince.Before(m.failedAt) && m.now.Sub(m.soundSince) >= d
}

// noteSound takes note of whether what serves is sound.
func (m *Machine) noteSound() {
	open, ready := 0, 0
	for i := range m.pool.slots {
		if m.pool.slots[i].open {
			if open++; m.accepts(i) {
				ready++
			}
		}
	}
	switch {
	case m.serving() == nil || ready == 0 || 2*ready < open:
		m.soundSince = time.Time{}
	case m.soundSince.IsZero():
		m.soundSince = m.now
	}
}

// isFailing reports whether workers fail just now, so that more of them would as well.
func (m *Machine) isFailing() bool {
	if m.failures > 0 && !m.soundFor(m.policy.interval()) {
		return true
	}
	for i := range m.pool.slots {
		if s := &m.pool.slots[i]; s.open && s.losses > 0 {
			if _, w := m.holder(i); w == nil || !m.wasAlive(w) {
				return true
			}
		}
	}
	return false
}
