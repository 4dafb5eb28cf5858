package machine

import (
	"slices"
	"time"
)

// State is a generation's. The package's documentation draws where each leads.
type State int

const (
	Preparing State = iota
	Checking
	Starting
	Probing
	Trial
	Serving
	Partial
	Retiring
	Failed

	// Outcomes that are announced and that no generation stays in.
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
	began   time.Time // when its attempt did, or the batch that is being started
	places  []place   // by slot
	leaving []*worker // those that have given up their place and are still there
	trialAt time.Time // trial: its end

	attempted time.Time // when its attempt began
	servedAt  time.Time // when it began to serve; zero: it has not

	probeAt    time.Time // probing: when the next probe may run
	probeUntil time.Time // probing: limit of the probe that runs; zero when none runs or none is set
	probeRuns  bool
}

// place is a slot in a generation.
type place struct {
	worker    *worker   // nil where it is vacant
	successor *worker   // that is to take the worker's place once it is ready
	called    bool      // candidate: the slot is of the batch that is being started
	refillAt  time.Time // when it may be filled, if vacant
}

// worker is one process of a generation.
type worker struct {
	slot    int
	pid     int // 0 while forking
	state   workerState
	started time.Time // when it was forked
	readyAt time.Time // zero until it is ready
	heard   time.Time // when it last gave a sign of life
	killAt  time.Time // stopping: end of the grace; zero: no end

	life      lifetime
	idleSince time.Time // as far as surveys have seen; zero: it is busy, or none has
	cpu       time.Duration
	surveyed  time.Time // when cpu was
	requests  int64
	forsaken  int // surveys in a row that saw its clients gone

	failed bool // its attempt has, and it is killed as soon as it can be
}

type workerState int

const (
	forking   workerState = iota // it was asked for and is no process yet
	executing                    // it is a process and not yet the program
	running                      // it is the program
	ready
	stopping // it was asked to end, by a swap or because its place is not needed
	ending   // initd stops and has asked it to end
	killed
)

func (s workerState) String() string {
	return [...]string{"forking", "executing", "running", "ready", "stopping", "ending", "killed"}[s]
}

// isCandidate reports whether the generation is on its way to serving.
func (g *generation) isCandidate() bool { return g.state < Serving }

// place is that of a slot, which there may have been none of before.
func (g *generation) place(slot int) *place {
	for len(g.places) <= slot {
		g.places = append(g.places, place{})
	}
	return &g.places[slot]
}

// live yields the workers that are there, by slot, and then those that leave.
func (g *generation) live(yield func(*worker) bool) {
	for i := range g.places {
		p := &g.places[i]
		if p.worker != nil && !yield(p.worker) || p.successor != nil && !yield(p.successor) {
			return
		}
	}
	for _, w := range g.leaving {
		if !yield(w) {
			return
		}
	}
}

// isAlive reports whether a worker is there that was not killed.
func (g *generation) isAlive() bool {
	for w := range g.live {
		if w.state < killed {
			return true
		}
	}
	return false
}

// empty reports whether no worker is there.
func (g *generation) empty() bool {
	for range g.live {
		return false
	}
	return true
}

// forking is the worker of a slot that is no process yet. There is at most
// one, so that the answer to its start is known for its own.
func (g *generation) forking(slot int) *worker {
	is := func(w *worker) bool { return w != nil && w.slot == slot && w.state == forking }
	if 0 <= slot && slot < len(g.places) {
		for _, w := range [...]*worker{g.places[slot].worker, g.places[slot].successor} {
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

// isCrowded reports whether a slot has a successor, or a worker that has given it
// up and is still there.
func (g *generation) isCrowded(slot int) bool {
	return g.place(slot).successor != nil || slices.ContainsFunc(g.leaving, func(w *worker) bool { return w.slot == slot })
}

// vacate has a worker give up its place: it is asked to end, and whatever
// comes of it concerns the slot no more.
func (g *generation) vacate(w *worker) {
	if g.leaves(w) {
		g.leaving = append(g.leaving, w)
	}
}

// leaves takes a worker out of its place, and reports whether it had one.
func (g *generation) leaves(w *worker) bool {
	switch p := g.place(w.slot); w {
	case p.worker:
		p.worker, p.successor = p.successor, nil
	case p.successor:
		p.successor = nil
	default:
		return false
	}
	return true
}

// bury takes a worker out of the generation.
func (g *generation) bury(w *worker) {
	if !g.leaves(w) {
		g.leaving = slices.DeleteFunc(g.leaving, func(other *worker) bool { return other == w })
	}
}
