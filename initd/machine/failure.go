package machine

import (
	"fmt"
	"time"
)

// refuse ends an attempt that has not started anything yet.
func (m *Machine) refuse(g *generation, reason string) {
	switch {
	case m.phase != operating:
		m.remove(g)
	case m.serving() != nil:
		// What serves goes on until the next request: the same attempt would only
		// be refused again.
		m.remove(g)
		m.swappedAt, m.gaveUp = m.now, g.number
		m.do(Transition{Generation: g.number, State: Declined, Reason: reason})
		m.conclude(&m.current, Outcome{Result: OutcomeRefused, Generation: g.number, Reason: reason})
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number, Failure: reason})
	case m.isFirstAttempt():
		m.remove(g)
		m.conclude(&m.current, Outcome{Result: OutcomeRefused, Generation: g.number, Reason: reason})
		m.halt(setupFailed, reason)
	default:
		m.fail(g, Status{Code: setupFailed}, reason)
	}
}

// fail ends an attempt and prepares the next. Nothing that serves is changed.
func (m *Machine) fail(g *generation, status Status, reason string) {
	m.cancelProbe(g)
	wasReady := g.state == Trial
	for slot := range g.places {
		if g.places[slot].worker == nil {
			m.giveBack(g, slot, m.now) // it starts no more workers
		}
	}
	if slots := m.pool.owned(g.number); slots != "" {
		reason += "; until the next swap it keeps slot " + slots
	}
	m.countFailure()
	m.notBefore = g.began.Add(m.policy.backoff(m.failures))
	a := Transition{Generation: g.number, State: Failed, Reason: reason}
	again := m.policy.MaxFailures == 0 || m.failures < m.policy.MaxFailures
	switch {
	case again:
		a.Next = max(0, m.notBefore.Sub(m.now))
	case m.serving() != nil:
		a.Reason += fmt.Sprintf("; given up at max-failures=%d", m.policy.MaxFailures)
		// The next request is a new one, and has no back-off to wait for.
		m.failures, m.notBefore = 0, time.Time{}
		m.swappedAt, m.gaveUp = m.now, g.number
	}
	m.do(a)
	if again {
		m.conclude(&m.current, Outcome{Result: OutcomeFailed, Generation: g.number, Reason: a.Reason, Next: a.Next})
		m.retry()
	} else {
		m.conclude(&m.current, Outcome{Result: OutcomeGivenUp, Generation: g.number, Reason: a.Reason})
	}
	m.discard(g, wasReady)
	switch {
	case m.serving() != nil:
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number, Failure: reason})
	case !again:
		m.halt(m.policy.exitStatus(status), reason)
	}
}

// failLate ends an attempt that has taken too long, with all its workers.
func (m *Machine) failLate(g *generation, reason string) {
	if g.isSuspended() {
		reason += "; a worker is suspended"
	}
	var batch []*worker
	for slot := range g.places {
		if p := &g.places[slot]; p.inBatch && p.worker != nil {
			p.worker.failed = true
			batch = append(batch, p.worker)
		}
	}
	m.fail(g, Status{Signal: KILL}, reason+m.whyNotReady(batch...))
}

// discard ends the workers that a failed attempt has started, except in the slots
// that it has taken over already: the workers that were there before have been
// asked to stop. Workers that are ready may have clients, for they accept on
// sockets that all workers share: they are asked to stop as those are that have
// served. The others are killed.
func (m *Machine) discard(g *generation, wasReady bool) {
	g.state = Failed
	if wasReady {
		g.state = Retiring
	}
	for slot := range g.places {
		if p := &g.places[slot]; p.inBatch && p.worker != nil && p.worker.state != ready && m.judgeAlive(p.worker) == ByNothing {
			p.worker.failed = true
		}
	}
	if m.pool.owned(g.number) != "" {
		g.state = Partial
		for slot := range g.places {
			p := &g.places[slot]
			if w := p.worker; p.inBatch && w != nil {
				g.vacate(w)
			}
			p.inBatch = false
		}
	}
	if g.empty() {
		m.remove(g)
	}
}

// countFailure counts what makes the back-off longer.
func (m *Machine) countFailure() {
	m.failures++
	m.failedAt = m.now
}

func (m *Machine) cancelProbe(g *generation) {
	if g.probeRuns {
		g.probeRuns = false
		m.do(CancelProbe{Generation: g.number})
	}
}
