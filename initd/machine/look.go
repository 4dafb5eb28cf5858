package machine

import (
	"fmt"
	"time"
)

// looking is when workers are looked at that have to be seen to wait for connections.
// There is no event for that, so they are looked at again and again, but only until
// they do.
type looking struct {
	askedAt time.Time // of the look that is outstanding; zero: none is
	last    time.Time // when the last one was asked for
	next    time.Time // when the next one is due, unless a worker is new to it; zero: nobody has to be looked at
}

// The pause between two looks grows with the age of the youngest worker that they are
// for: one that never accepts must not delay another. It has no limit where only workers
// that are ready do not accept, so that initd becomes idle, too. It has one, even after a
// look that took long, while an attempt waits, which would else fail by it.
const (
	minLook  = 10 * time.Millisecond
	maxLook  = time.Second // while a worker may become ready by it
	lookPart = 32          // of the age
	lookCost = 4           // times what the last look took, which leaves the time to the workers that start
)

// noLimitPatience is how long a worker may be undecided where there is no start-timeout.
const noLimitPatience = 30 * time.Second

// Sight is what is known of whether a worker waits for connections.
type Sight int

const (
	Undecided    Sight = iota // it has not been seen yet, or is too busy for that
	Accepting                 // it does, or did: it is not asked again
	NotAccepting              // it does certainly not
	Unknown                   // it cannot be told
)

var sightNames = []string{Undecided: "undecided", Accepting: "accepting", NotAccepting: "not-accepting", Unknown: "unknown"}

func (s Sight) String() string { return sightNames[s] }

// ReadyBy is by what a worker, or a generation, counted as ready.
type ReadyBy int

const (
	ByNothing      ReadyBy = iota // it is not ready
	ByInterval                    // it has lived for the interval
	ByAccepting                   // and was seen to wait for connections
	ByNotification                // it has sent READY=1
)

// String is the word for it in the log and in the status.
func (b ReadyBy) String() string { return [...]string{"", "interval", "accepting", "READY=1"}[b] }

// Look: look at workers, whether they wait for connections. Looked, once.
type Look struct{ PIDs []int }

// Looked: workers were looked at. Of those that have ended there is nothing.
type Looked struct{ Workers []Glance }

// Glance is what was seen of one worker. Reason is what it does not do, or why that
// cannot be told, as the rest of a sentence about it.
type Glance struct {
	PID    int
	Sight  Sight
	Reason string
}

// Unverified: a worker counts as ready because it has lived for the interval, for it could
// not be told whether it waits for connections. There is nothing to be done about it but
// to log it.
type Unverified struct {
	Generation, Slot, PID int
	Reason                string
}

func (a Look) String() string { return fmt.Sprintf("look pids=%q", list(a.PIDs)) }
func (a Unverified) String() string {
	return fmt.Sprintf("unverified %s reason=%q", workerFields(a.Generation, a.Slot, a.PID), a.Reason)
}
func (e Looked) String() string {
	s := "looked"
	for _, g := range e.Workers {
		s += fmt.Sprintf(" %d=%q", g.PID, g.text())
	}
	return s
}

// text is the sight, and the reason after it if there is one.
func (g Glance) text() string {
	if g.Reason == "" {
		return g.Sight.String()
	}
	return g.Sight.String() + " " + g.Reason
}

// lookIfDue asks for the next look when it is time.
func (m *Machine) lookIfDue() {
	if !m.policy.Looks || !m.look.askedAt.IsZero() {
		return
	}
	workers := m.toLookAt()
	if len(workers) == 0 {
		m.look.next = time.Time{}
		return
	}
	if m.look.next.IsZero() {
		m.look.next = m.now.Add(minLook)
	}
	next := m.look.next
	for _, w := range workers {
		// It does not wait for the pause that older workers have made long.
		if soon := w.lookFrom.Add(minLook); w.lookFrom.After(m.look.last) && soon.Before(next) {
			next = soon
		}
	}
	if m.due(next) {
		m.look = looking{askedAt: m.now, last: m.now}
		var pids []int
		for _, w := range workers {
			pids = append(pids, w.pid)
		}
		m.do(Look{PIDs: pids})
	}
}

