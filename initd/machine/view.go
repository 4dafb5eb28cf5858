package machine

import "time"

// View is the state of the machine after the last Step, for whoever logs or
// publishes it. A Step with Tick brings it up to date.
type View struct {
	Begun, Stopping bool
	Readiness       Readiness
	Serving         int  // the generation that serves; 0: none
	EverReady       bool // one has served
	Attempt         int  // the last number that a generation was given
	GivenUp         int  // the last number that was refused or given up, and is not tried again; 0: none
	Ticket          int  // the last number that a request for a swap was given
	NextAttempt     time.Time
	Failures        int // failed attempts in a row
	Flapping        Flapping
	Workers         int  // wanted in the pool now
	Base            int  // wanted when there is little to do
	Max             int  // that may be wanted; 0: it does not grow by itself
	Idle            bool // nothing is under way: one generation serves, alone, and all its workers are ready. A plain init never is
	Generations     []GenerationView
}

// GenerationView is a generation that has workers or is a candidate.
type GenerationView struct {
	Number  int
	State   State
	Began   time.Time    // when its attempt began
	Ready   time.Time    // when it began to serve; zero: it has not
	ReadyBy ReadyBy      // what the least proved of its workers counted as ready by
	Workers []WorkerView // by slot, and then those that have lost their slot
}

// WorkerView is a worker of a generation. Started is when it was forked, or when its
// start was decided if it has not been forked yet.
type WorkerView struct {
	Slot, PID      int
	State          string
	Started, Ready time.Time
	ReadyBy        ReadyBy
	Activity       Activity // as it was judged by the last survey; Silent: none has seen it
	Holds          bool     // it has its slot: it is not of a candidate, no replacement, and has not lost it
	Orphan         bool     // it is no worker, but was left by one that has ended
}

// Outline returns a View without the generations. It allocates nothing, and
// costs the same however many workers there are, but for Idle and Readiness, which
// take a look at each slot. NextAttempt is when a back-off ends that an attempt waits for, and
// zero when none does.
func (m *Machine) Outline() View {
	v := View{
		Begun: m.begun, Stopping: m.phase != operating, Readiness: m.readiness(), EverReady: m.everReady,
		Attempt: m.number, GivenUp: m.gaveUp, Ticket: m.ticket, Failures: m.failures,
		Workers: m.pool.size, Base: m.pool.base, Max: m.policy.MaxWorkers, Idle: m.idle(),
		Flapping: m.flappingView(),
	}
	if g := m.serving(); g != nil {
		v.Serving = g.number
	}
	if m.waiting.ticket != 0 && m.candidate() == nil {
		v.NextAttempt = m.notBefore
	}
	return v
}

// readiness is the state for initd's own supervisor.
func (m *Machine) readiness() Readiness {
	switch {
	case m.phase != operating:
		return Stopping
	case m.serving() == nil, m.hangs():
		return NotReady
	case m.candidate() != nil:
		return Reloading
	}
	return IsReady
}

// idle reports whether nothing is under way. A plain init is never idle in this
// sense: all that it does is to run its command.
func (m *Machine) idle() bool {
	return m.phase == operating && m.policy.Respawn != Never &&
		m.waiting.ticket == 0 && len(m.generations) == 1 && m.serving() != nil && m.isComplete(m.serving())
}

// Published yields the live workers that are to be known outside, for instance
// by the status file: those of generations which are ready or have been, or of
// such a batch. They come by the number of their generation, then by slot, and
// last in each generation those that have lost their slot. It allocates
// nothing and costs as much as there are workers.
func (m *Machine) Published(yield func(generation, pid int) bool) {
	for _, g := range m.generations {
		for w := range g.live {
			if w.pid != 0 && m.isPublic(g, w) && !yield(g.number, w.pid) {
				return
			}
		}
	}
}

// isPublic reports whether a worker's generation is ready or has been, or at
// least its batch.
func (m *Machine) isPublic(g *generation, w *worker) bool {
	return Trial <= g.state && g.state < Failed || g.isCandidate() && !g.place(w.slot).inBatch
}

// View returns a copy of the state.
func (m *Machine) View() View {
	v := m.Outline()
	for _, g := range m.generations {
		of := GenerationView{Number: g.number, State: g.state, Began: g.attempted, Ready: g.servedAt, ReadyBy: m.provedBy(g)}
		for w := range g.live {
			of.Workers = append(of.Workers, WorkerView{
				Slot: w.slot, PID: w.pid, State: w.stateView(), Started: w.started, Ready: w.readyAt, ReadyBy: w.readyBy,
				Activity: w.activity(), Holds: m.hasSlot(g, w), Orphan: w.orphan,
			})
		}
		v.Generations = append(v.Generations, of)
	}
	return v
}

// stateView is the word for a worker's state.
func (w *worker) stateView() string {
	if w.suspended && w.state < killed {
		return "suspended"
	}
	return w.state.String()
}

// hasSlot reports whether a worker is the one that serves in its slot.
func (m *Machine) hasSlot(g *generation, w *worker) bool {
	return g.places[w.slot].worker == w && (g.state == Serving || m.pool.slots[w.slot].owner == g.number) && m.holds(g, w.slot)
}

// activity is what the last survey made of a worker.
func (w *worker) activity() Activity {
	switch {
	case w.surveyed.IsZero():
		return Silent
	case w.idleSince.IsZero():
		return Busy
	}
	return Idle
}
