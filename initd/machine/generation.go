package machine

import "time"

// State is a generation's. The package's documentation draws where each leads.
type State int

const (
	Preparing State = iota
	Starting
	Probing
	Trial
	Serving
	Retiring
	Failed

	// Outcomes that are announced and that no generation stays in.
	Declined // it could not be prepared, and what serves goes on
	Lost     // it had served and has no worker left
	Gone     // it has retired, or failed, and its last worker has ended
)

func (s State) String() string {
	return [...]string{"preparing", "starting", "probing", "trial", "serving", "retiring",
		"failed", "refused", "lost", "gone"}[s]
}

// generation is the workers started for one swap.
type generation struct {
	number   int
	state    State
	began    time.Time   // when its attempt was
	readyAt  time.Time   // since when all its workers are ready, and from then on since it serves; zero before
	workers  []*worker   // by slot; nil where the slot is vacant
	refillAt []time.Time // by slot; serving: when it may be filled, if vacant

	probeAt    time.Time // probing: when the next probe may run
	probeUntil time.Time // probing: limit of the probe that runs; zero when none runs or none is set
	probeRuns  bool
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
}

type workerState int

const (
	forking   workerState = iota // it was asked for and is no process yet
	executing                    // it is a process and not yet the program
	running                      // it is the program
	ready
	stopping // a swap has asked it to end
	ending   // initd stops and has asked it to end
	killed
)

// isCandidate reports whether the generation is on its way to serving.
func (g *generation) isCandidate() bool { return g.state < Serving }

// live returns the workers that are there, by slot.
func (g *generation) live() []*worker {
	var all []*worker
	for _, w := range g.workers {
		if w != nil {
			all = append(all, w)
		}
	}
	return all
}

// allReady reports whether every slot has a ready worker.
func (g *generation) allReady() bool {
	for _, w := range g.workers {
		if w == nil || w.state != ready {
			return false
		}
	}
	return true
}