func (e Looked) apply(m *Machine) {
	asked := m.look.askedAt
	if m.look.askedAt = (time.Time{}); asked.IsZero() || m.phase != operating {
		return
	}
	m.changed = true
	workers := make(map[int]*worker, len(e.Workers))
	for _, g := range m.generations {
		for w := range g.live {
			workers[w.pid] = w
		}
	}
	for _, glance := range e.Workers {
		// A worker that was forked later may have the pid of one that was seen.
		if w := workers[glance.PID]; glance.PID > 0 && w != nil && w.started.Before(asked) && w.sight != Accepting {
			w.note(glance, m.now)
		}
	}
	var youngest time.Time
	isStarting := false
	for _, w := range m.toLookAt() {
		isStarting = isStarting || w.state < ready
		if w.started.After(youngest) {
			youngest = w.started
		}
	}
	pause := max(m.now.Sub(youngest)/lookPart, lookCost*m.now.Sub(asked), minLook)
	if isStarting {
		pause = min(pause, maxLook)
	}
	m.look.next = m.now.Add(pause)
}

// note takes note of what was seen of a worker.
func (w *worker) note(g Glance, now time.Time) {
	w.sight, w.sightReason = g.Sight, g.Reason
	switch {
	case g.Sight == NotAccepting:
		w.undecidedSince = time.Time{}
	case w.undecidedSince.IsZero():
		w.undecidedSince = now
	}
}

// toLookAt are the workers that have to be looked at.
func (m *Machine) toLookAt() (all []*worker) {
	for _, g := range m.generations {
		if g.state < Starting || g.state > Partial {
			continue
		}
		for slot := range g.places {
			for _, w := range [...]*worker{g.places[slot].worker, g.places[slot].replacement} {
				if w != nil && m.mustLookAt(w) {
					all = append(all, w)
				}
			}
		}
	}
	return all
}

// mustLookAt reports whether a worker has to be looked at: it may become ready by what is
// seen, or it is ready and new connections are steered to it by that.
func (m *Machine) mustLookAt(w *worker) bool {
	switch {
	case w.suspended, w.sight == Accepting:
		return false
	case w.state == running:
		return m.policy.Ready == Auto || m.policy.Ready == Seen
	case w.state == ready:
		return m.policy.Steer && m.isGated(w)
	}
	return false
}

// isGated reports whether a worker that is ready gets no new connections where slots have
// sockets of their own, for it does not wait for any. Where that cannot be told it does.
func (m *Machine) isGated(w *worker) bool {
	switch {
	case !m.policy.Looks, w.sight == Accepting, w.sight == Unknown:
		return false
	case w.sight == NotAccepting:
		return true
	}
	return !m.due(w.undecidedSince.Add(m.policy.patience()))
}

// patience is how long a worker may be undecided before it counts as one of which nothing
// can be told.
func (p *Policy) patience() time.Duration {
	if p.StartTimeout > 0 {
		return p.StartTimeout / 2
	}
	return noLimitPatience
}

// judgeSight is by what a worker that has lived for the interval is ready, as it was seen.
func (m *Machine) judgeSight(w *worker) ReadyBy {
	switch {
	case m.policy.Respawn == Never, m.policy.Ready == Alive, !m.policy.Looks && m.policy.Ready == Auto:
		return ByInterval
	case w.sight == Accepting:
		return ByAccepting
	case m.policy.Ready != Auto, w.sight == NotAccepting:
		return ByNothing
	case w.sight == Unknown, m.due(w.undecidedSince.Add(m.policy.patience())):
		return ByInterval
	}
	return ByNothing
}

// whyNotReady says of the first of several workers that are not ready in time what was
// seen of it, and nothing where nothing was.
func (m *Machine) whyNotReady(workers ...*worker) (why string) {
	more := 0
	for _, w := range workers {
		switch {
		case w == nil || w.state != running || w.sightReason == "" || !m.mustLookAt(w):
		case why == "":
			why = fmt.Sprintf(": worker %d has lived for %v and %s", w.pid, m.now.Sub(w.started).Round(time.Second), w.sightReason)
		default:
			more++
		}
	}
	if more > 0 {
		why += fmt.Sprintf(", and %d more", more)
	}
	return why
}

// provedBy is what the least proved of a generation's ready workers counted as ready by.
func (m *Machine) provedBy(g *generation) (by ReadyBy) {
	for slot := range g.places {
		if w := g.places[slot].worker; w != nil && w.readyBy != ByNothing && (by == ByNothing || w.readyBy < by) {
			by = w.readyBy
		}
	}
	return by
}
