package machine

import (
	"fmt"
	"slices"
	"time"
)

// survey is when the workers are looked at. There is no event for most of what they
// do, so they are looked at again and again, but only where something depends on it.
type survey struct {
	askedAt time.Time // of the one that is outstanding; zero: none is
	next    time.Time // when the next one is due; zero: not known yet
}

// steerSurvey is the time between two surveys while the queue of a slot that is being
// closed is to run empty.
const steerSurvey = 250 * time.Millisecond

// busyShare is the share of its time that a worker has to spend on a CPU to count as
// busy, where nothing else is known of it.
const busyShare = 0.5

// Sample is what was seen of a worker. Clients and Gone are -1 where they are not
// known.
type Sample struct {
	PID      int
	Activity Activity
	Requests int64         // finished since it started
	Clients  int           // connections it holds
	Gone     int           // of these, those whose client has closed
	CPU      time.Duration // since it started
	Memory   int64         // bytes
}

// Activity is what a worker reports on the scoreboard.
type Activity int

const (
	Silent Activity = iota // nothing
	Idle
	Busy
)

func (a Activity) String() string { return [...]string{"silent", "idle", "busy"}[a] }

// Survey: look at the workers. Surveyed, once.
type Survey struct{}

func (Survey) String() string { return "survey" }

// Surveyed: the workers were looked at. Queue is how many connections wait to be
// accepted, and Queues how many of them in the sockets of each slot, where
// slots have their own.
type Surveyed struct {
	Queue   int
	Queues  []int
	Workers []Sample
}

func (e Surveyed) String() string {
	s := fmt.Sprintf("surveyed queue=%d", e.Queue)
	if len(e.Queues) > 0 {
		s += fmt.Sprintf(" queues=%q", list(e.Queues))
	}
	workers := ""
	for i, w := range e.Workers {
		if i > 0 {
			workers += " "
		}
		workers += fmt.Sprintf("%d:%v:%d:%d:%d:%v:%d", w.PID, w.Activity, w.Requests, w.Clients, w.Gone, w.CPU, w.Memory)
	}
	return s + fmt.Sprintf(" workers=%q", workers)
}

// surveyIfDue asks for the next survey when it is time.
func (m *Machine) surveyIfDue() {
	every := m.policy.Survey
	if m.policy.Steer && slices.ContainsFunc(m.pool.slots, slot.isClosing) {
		every = steerSurvey
	}
	if every == 0 || !m.survey.askedAt.IsZero() || m.serving() == nil {
		return
	}
	if m.survey.next.IsZero() || m.survey.next.After(m.now.Add(every)) {
		m.survey.next = m.now.Add(every)
	}
	if m.due(m.survey.next) {
		m.survey.askedAt, m.survey.next = m.now, time.Time{}
		m.do(Survey{})
	}
}

func (e Surveyed) apply(m *Machine) {
	asked := m.survey.askedAt
	if m.survey.askedAt = (time.Time{}); asked.IsZero() || m.phase != operating {
		return
	}
	m.changed = true
	for _, s := range e.Workers {
		// A worker that was forked later may have the pid of one that was seen.
		if g, w := m.worker(s.PID); w != nil && w.started.Before(asked) && w.isReady() {
			m.noteSample(g, w, s)
		}
	}
	for i := range m.pool.slots {
		s := &m.pool.slots[i]
		// A queue that was empty during the grace may have been filled since.
		if i < len(e.Queues) && (s.closing.IsZero() || !asked.Before(s.closing.Add(steerGrace))) {
			s.queued = e.Queues[i]
		}
	}
	m.adjustSize(e.Queue)
}

// noteSample takes note of what was seen of a worker.
func (m *Machine) noteSample(g *generation, w *worker, s Sample) {
	busy := s.Activity == Busy
	if s.Activity == Silent {
		if busy = s.Clients > 0; s.Clients < 0 && !w.surveyed.IsZero() {
			spent, passed := s.CPU-w.cpu, m.now.Sub(w.surveyed)
			busy = float64(spent) >= busyShare*float64(passed)
		}
	}
	switch {
	case busy:
		w.idleSince = time.Time{}
	case w.idleSince.IsZero(), s.Requests != w.requests:
		w.idleSince = m.now
	}
	if s.Activity == Idle || s.Clients <= 0 || s.Gone < s.Clients {
		w.clientsGone = 0
	} else if w.clientsGone++; w.clientsGone == 2 {
		// Seen once, the worker may just be about to close them.
		m.disconnected(g, w)
	}
	w.cpu, w.surveyed, w.requests = s.CPU, m.now, s.Requests
	w.life.wear(s)
}

