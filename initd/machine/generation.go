package machine

import (
	"slices"
	"time"
)

// State is a generation's. The package's documentation draws where each leads.
type State int

const (
	Preparing State = iota // its environment is being read
	Checking               // a hook decides whether it may go on
	Starting               // the workers of a batch are started
	Probing                // they are ready, and are being probed
	Trial                  // they are ready, and the older ones are not stopped yet
	Serving                // it has all slots
	Partial                // a batch has failed, and it keeps the slots of earlier ones
	Retiring               // it is replaced, and its workers were asked to stop
	Failed                 // its attempt has failed, and its workers are killed

	// What a Transition also reports: no generation stays in one of these.
	Declined // it could not be prepared, and what serves goes on
	Lost     // it had served and has no worker left
	Gone     // it has retired, or failed, and its last worker has ended
)

func (s State) String() string {
	return [...]string{"preparing", "checking", "starting", "probing", "trial", "serving", "partial",
		"retiring", "failed", "refused", "lost", "gone"}[s]
}

// generation is the workers started for one swap.
type generation struct {
	number  int
	state   State
	began   time.Time // when its attempt, or the batch that is being started, began
	places  []place   // by slot
	leaving []*worker // those that have lost their slot and have not ended
	trialAt time.Time // trial: when it is over

	attempted time.Time // when its attempt began
	servedAt  time.Time // when it began to serve; zero: it has not
	ticket    int       // of the request that it serves for
	swapped   bool      // it has replaced another

	probeAt    time.Time // probing: when the next probe may run
	probeUntil time.Time // probing: limit of the probe that runs; zero when none runs or none is set
	probeRuns  bool
}

// place is a slot in a generation.
type place struct {
	worker      *worker   // nil where it is vacant
	replacement *worker   // takes the slot over when it is ready
	inBatch     bool      // candidate: the slot is one of the batch that is being started
	refillAt    time.Time // when it may be filled, if vacant
}

// worker is one process of a generation.
type worker struct {
	slot     int
	pid      int // 0 while forking
	state    workerState
	from     [killed + 1]workerState // the state before, by state from stopping on
	immune   bool                    // the kernel refuses signals from initd
	started  time.Time               // when it was forked
	readyAt  time.Time               // zero until it is ready
	lastPing time.Time               // when it became ready or sent WATCHDOG=1 last
	killAt   time.Time               // stopping: when drain-timeout is over; zero: never
	extended time.Time               // the limit of its start or its end is not over before; zero: when that is

	life        lifetime
	idleSince   time.Time // as far as surveys have seen; zero: it is busy, or none has
	cpu         time.Duration
	surveyed    time.Time // when a survey saw it last
	requests    int64
	clientsGone int // surveys in a row that saw all of its clients gone

	killedAt time.Time
	stuck    bool // it was killed and did not end in time

	sight          Sight
	sightReason    string    // what it was not seen to do, or why that cannot be told, after a look
	lookFrom       time.Time // when something last became different that a look may see
	undecidedSince time.Time // since when nothing certain is known of that; zero: it does not accept
	readyBy        ReadyBy

	suspended bool // it was stopped by a signal
	continued bool // by initd, since it was asked to end

	signalled bool // an operator has sent it a signal to end by

	failed bool // its attempt has failed: it is killed as soon as it is a process
	orphan bool // it belonged to a worker that has ended; failed: it is killed, as that was or would have been
}

type workerState int

const (
	forking   workerState = iota // it was asked for and is no process yet
	executing                    // it is a process and does not run the program yet
	running                      // it runs the program
	ready
	stopping // it was asked to stop, by a swap or because it is not needed in its slot
	ending   // initd stops and has asked it to end
	killed
)

func (s workerState) String() string {
	return [...]string{"forking", "executing", "running", "ready", "stopping", "ending", "killed"}[s]
}

// isCandidate reports whether the generation is on its way to serving.
func (g *generation) isCandidate() bool { return g.state < Serving }

