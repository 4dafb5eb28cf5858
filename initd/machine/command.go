package machine

import "fmt"

// The commands of clients that control initd. Client is a number that the loop has
// chosen. One Answer follows in the same step, until the exit.

// SwapAsked: a swap was asked for.
type SwapAsked struct{ Client int }

// StopAsked: initd was asked to stop, as by the signal: TERM, INT or
// QUIT.
type StopAsked struct {
	Client int
	Signal Signal
}

// ScaleAsked: the pool was asked to have this base size.
type ScaleAsked struct{ Client, Workers int }

// SignalAsked: a signal was asked to be sent to workers: those of a
// generation, or all where it is 0, and of these that in a slot, or all where
// it is -1.
type SignalAsked struct {
	Client           int
	Signal           Signal
	Generation, Slot int
}

// Answer: answer a command. A refused one has changed nothing.
type Answer struct {
	Client  int
	Ticket  int    // of the swap that was asked for
	Workers int    // base size; or how many workers were sent the signal
	Refusal string // why it was refused, for people; empty: it was not
	Missing bool   // refused: there is no such generation or worker
}

func (e SwapAsked) String() string { return fmt.Sprintf("swap-asked client=%d", e.Client) }
func (e StopAsked) String() string {
	return fmt.Sprintf("stop-asked client=%d signal=%v", e.Client, e.Signal)
}
func (e ScaleAsked) String() string {
	return fmt.Sprintf("scale-asked client=%d workers=%d", e.Client, e.Workers)
}
func (e SignalAsked) String() string {
	return fmt.Sprintf("signal-asked client=%d signal=%v generation=%d slot=%d", e.Client, e.Signal, e.Generation, e.Slot)
}
func (a Answer) String() string {
	s := fmt.Sprintf("answer client=%d", a.Client)
	if a.Ticket != 0 {
		s += fmt.Sprintf(" ticket=%d", a.Ticket)
	}
	if a.Workers != 0 {
		s += fmt.Sprintf(" workers=%d", a.Workers)
	}
	if a.Refusal != "" {
		s += fmt.Sprintf(" refusal=%q", a.Refusal)
	}
	if a.Missing {
		s += " missing=true"
	}
	return s
}

// Why commands are refused.
const (
	stops      = "initd is stopping"
	neverSwaps = "there are no swaps with respawn=never"
	neverPools = "there is no pool with respawn=never"
)

// unfit is why a signal is not sent to workers.
var unfit = map[Signal]string{
	KILL: "initd kills workers itself, when a limit such as drain-timeout is exceeded",
	STOP: "a suspended worker cannot react when it is asked to stop, and would be killed",
	CHLD: "only the kernel sends it, when a child ends",
}

// lastSignal is the highest number that a signal has; signal(7).
const lastSignal = 64

func (e SwapAsked) apply(m *Machine) {
	a := Answer{Client: e.Client}
	switch {
	case m.phase != operating:
		a.Refusal = stops
	case m.policy.Respawn == Never:
		a.Refusal = neverSwaps
	default:
		a.Ticket = m.request(OnControl)
	}
	m.do(a)
}

func (e StopAsked) apply(m *Machine) {
	a := Answer{Client: e.Client}
	switch {
	case e.Signal != TERM && e.Signal != INT && e.Signal != QUIT:
		a.Refusal = fmt.Sprintf("%v does not stop initd; use TERM, INT or QUIT", e.Signal)
	case m.policy.Respawn == Never && m.phase == operating:
		m.forwardByPlainInit(e.Signal)
	default:
		m.stop(e.Signal)
	}
	m.do(a)
}

func (e ScaleAsked) apply(m *Machine) {
	a := Answer{Client: e.Client}
	switch most := m.policy.MaxWorkers; {
	case m.phase != operating:
		a.Refusal = stops
	case m.policy.Respawn == Never:
		a.Refusal = neverPools
	case e.Workers < 1:
		a.Refusal = fmt.Sprintf("%d is out of range: a pool has at least 1 worker", e.Workers)
	case most > 0 && e.Workers > most:
		a.Refusal = fmt.Sprintf("%d is out of range: a pool has at most max-workers=%d workers", e.Workers, most)
	default:
		if e.Workers != m.pool.base {
			m.scale(e.Workers)
		}
		a.Workers = m.pool.base
	}
	m.do(a)
}

func (e SignalAsked) apply(m *Machine) {
	a := Answer{Client: e.Client}
	switch unfit, known := unfit[e.Signal]; {
	case known:
		a.Refusal = fmt.Sprintf("%v is not sent to workers: %s", e.Signal, unfit)
	case e.Signal <= 0 || e.Signal > lastSignal:
		a.Refusal = fmt.Sprintf("%v is not a signal: expected 1 to %d", e.Signal, lastSignal)
	default:
		a.Workers = m.send(e.Signal, func(g *generation, w *worker) bool {
			is := (e.Generation == 0 || e.Generation == g.number) && (e.Slot == -1 || e.Slot == w.slot)
			w.signalled = w.signalled || is && m.policy.ends(e.Signal)
			return is
		})
		if a.Workers == 0 && (e.Generation != 0 || e.Slot != -1) {
			a.Missing, a.Refusal = true, "there is no worker"+e.where()
		}
	}
	m.do(a)
}

// where names the workers that are meant.
func (e SignalAsked) where() string {
	switch {
	case e.Slot == -1:
		return fmt.Sprintf(" in generation %d", e.Generation)
	case e.Generation == 0:
		return fmt.Sprintf(" in slot %d", e.Slot)
	}
	return fmt.Sprintf(" in slot %d of generation %d", e.Slot, e.Generation)
}
