package machine

import (
	"fmt"
)

// setupFailed is initd's exit status when it could not set itself or a worker up.
const setupFailed = 125

// attempt begins a new generation when a request waits, no attempt is under way
// and the back-off is over.
func (m *Machine) attempt() {
	if m.waiting.ticket == 0 || m.candidate() != nil || m.hooks[AfterInit].runs {
		return
	}
	if !m.notBefore.IsZero() && !m.due(m.notBefore) {
		return
	}
	m.current, m.waiting, m.watch = m.waiting, request{}, debounce{} // it will read all that has changed so far
	m.number++
	g := &generation{number: m.number, state: Preparing, attempted: m.now, began: m.now}
	m.generations = append(m.generations, g)
	m.cancelReplacements()
	m.pool.keepClosing()
	m.do(Prepare{Generation: g.number, Ticket: m.current.ticket, Trigger: m.current.trigger})
	m.conclude(&m.current, Outcome{Result: OutcomeBegun, Generation: g.number})
}

// autoRestart requests a swap when the serving generation is old enough: after
// the interval if no older generation is left, and after twice that in any case.
func (m *Machine) autoRestart() {
	interval := m.timing.AutoRestartInterval
	if !m.timing.AutoRestart || interval <= 0 || m.policy.Respawn == Never || m.waiting.ticket != 0 || m.candidate() != nil || m.serving() == nil {
		return
	}
	alone := len(m.generations) == 1
	if alone && m.due(m.swappedAt.Add(interval)) || !alone && m.due(m.swappedAt.Add(times(interval, 2))) {
		m.request(OnClock)
	}
}

// advance takes the candidate as far as the facts allow.
func (m *Machine) advance() {
	g := m.candidate()
	if g == nil {
		return
	}
	switch g.state {
	case Starting:
		switch {
		case !g.hasBatch():
			m.nextBatch(g)
		case m.allReady(g):
			m.workersReady(g)
		case m.isLate(g):
			m.failLate(g, fmt.Sprintf("the workers were not ready within start-timeout=%v", m.policy.StartTimeout))
		}
	case Probing:
		if m.due(m.startLimit(g.began)) {
			m.failLate(g, fmt.Sprintf("the probe did not succeed within start-timeout=%v", m.policy.StartTimeout))
			return
		}
		if g.probeRuns && m.due(g.probeUntil) {
			m.cancelProbe(g)
		}
		// No probe while a worker has been killed and not reaped: its end fails the attempt.
		if !g.probeRuns && m.allReady(g) && m.due(g.probeAt) {
			g.probeRuns = true
			g.probeUntil = after(m.now, m.policy.ProbeTimeout)
			g.probeAt = m.now.Add(m.policy.backoff(1))
			m.do(Probe{Generation: g.number})
		}
	case Trial:
		if m.allReady(g) && (m.serving() == nil || m.due(g.trialAt)) {
			m.takeOver(g)
		} else if g.isSuspended() && m.due(m.startLimit(g.trialAt)) {
			m.failLate(g, fmt.Sprintf("the workers were not all ready within start-timeout=%v after the trial", m.policy.StartTimeout))
		}
	}
}

// workersReady goes on when all workers of a batch are ready.
func (m *Machine) workersReady(g *generation) {
	if m.policy.Probe {
		g.probeAt = m.now
		m.enter(g, Probing, "")
		return
	}
	m.batchReady(g)
}

// batchReady goes on when a batch is ready and its probe, if there is one, has
// succeeded.
func (m *Machine) batchReady(g *generation) {
	if m.serving() != nil && m.timing.KillOldDelay > 0 {
		g.trialAt = m.now.Add(m.timing.KillOldDelay)
		m.enter(g, Trial, "")
		return
	}
	m.takeOver(g)
}
