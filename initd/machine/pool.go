package machine

import (
	"fmt"
	"slices"
	"time"
)

// pool is the slots there are. Each slot belongs to one generation: to the one
// that serves, unless a swap in turns has given it to a newer one.
type pool struct {
	slots []slot
	base  int // size at rest
	size  int // slots that are wanted

	starts   int       // workers that were ever started
	waits    int       // surveys in a row that saw connections wait
	step     int       // workers that the next growth may start
	surplus  time.Time // since when more are idle than are wanted; zero: not so
	patience time.Duration
	shrunkAt time.Time
}

// slot is a worker's place in its generation.
type slot struct {
	open    bool
	owner   int       // the newer generation that has taken it over; 0: none
	closing time.Time // when new connections were steered away from it; zero: they are not
	waiting int       // connections in its queue, when it was surveyed last
	steered bool      // new connections may go to it, as was said last
}

// stays reports whether the slot is open and is not being closed.
func (s slot) stays() bool { return s.open && s.closing.IsZero() }

// isClosing reports whether the slot is being closed: it has its worker still.
func (s slot) isClosing() bool { return !s.closing.IsZero() }

// strays reports whether connections wait in the slot and it is closed.
func (s slot) strays() bool { return !s.open && s.waiting > 0 }

// A pool that has been too large for so long shrinks, by one worker a step. If
// it has to grow within maxPatience after, it waits twice as long the next time:
// a load that comes and goes does not have workers come and go with it, unless it
// does so as seldom as that.
const (
	patience    = 15 * time.Second
	maxPatience = 40 * patience
	shrinkStep  = time.Second
	steerGrace  = time.Second // a handshake that began before a slot was closed is over by then
	maxStep     = 32
	unknown     = -1
)

