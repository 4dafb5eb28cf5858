package machine

import (
	"fmt"
	"slices"
	"time"
)

// pool is all slots. Each slot belongs to one generation: to the one that serves,
// unless a newer one has taken it over with a batch.
type pool struct {
	slots []slot
	base  int // size that is wanted when there is little to do
	size  int // slots that are wanted

	starts      int           // workers that were ever started
	waits       int           // surveys in a row that saw connections wait
	step        int           // workers that the next growth may start
	surplus     time.Time     // since when more are idle than max-idle; zero: not so
	shrinkAfter time.Duration // how long that has to last for the pool to shrink
	shrunkAt    time.Time
}

// slot is a worker's place in its generation.
type slot struct {
	open    bool
	owner   int       // the newer generation that has taken it over; 0: none
	closing time.Time // when new connections were steered away from it; zero: they are not
	queued  int       // connections in its queue, when it was surveyed last
	steered bool      // new connections may go to it, by the last Steer
	losses  int       // workers in a row that have ended early in it
	lostBy  int       // the generation of the last of them
}

// staysOpen reports whether the slot is open and is not being closed.
func (s slot) staysOpen() bool { return s.open && s.closing.IsZero() }

// isClosing reports whether the slot is being closed, and still has its worker.
func (s slot) isClosing() bool { return !s.closing.IsZero() }

// isClosedWithQueue reports whether the slot is closed and connections wait in it.
func (s slot) isClosedWithQueue() bool { return !s.open && s.queued > 0 }

// A pool that has had too many idle workers for shrinkAfter becomes smaller, by one
// worker a shrinkStep. If it has to grow again within maxShrinkAfter, it waits
// twice as long the next time: where the load comes and goes often, the workers are
// not to come and go with it.
const (
	minShrinkAfter = 15 * time.Second
	maxShrinkAfter = 40 * minShrinkAfter
	shrinkStep     = time.Second
	steerGrace     = time.Second // a handshake that began before a slot was closed is over by then
	maxStep        = 32
	unknown        = -1
)

func newPool(size int) pool {
	p := pool{base: size, size: size, step: 1, shrinkAfter: minShrinkAfter, slots: make([]slot, size)}
	for i := range p.slots {
		p.slots[i].open = true
	}
	return p
}

// owned lists the slots that a swap has given to a generation.
func (p *pool) owned(generation int) string {
	var slots []int
	for i, s := range p.slots {
		if s.owner == generation && s.open {
			slots = append(slots, i)
		}
	}
	return list(slots)
}

// shared reports whether a slot belongs to another generation than the one
// that serves.
func (p *pool) shared() bool {
	for _, s := range p.slots {
		if s.owner != 0 {
			return true
		}
	}
	return false
}

// clearOwners gives every slot to the generation that serves.
func (p *pool) clearOwners() {
	for i := range p.slots {
		p.slots[i].owner = 0
	}
}

// holds reports whether it is this generation that is to have a worker in a slot.
func (m *Machine) holds(g *generation, slot int) bool {
	switch s := m.pool.slots[slot]; {
	case !s.open:
		return false
	case s.owner == g.number:
		return true
	case g.state == Serving:
		return s.owner == 0
	}
	return g.isCandidate() && slot < len(g.places) && g.places[slot].inBatch
}

// giveBack gives a slot that a generation has taken over back to the generation
// that serves. If there is one, it fills the slot at that time.
func (m *Machine) giveBack(from *generation, slot int, at time.Time) {
	s := &m.pool.slots[slot]
	if s.owner != from.number {
		return
	}
	if s.owner = 0; m.serving() != nil {
		m.serving().place(slot).refillAt = at
	}
}

// allReady reports whether the generation has a ready worker in every slot that it
// holds.
func (m *Machine) allReady(g *generation) bool {
	for slot := range m.pool.slots {
		if m.holds(g, slot) {
			if w := g.place(slot).worker; w == nil || !w.isReady() {
				return false
			}
		}
	}
	return true
}

// isComplete reports whether all workers of a generation are ready, none is being
// replaced or stopped, and the pool has its size.
func (m *Machine) isComplete(g *generation) bool {
	for _, p := range g.places {
		if p.replacement != nil {
			return false
		}
	}
	return m.allReady(g) && len(g.leaving) == 0 && m.pool.stayingOpen() == m.pool.size && !slices.ContainsFunc(m.pool.slots, slot.isClosing)
}

// changeBase makes the base size larger or smaller by one.
func (m *Machine) changeBase(more int) {
	if m.phase != operating {
		return
	}
	p := &m.pool
	base := max(p.base+more, 1)
	if m.policy.MaxWorkers > 0 {
		base = min(base, max(m.policy.MaxWorkers, p.base))
	}
	if base == p.base {
		m.do(Resize{Workers: p.size, Reason: "the limits are 1 and max-workers"})
		return
	}
	m.scale(base)
}

// scale gives the pool another base size. What it has above that it keeps, as far
// as it may.
func (m *Machine) scale(base int) {
	p := &m.pool
	size := min(max(p.size+base-p.base, base), max(m.policy.MaxWorkers, base))
	p.base = base
	m.setSize(size, "on request")
}

func (m *Machine) setSize(size int, reason string) {
	m.pool.size = size
	m.do(Resize{Workers: size, Reason: reason})
}