// disconnected sends a worker the signal, and runs the hook, when it is busy for
// clients that have gone.
func (m *Machine) disconnected(g *generation, w *worker) {
	if signal := m.policy.DisconnectSignal; signal != 0 {
		m.do(Forward{g.number, w.slot, w.pid, signal})
	}
	m.runHook(RunHook{Hook: OnDisconnect, Generation: g.number, Slot: w.slot, PID: w.pid})
}

// adjustSize makes the pool larger at once when there is too much to do, and smaller
// when there has been too little for a while.
func (m *Machine) adjustSize(queue int) {
	if m.serving() == nil {
		return
	}
	if m.pool.waits++; queue == 0 {
		m.pool.waits = 0
	}
	idle, starting := m.countIdle()
	if !m.growFor(queue, idle, starting) && !m.reopen() {
		m.shrink(idle, starting)
	}
}

// countIdle counts the workers that are idle, and those that are not ready or were
// not seen by a survey yet.
func (m *Machine) countIdle() (idle, starting int) {
	starting = max(0, m.pool.size-m.pool.stayingOpen()) // slots that are yet to be opened
	for i, s := range m.pool.slots {
		if !s.staysOpen() {
			continue
		}
		switch _, w := m.holder(i); {
		case w == nil || !w.isReady() || w.surveyed.IsZero():
			starting++
		case !w.idleSince.IsZero():
			idle++
		}
	}
	return idle, starting
}

// growFor starts the workers that are missing, in steps that double as long as some
// are: the queue may be shorter when the first have started.
func (m *Machine) growFor(queue, idle, starting int) bool {
	p := &m.pool
	need, reason := m.policy.MinIdle-idle-starting, "too few idle workers"
	if p.waits > 1 && queue-starting > need {
		need, reason = queue-starting, "connections are waiting"
	}
	if need <= 0 {
		p.step = 1
		return false
	}
	if !m.grow(min(p.size+min(need, p.step), max(m.policy.MaxWorkers, p.base)), reason) {
		return false
	}
	p.step = min(2*p.step, maxStep)
	return true
}

// reopen opens a slot in which connections have come to wait after it was
// closed, also in a pool that does not grow by itself.
func (m *Machine) reopen() bool {
	p := &m.pool
	size := p.size + 1
	if m.policy.MaxWorkers > 0 {
		size = min(size, max(m.policy.MaxWorkers, p.base))
	}
	return slices.ContainsFunc(p.slots, slot.isClosedWithQueue) && m.grow(size, "connections are waiting in a closed slot")
}

// grow makes the pool larger, and reports whether it could.
func (m *Machine) grow(size int, reason string) bool {
	p := &m.pool
	p.surplus = time.Time{}
	// While workers fail, more of them would only fail as well.
	if size <= p.size || m.isFailing() {
		return false
	}
	switch quiet := m.now.Sub(p.shrunkAt); {
	case p.shrunkAt.IsZero():
	case quiet < maxShrinkAfter:
		p.shrinkAfter = min(2*p.shrinkAfter, maxShrinkAfter)
	case quiet > 4*maxShrinkAfter:
		p.shrinkAfter = minShrinkAfter
	}
	p.shrunkAt = time.Time{}
	m.setSize(size, reason)
	return true
}

// shrink makes the pool smaller by one when too many workers have been idle for long
// enough.
func (m *Machine) shrink(idle, starting int) {
	p := &m.pool
	// Workers that fail are not waited for: where the pool has become larger than
	// the computer has memory for, that would be for ever.
	changing := starting > 0 && !m.isFailing()
	switch {
	case idle <= m.policy.MaxIdle || changing || p.waits > 1 || p.size <= p.base:
		p.surplus = time.Time{}
	case p.surplus.IsZero():
		p.surplus = m.now
	case m.now.Sub(p.surplus) >= p.shrinkAfter && m.candidate() == nil:
		p.surplus = m.now.Add(shrinkStep - p.shrinkAfter)
		p.shrunkAt = m.now
		m.setSize(p.size-1, "too many idle workers")
	}
}