func newPool(size int) pool {
	p := pool{base: size, size: size, step: 1, patience: patience, slots: make([]slot, size)}
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

// disown gives every slot to the generation that serves.
func (p *pool) disown() {
	for i := range p.slots {
		p.slots[i].owner = 0
	}
}

// holds reports whether it is for this generation to have a worker in a slot.
func (m *Machine) holds(g *generation, slot int) bool {
	switch s := m.pool.slots[slot]; {
	case !s.open:
		return false
	case s.owner == g.number:
		return true
	case g.state == Serving:
		return s.owner == 0
	}
	return g.isCandidate() && slot < len(g.places) && g.places[slot].called
}

// giveBack gives a slot that a swap has given to a generation to the one that
// serves, if there is one, to be filled then.
func (m *Machine) giveBack(from *generation, slot int, at time.Time) {
	s := &m.pool.slots[slot]
	if s.owner != from.number {
		return
	}
	if s.owner = 0; m.serving() != nil {
		m.serving().place(slot).refillAt = at
	}
}

// called reports whether a batch of the candidate is under way.
func (m *Machine) called(g *generation) bool {
	for _, p := range g.places {
		if p.called {
			return true
		}
	}
	return false
}

// allReady reports whether the generation has a ready worker in every slot
// that it is to have one in.
func (m *Machine) allReady(g *generation) bool {
	for slot := range m.pool.slots {
		if m.holds(g, slot) {
			if w := g.place(slot).worker; w == nil || w.state != ready {
				return false
			}
		}
	}
	return true
}

// isWhole reports whether nothing is under way in a generation.
func (m *Machine) isWhole(g *generation) bool {
	for _, p := range g.places {
		if p.successor != nil {
			return false
		}
	}
	return m.allReady(g) && len(g.leaving) == 0 && m.pool.wanted() == m.pool.size && !slices.ContainsFunc(m.pool.slots, slot.isClosing)
}

// asksFor is somebody's wish for one worker more or less at rest.
func (m *Machine) asksFor(more int) {
	if m.phase != operating {
		return
	}
	p := &m.pool
	base := max(p.base+more, 1)
	if m.policy.MaxWorkers > 0 {
		base = min(base, max(m.policy.MaxWorkers, p.base))
	}
	if base == p.base {
		m.do(Resize{Workers: p.size, Reason: "it can have no fewer than 1 worker, and no more than max-workers"})
		return
	}
	m.scale(base)
}

// scale gives the pool another size at rest. What it has above that it keeps,
// as far as it may.
func (m *Machine) scale(base int) {
	p := &m.pool
	size := min(max(p.size+base-p.base, base), max(m.policy.MaxWorkers, base))
	p.base = base
	m.setSize(size, "asked for")
}

func (m *Machine) setSize(size int, reason string) {
	m.pool.size = size
	m.do(Resize{Workers: size, Reason: reason})
}

// resize opens slots at once, and closes them when no swap is under way.
func (m *Machine) resize() {
	p := &m.pool
	for m.serving() != nil && p.wanted() < p.size && m.openSlot() {
	}
	for m.serving() != nil && m.candidate() == nil && p.wanted() > p.size {
		s := &p.slots[m.longestIdle()]
		s.closing, s.waiting = m.now, unknown
		if !m.policy.Steer {
			s.waiting = 0
		}
		m.changed = true
	}
	for number := range p.slots {
		// What came to its queue before it was closed is served first.
		if s := p.slots[number]; s.isClosing() && s.waiting == 0 && m.canSpare(number) {
			m.closeSlot(number)
		}
	}
}

// canSpare reports whether the worker of a slot that is being closed is missed
// by nobody: meanwhile another may have ended.
func (m *Machine) canSpare(number int) bool {
	for i, s := range m.pool.slots {
		if s.stays() && !m.accepts(i) {
			return !m.accepts(number)
		}
	}
	return true
}

// accepts reports whether a slot has a worker that is ready.
func (m *Machine) accepts(slot int) bool {
	_, w := m.holder(slot)
	return w != nil && w.state == ready
}

// hasRoom reports whether there may be one worker more. Those that have been
// asked to end and have not are there still.
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

// wanted is the number of slots that are open and stay so.
func (p *pool) wanted() (n int) {
	for _, s := range p.slots {
		if s.stays() {
			n++
		}
	}
	return n
}

// openSlot opens a slot, and reports whether there was one to open: one that
// connections wait in, else one that is being closed and has its worker still,
// else the first that is not open.
func (m *Machine) openSlot() bool {
	p := &m.pool
	room, closing := m.hasRoom(), slices.IndexFunc(p.slots, slot.isClosing)
	number := slices.IndexFunc(p.slots, slot.strays)
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

func (m *Machine) closeSlot(number int) {
	m.changed = true
	m.pool.slots[number] = slot{}
	for _, g := range m.generations {
		for p := g.place(number); p.worker != nil && (g.state == Serving || g.state == Partial); {
			g.vacate(p.worker)
		}
	}
	m.dismiss()
}

// keepSlots takes back what is being closed, for a swap is not to meet slots
// that come and go.
func (p *pool) keepSlots() {
	for i := range p.slots {
		p.slots[i].closing = time.Time{}
	}
}

// longestIdle is the slot that is missed least: a vacant one, one whose worker
// is not ready, and else the one whose worker has had nothing to do for the
// longest time.
func (m *Machine) longestIdle() (number int) {
	rank := func(number int) time.Time {
		_, w := m.holder(number)
		switch {
		case w == nil || w.state != ready:
			return time.Time{}
		case w.idleSince.IsZero():
			return m.now.Add(1) // busy
		}
		return w.idleSince
	}
	number = -1
	for i, s := range m.pool.slots {
		if s.stays() && (number < 0 || !rank(number).Before(rank(i))) {
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

// steer says which slots new connections may go to: those with a worker that
// accepts them, and while there are none, all.
func (m *Machine) steer() {
	if !m.policy.Steer || m.phase != operating {
		return
	}
	nobody := true
	for i, s := range m.pool.slots {
		nobody = nobody && !(s.stays() && m.accepts(i))
	}
	var slots []int
	news := false
	for i := range m.pool.slots {
		s := &m.pool.slots[i]
		to := s.stays() && (nobody || m.accepts(i))
		news = news || to != s.steered
		if s.steered = to; to {
			slots = append(slots, i)
		}
	}
	if news {
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
