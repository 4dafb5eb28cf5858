package machine

import (
	"fmt"
	"time"
)

// echo is the time within which a stop signal that comes again is the same request:
// timeout(1) signals its child and then the group of its child. On an idle machine that
// takes less than a millisecond.
const echo = 500 * time.Millisecond

// stopAsk is a stop signal that is not an echo.
type stopAsk struct {
	signal Signal
	at     time.Time
}

// isEcho reports whether a signal is an echo of the last stop signal. The time begins
// with that signal and not with its echoes, so that a signal that is sent repeatedly is a
// second one in the end.
func (m *Machine) isEcho(signal Signal) bool {
	return signal == m.stopAsk.signal && m.now.Sub(m.stopAsk.at) < echo
}

// stop begins a stop. A second TERM or INT forces it: whatever is left is killed at
// once.
func (m *Machine) stop(signal Signal) {
	if m.phase != operating && signal == QUIT || m.isEcho(signal) {
		return
	}
	m.stopAsk = stopAsk{signal, m.now}
	switch {
	case m.phase == operating:
		m.stopSignal = map[Signal]Signal{TERM: m.policy.SignalOnTerm, INT: TERM, QUIT: QUIT}[signal]
		m.phase, m.stopAt = lingering, m.now.Add(m.policy.StopDelay)
		m.asked = true
		m.stopTickets(stops)
		m.runHook(RunHook{Hook: BeforeShutdown})
	case !m.asked && m.policy.Respawn != Never: // initd stops by its own decision: this is the first
		m.asked = true
	default:
		if m.phase == lingering {
			m.terminate()
		}
		m.killAt, m.forcedBy = m.now, signal
	}
}

// haltAtFirst ends initd if the very first start has shown that the program cannot
// be executed. A plain init ends in any case.
func (m *Machine) haltAtFirst(status int, reason string) {
	if m.phase == operating && m.isFirstAttempt() && m.policy.Respawn != Never {
		m.conclude(&m.current, Outcome{Result: OutcomeGivenUp, Generation: m.number, Reason: reason})
		m.halt(status, reason)
	}
}

// halt ends initd by its own decision.
func (m *Machine) halt(status int, reason string) {
	m.stopSignal = m.policy.SignalOnTerm
	m.exit = Exit{Status: status, Reason: reason}
	m.stopTickets(reason)
	failure := reason
	if status == 0 {
		failure = "" // the program has done what it was to do
	} else if failure == "" {
		failure = fmt.Sprintf("the command ended: %s", Status{Code: status}.Words())
	}
	if m.phase, m.stopAt = lingering, m.now; !m.runHook(RunHook{Hook: BeforeShutdown, Failure: failure}) {
		m.terminate()
	}
}

// terminate begins the phase in which workers are asked to end.
func (m *Machine) terminate() {
	m.phase, m.stopLimit = terminating, after(m.stopBegan(), m.policy.StopTimeout)
	m.killAt = m.stopLimit
	for _, g := range m.generations {
		for w := range g.live {
			w.immune = false // try once more: the worker may have changed its user
		}
	}
	m.cancelHooks()
	m.closeListeners()
	m.changed = true
}

// closeListeners closes initd's own copies of the listeners once no worker is to be
// started any more. With them an address would stay open that the workers have
// closed, and clients would wait there for nobody.
func (m *Machine) closeListeners() {
	if !m.unlistened {
		m.unlistened = true
		m.do(CloseListeners{})
	}
}

// stopBegan is when stop-timeout begins: now, after stop-delay. For a plain init it is
// when the signal was forwarded, unless the command has run for longer than that since.
func (m *Machine) stopBegan() time.Time {
	if m.policy.Respawn == Never && m.now.Before(after(m.stopAsk.at, m.policy.StopTimeout)) {
		return m.stopAsk.at
	}
	return m.now
}

// endAll asks every worker to end, once. Workers that a swap has asked to stop
// before are asked again, for that may have been with a gentler signal.
func (m *Machine) endAll() {
	for _, g := range m.generations {
		for w := range g.live {
			if w.state != forking && w.state < ending && !w.immune {
				w.become(ending)
				w.extended = time.Time{}
				m.do(Stop{g.number, w.slot, w.pid, m.stopSignal})
			}
		}
	}
}

// killOverdueAtStop kills the workers that are left when the time they have to end
// is over, or when the stop was forced.
func (m *Machine) killOverdueAtStop() {
	if !m.due(m.killAt) {
		return
	}
	reason := fmt.Sprintf("it did not end within stop-timeout=%v", m.policy.StopTimeout)
	if m.policy.StopTimeout <= 0 {
		reason = fmt.Sprintf("it did not end within %v of the last worker", orphanGrace)
	}
	if m.forcedBy != 0 {
		reason = fmt.Sprintf("initd received a second stop signal, %v", m.forcedBy)
	}
	for _, g := range m.generations {
		for w := range g.live {
			if w.canBeKilled() && (m.forcedBy != 0 || m.due(later(m.killAt, w.extended))) {
				m.kill(g, w, reason)
			}
		}
	}
}

// limitOrphans limits the time that orphans of workers have to end where stop-timeout
// does not. It begins when no worker is left to wait for.
func (m *Machine) limitOrphans() {
	if m.killAt.IsZero() && !m.awaits(func(w *worker) bool { return !w.orphan }) && m.awaitsWorkers() {
		m.stopLimit = m.now.Add(orphanGrace)
		m.killAt = m.stopLimit
	}
}

// endOrphans asks the orphans to end when no worker is left. They get the rest of
// stop-timeout. If they are to be left alone, initd exits.
func (m *Machine) endOrphans() {
	if m.policy.LeaveOrphans {
		m.stopHTTP()
		m.finish()
		return
	}
	m.phase, m.killAt = orphaned, m.stopLimit
	if m.killAt.IsZero() {
		m.killAt = m.now.Add(orphanGrace)
	}
	m.do(EndOrphans{})
}

// finish ends the machine: the exit is its last action.
func (m *Machine) finish() {
	m.phase, m.deadline = exited, time.Time{}
	m.generations = nil
	m.startLastLogCommands()
	m.do(m.exit)
}