// resize opens slots that are wanted, and closes slots that are not once no swap is
// under way.
func (m *Machine) resize() {
	p := &m.pool
	if open, closing := p.count(); open == p.size && closing == 0 {
		return
	}
	for m.serving() != nil && p.stayingOpen() < p.size && m.openSlot() {
	}
	for m.serving() != nil && m.candidate() == nil && p.stayingOpen() > p.size {
		s := &p.slots[m.longestIdle()]
		s.closing, s.queued = m.now, unknown
		if !m.policy.Steer {
			s.queued = 0
		}
		m.changed = true
	}
	for number := range p.slots {
		// The connections that are in its queue are served first.
		if s := p.slots[number]; s.isClosing() && s.queued == 0 && m.canSpare(number) {
			m.closeSlot(number)
		}
	}
}

// canSpare reports whether a slot that is being closed can lose its worker. It
// cannot while another slot has none: that one's may have ended meanwhile.
func (m *Machine) canSpare(number int) bool {
	for i, s := range m.pool.slots {
		if s.staysOpen() && !m.accepts(i) {
			return !m.accepts(number)
		}
	}
	return true
}

// accepts reports whether a slot has a worker that is ready.
func (m *Machine) accepts(slot int) bool {
	_, w := m.holder(slot)
	return w != nil && w.isReady()
}

// anyAccepts reports whether some slot has a worker that is ready.
func (m *Machine) anyAccepts() bool {
	for i := range m.pool.slots {
		if m.accepts(i) {
			return true
		}
	}
	return false
}

// hasRoom reports whether max-workers allows one worker more. Workers that were
// asked to stop count until they have ended.
func (m *Machine) hasRoom() bool {
	if m.policy.MaxWorkers == 0 {
		return true
	}
	n := 0
	for _, s := range m.pool.slots {
		if s.open {
			n++
		}
	}
	for _, g := range m.generations {
		if g.state == Serving || g.state == Partial {
			n += len(g.leaving)
		}
	}
	return n < m.policy.MaxWorkers
}

// stayingOpen is the number of slots that are open and are not being closed.
func (p *pool) stayingOpen() int {
	open, _ := p.count()
	return open
}

// count is the number of slots that are open and are not being closed, and of those
// that are being closed.
func (p *pool) count() (open, closing int) {
	for i := range p.slots {
		switch s := &p.slots[i]; {
		case !s.closing.IsZero():
			closing++
		case s.open:
			open++
		}
	}
	return open, closing
}

// openSlot opens a slot, and reports whether it could: a closed one that connections
// wait in, else one that is being closed and still has its worker, else the first
// that is closed.
func (m *Machine) openSlot() bool {
	p := &m.pool
	room, closing := m.hasRoom(), slices.IndexFunc(p.slots, slot.isClosing)
	number := slices.IndexFunc(p.slots, slot.isClosedWithQueue)
	switch {
	case closing >= 0 && (number < 0 || !room):
		p.slots[closing].closing = time.Time{}
		m.changed = true
		return true
	case !room:
		return false
	case number < 0:
		number = slices.IndexFunc(p.slots, func(s slot) bool { return !s.open })
	}
	if number < 0 {
		number = len(p.slots)
		p.slots = append(p.slots, slot{})
	}
	p.slots[number] = slot{open: true}
	m.serving().place(number).refillAt = m.now
	m.changed = true
	return true
}

// closeSlot closes a slot and stops its workers.
func (m *Machine) closeSlot(number int) {
	m.changed = true
	m.pool.slots[number] = slot{}
	for _, g := range m.generations {
		for p := g.place(number); p.worker != nil && (g.state == Serving || g.state == Partial); {
			g.vacate(p.worker)
		}
	}
	m.stopUnneeded()
}

// keepClosing keeps the slots open that are being closed: a swap goes by slots, and
// none is to be closed meanwhile.
func (p *pool) keepClosing() {
	for i := range p.slots {
		p.slots[i].closing = time.Time{}
	}
}

// longestIdle is the slot to be closed next: a vacant one, one whose worker is not
// ready, or else the one whose worker has been idle for the longest time.
func (m *Machine) longestIdle() (number int) {
	rank := func(number int) time.Time {
		_, w := m.holder(number)
		switch {
		case w == nil || !w.isReady():
			return time.Time{}
		case w.idleSince.IsZero():
			return m.now.Add(1) // busy
		}
		return w.idleSince
	}
	number = -1
	for i, s := range m.pool.slots {
		if s.staysOpen() && (number < 0 || !rank(number).Before(rank(i))) {
			number = i
		}
	}
	return number
}

// holder is the worker of a slot, and its generation.
func (m *Machine) holder(slot int) (*generation, *worker) {
	for _, g := range m.generations {
		if (g.state == Serving || m.pool.slots[slot].owner == g.number) && m.holds(g, slot) {
			return g, g.place(slot).worker
		}
	}
	return nil, nil
}

// takes reports whether a slot has a worker that is ready and takes new connections.
func (m *Machine) takes(slot int) bool {
	_, w := m.holder(slot)
	return w != nil && w.isReady() && !m.isGated(w)
}

// steer directs new connections to the slots with a ready worker that takes them, and to
// all slots while there is none.
func (m *Machine) steer() {
	if !m.policy.Steer || m.phase != operating {
		return
	}
	none := true
	for i, s := range m.pool.slots {
		none = none && !(s.staysOpen() && m.takes(i))
	}
	var slots []int
	change := false
	for i := range m.pool.slots {
		s := &m.pool.slots[i]
		to := s.staysOpen() && (none || m.takes(i))
		change = change || to != s.steered
		if s.steered = to; to {
			slots = append(slots, i)
		}
	}
	if change {
		m.do(Steer{Slots: slots})
	}
}

// list is 0,1,3.
func list(all []int) (s string) {
	for i, n := range all {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprint(n)
	}
	return s
}