// place is the place of a slot, and is made if the generation has none yet.
func (g *generation) place(slot int) *place {
	for len(g.places) <= slot {
		g.places = append(g.places, place{})
	}
	return &g.places[slot]
}

// hasBatch reports whether a batch of a candidate is under way.
func (g *generation) hasBatch() bool {
	return slices.ContainsFunc(g.places, func(p place) bool { return p.inBatch })
}

// live yields the workers that have not ended, by slot, and then those that have
// lost their slot.
func (g *generation) live(yield func(*worker) bool) {
	for i := range g.places {
		p := &g.places[i]
		if p.worker != nil && !yield(p.worker) || p.replacement != nil && !yield(p.replacement) {
			return
		}
	}
	for _, w := range g.leaving {
		if !yield(w) {
			return
		}
	}
}

// unneeded yields the workers that have not ended and are to: all of a generation that
// retires or has failed, else those that have lost their slot.
func (g *generation) unneeded(yield func(*worker) bool) {
	if g.state >= Retiring {
		g.live(yield)
		return
	}
	for _, w := range g.leaving {
		if !yield(w) {
			return
		}
	}
}

// isAlive reports whether a worker is left that can be killed.
func (g *generation) isAlive() bool {
	for w := range g.live {
		if w.canBeKilled() {
			return true
		}
	}
	return false
}

// empty reports whether no worker is left.
func (g *generation) empty() bool {
	for range g.live {
		return false
	}
	return true
}

// forking is the worker of a slot that is no process yet. There is one at most, so
// that it is known which start a Forked or ForkFailed is about.
func (g *generation) forking(slot int) *worker {
	is := func(w *worker) bool { return w != nil && w.slot == slot && w.state == forking }
	if 0 <= slot && slot < len(g.places) {
		for _, w := range [...]*worker{g.places[slot].worker, g.places[slot].replacement} {
			if is(w) {
				return w
			}
		}
	}
	if i := slices.IndexFunc(g.leaving, is); i >= 0 {
		return g.leaving[i]
	}
	return nil
}

// hasSecondWorker reports whether a slot has a replacement, or a worker that has
// lost the slot and is still there.
func (g *generation) hasSecondWorker(slot int) bool {
	return g.place(slot).replacement != nil || slices.ContainsFunc(g.leaving, func(w *worker) bool { return w.slot == slot })
}

// vacate takes its slot from a worker. It will be asked to stop, and what becomes
// of it is of no more consequence for the slot.
func (g *generation) vacate(w *worker) {
	if g.clearPlace(w) {
		g.leaving = append(g.leaving, w)
	}
}

// clearPlace takes a worker out of its place, and reports whether it had one.
func (g *generation) clearPlace(w *worker) bool {
	switch p := g.place(w.slot); w {
	case p.worker:
		p.worker, p.replacement = p.replacement, nil
	case p.replacement:
		p.replacement = nil
	default:
		return false
	}
	return true
}

// removeWorker takes a worker that has ended out of the generation.
func (g *generation) removeWorker(w *worker) {
	if !g.clearPlace(w) {
		g.leaving = slices.DeleteFunc(g.leaving, func(other *worker) bool { return other == w })
	}
}

// enter has a generation change its state.
func (m *Machine) enter(g *generation, s State, reason string) {
	g.state = s
	a := Transition{Generation: g.number, State: s, Reason: reason}
	if s == Serving {
		a.ReadyBy = m.provedBy(g)
	}
	m.do(a)
}

// removeEmpty removes a generation that has no worker left.
func (m *Machine) removeEmpty(g *generation) {
	if g.empty() {
		m.do(Transition{Generation: g.number, State: Gone})
		m.remove(g)
	}
}

// removeDone removes a generation that has no worker left and is to get none.
func (m *Machine) removeDone(g *generation) {
	if g.state >= Partial {
		m.removeEmpty(g)
	}
}

// remove has the machine forget a generation. The slice is copied, for a caller
// may be going through it.
func (m *Machine) remove(g *generation) {
	m.generations = slices.DeleteFunc(slices.Clone(m.generations), func(x *generation) bool { return x == g })
}
