package machine

import (
	"fmt"
	"slices"
	"time"
)

// setupFailed is initd's exit status when it could not set itself or a worker up.
const setupFailed = 125

// Attempts.

// attempt begins a new generation when one is wanted, none is under way and
// the back-off is over.
func (m *Machine) attempt() {
	if m.phase != operating || !m.wanted || m.candidate() != nil {
		return
	}
	if !m.notBefore.IsZero() && !m.due(m.notBefore) {
		return
	}
	m.wanted = false
	m.number++
	g := &generation{
		number: m.number, state: Preparing, began: m.now,
		workers:  make([]*worker, m.policy.Slots),
		refillAt: make([]time.Time, m.policy.Slots),
	}
	m.generations = append(m.generations, g)
	m.publish() // before anything is read that whoever waits for a later one may have changed
	m.do(Prepare{Generation: g.number})
}

func (m *Machine) start(g *generation, slot int) {
	g.workers[slot] = &worker{slot: slot, state: forking, started: m.now}
	m.do(Start{Generation: g.number, Slot: slot})
}

// awaitReady makes ready the workers that have lived for the interval, where
// that counts, and ends replacements that take too long. The time an attempt
// may take is advance's affair.
func (m *Machine) awaitReady() {
	for _, g := range m.generations {
		if g.state != Starting && g.state != Serving {
			continue
		}
		for _, w := range g.live() {
			alive := m.policy.Respawn == Never || m.policy.Ready != Notify
			if w.state == running && alive && m.due(w.started.Add(m.settling())) {
				m.becomeReady(g, w)
			}
			if g.state == Serving && w.state < ready && m.due(m.startLimit(w.started)) {
				m.kill(g, w, "not ready within start-timeout")
			}
		}
	}
}

// settling is the time after which a worker that lives counts as ready. A
// plain init does not judge its command.
func (m *Machine) settling() time.Duration {
	if m.policy.Respawn == Never {
		return 0
	}
	return m.policy.Interval
}

func (m *Machine) startLimit(began time.Time) time.Time {
	if m.policy.Respawn == Never {
		return time.Time{}
	}
	return after(began, m.policy.StartTimeout)
}

func (m *Machine) becomeReady(g *generation, w *worker) {
	w.state, w.readyAt, w.heard = ready, m.now, m.now
	m.changed = true
	if g.allReady() {
		g.readyAt = m.now
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
		if g.allReady() {
			m.workersReady(g)
		} else if m.due(m.startLimit(g.began)) {
			m.fail(g, Status{Signal: KILL}, fmt.Sprintf("not ready within start-timeout=%v", m.policy.StartTimeout))
		}
	case Probing:
		if m.due(m.startLimit(g.began)) {
			m.fail(g, Status{Signal: KILL}, fmt.Sprintf("the probe has not succeeded within start-timeout=%v", m.policy.StartTimeout))
			return
		}
		if g.probeRuns && m.due(g.probeUntil) {
			m.cancelProbe(g)
		}
		// A worker that was killed and is not reaped yet will fail it.
		if !g.probeRuns && g.allReady() && m.due(g.probeAt) {
			g.probeRuns = true
			g.probeUntil = after(m.now, m.policy.ProbeTimeout)
			g.probeAt = m.now.Add(m.policy.backoff(1))
			m.do(Probe{Generation: g.number})
		}
	case Trial:
		if g.allReady() && (m.serving() == nil || m.due(g.readyAt.Add(m.timing.KillOldDelay))) {
			m.promote(g)
		}
	}
}

func (m *Machine) workersReady(g *generation) {
	if m.policy.Probe {
		g.probeAt = m.now
		m.enter(g, Probing, "")
		return
	}
	m.generationReady(g)
}

func (m *Machine) generationReady(g *generation) {
	g.readyAt = m.now
	if m.serving() != nil && m.timing.KillOldDelay > 0 {
		m.enter(g, Trial, "")
		return
	}
	m.promote(g)
}

// promote lets a ready generation take over. From here on, and never before,
// the older one is asked to stop.
func (m *Machine) promote(g *generation) {
	old := m.serving()
	m.swappedAt, g.readyAt = m.now, m.now
	m.enter(g, Serving, "")
	if old != nil {
		m.enter(old, Retiring, "")
		m.dismiss() // at once: the next swap, if one is wanted already, is not to come first
	}
}

// fail ends an attempt, changes nothing of what is ready, and sees to the next.
func (m *Machine) fail(g *generation, status Status, reason string) {
	m.cancelProbe(g)
	wasReady := g.state == Trial
	m.countFailure()
	m.notBefore = g.began.Add(m.policy.backoff(m.failures))
	a := Announce{Generation: g.number, State: Failed, Reason: reason}
	switch {
	case m.policy.MaxFailures == 0 || m.failures < m.policy.MaxFailures:
		m.wanted = true
		a.Next = max(0, m.notBefore.Sub(m.now))
	case m.serving() != nil:
		a.Reason += fmt.Sprintf("; given up at max-failures=%d", m.policy.MaxFailures)
		// The next request is a new one and has nothing to wait for.
		m.failures, m.notBefore = 0, time.Time{}
		m.swappedAt, m.gaveUp = m.now, g.number
	default:
		m.halt(m.policy.exitStatus(status), reason)
	}
	g.state = Failed
	if wasReady {
		// Clients may be with it: it ends as one that has served would.
		g.state = Retiring
	}
	m.do(a)
	if len(g.live()) == 0 {
		m.remove(g)
	}
}

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

// The loss of workers.

// lose takes note that a worker has ended, and of what follows for its
// generation.
func (m *Machine) lose(g *generation, w *worker, status Status, reason string) {
	g.workers[w.slot] = nil
	m.changed = true
	switch {
	case m.phase != operating, g.state == Retiring, g.state == Failed:
		m.removeEmpty(g)
	case m.policy.Respawn == Never:
		m.removeEmpty(g)
		m.halt(m.policy.exitStatus(status), reason)
	case m.policy.Respawn == OnFailure && status.Success() && (g.state == Serving || m.serving() == nil):
		m.removeEmpty(g)
		m.halt(m.policy.exitStatus(status), reason)
	case g.isCandidate():
		m.fail(g, status, reason)
	default:
		m.replace(g, w, status, reason)
	}
}

// replace sees to a successor of a worker that the serving generation has
// lost: at once if it had been ready for the interval, else with the back-off.
func (m *Machine) replace(g *generation, w *worker, status Status, reason string) {
	next := m.now
	if w.readyAt.IsZero() || m.now.Sub(w.readyAt) < m.policy.settled() {
		// Those that were there when a failure was counted fail with it: the
		// slots of a generation that all die of one cause are one failure.
		if !w.started.Before(m.failedAt) {
			m.countFailure()
		}
		next = w.started.Add(m.policy.backoff(m.failures))
	}
	a := Announce{Generation: g.number, State: Lost, Reason: reason}
	wait := max(0, next.Sub(m.now))
	if len(g.live()) > 0 {
		a.State, a.Next = Serving, wait
		g.refillAt[w.slot] = next
		m.do(a)
		return
	}
	m.remove(g)
	switch {
	case m.candidate() != nil: // is its successor
	case m.policy.MaxFailures > 0 && m.failures >= m.policy.MaxFailures:
		m.halt(m.policy.exitStatus(status), reason)
	default:
		m.wanted, m.notBefore, a.Next = true, next, wait
	}
	m.do(a)
}

// refill starts a worker in each vacant slot of the serving generation.
func (m *Machine) refill() {
	g := m.serving()
	if g == nil {
		return
	}
	for slot, w := range g.workers {
		if w == nil && m.due(g.refillAt[slot]) {
			m.start(g, slot)
		}
	}
}

// autoRestart asks for a swap when the serving generation is old enough: once
// no older one is left, or after twice the time regardless.
func (m *Machine) autoRestart() {
	interval := m.timing.AutoRestartInterval
	if !m.timing.AutoRestart || interval <= 0 || m.policy.Respawn == Never || m.wanted || m.candidate() != nil || m.serving() == nil {
		return
	}
	alone := len(m.generations) == 1
	if alone && m.due(m.swappedAt.Add(interval)) || !alone && m.due(m.swappedAt.Add(2*interval)) {
		m.wanted, m.changed = true, true
	}
}

// The end of workers.

// dismiss asks the workers of retiring generations to stop, each once, kills
// those of failed ones, and ends a probe that has become pointless.
func (m *Machine) dismiss() {
	for _, g := range m.generations {
		if m.phase != operating {
			m.cancelProbe(g)
		}
		for _, w := range g.live() {
			switch {
			case w.state == forking || w.state >= stopping:
			case g.state == Retiring && m.phase < terminating:
				w.state, w.killAt = stopping, after(m.now, m.policy.DrainTimeout)
				m.do(Stop{g.number, w.slot, w.pid, m.policy.SignalOnHup})
			case g.state == Failed:
				m.kill(g, w, "its attempt has failed")
			}
		}
	}
}

// killOverdue kills the workers whose drain-timeout is over.
func (m *Machine) killOverdue() {
	for _, g := range m.generations {
		for _, w := range g.live() {
			if w.state < killed && m.due(w.killAt) {
				m.kill(g, w, "drain-timeout")
			}
		}
	}
}

// killSilent kills ready workers that have not said WATCHDOG=1 for too long.
func (m *Machine) killSilent() {
	for _, g := range m.generations {
		for _, w := range g.live() {
			if w.state == ready && m.due(after(w.heard, m.policy.Watchdog)) {
				m.kill(g, w, fmt.Sprintf("silent for watchdog=%v", m.policy.Watchdog))
			}
		}
	}
}

// limitOld kills the oldest of the retiring generations while there are more
// than max-old-generations of them.
func (m *Machine) limitOld() {
	if m.policy.MaxOldGenerations == 0 {
		return
	}
	var old []*generation
	for _, g := range m.generations {
		alive := func(w *worker) bool { return w.state < killed }
		if g.state == Retiring && slices.ContainsFunc(g.live(), alive) {
			old = append(old, g)
		}
	}
	for len(old) > m.policy.MaxOldGenerations {
		for _, w := range old[0].live() {
			m.kill(old[0], w, "max-old-generations")
		}
		old = old[1:]
	}
}

func (m *Machine) kill(g *generation, w *worker, reason string) {
	if w.pid == 0 || w.state == killed {
		return
	}
	w.state = killed
	m.do(Kill{g.number, w.slot, w.pid, m.policy.KillGroup, reason})
}

func (m *Machine) killAll(reason string) {
	for _, g := range m.generations {
		for _, w := range g.live() {
			m.kill(g, w, reason)
		}
	}
}

// forward passes a signal on to every worker that has become the program. A
// plain init keeps one that comes before that, as a process does that blocks
// it: once however often it comes, and in order; signal(7).
func (m *Machine) forward(signal Signal) {
	sent := false
	for _, g := range m.generations {
		for _, w := range g.live() {
			if running <= w.state && w.state < killed {
				m.do(Forward{g.number, w.slot, w.pid, signal})
				sent = true
			}
		}
	}
	if !sent && m.policy.Respawn == Never && !slices.Contains(m.early, signal) {
		m.early = append(m.early, signal)
	}
}

// The end of initd.

// stop begins a stop, or forces the one under way: a second TERM or INT means
// that whoever asks has no more patience.
func (m *Machine) stop(signal Signal) {
	switch {
	case m.phase == operating:
		m.stopSignal = map[Signal]Signal{TERM: m.policy.SignalOnTerm, INT: TERM, QUIT: QUIT}[signal]
		m.phase, m.stopAt = lingering, m.now.Add(m.policy.StopDelay)
		m.asked = true
	case signal == QUIT:
	case !m.asked && m.policy.Respawn != Never: // it ends by its own decision, not with its command
		m.asked = true
	default:
		if m.phase == lingering {
			m.terminate()
		}
		m.killAt = m.now
	}
}

// haltAtFirst ends initd where the very first start has shown that the program
// cannot be executed. A plain init ends in any case.
func (m *Machine) haltAtFirst(status int, reason string) {
	if m.phase == operating && m.first() && m.policy.Respawn != Never {
		m.halt(status, reason)
	}
}

// halt ends initd by its own decision.
func (m *Machine) halt(status int, reason string) {
	m.stopSignal = m.policy.SignalOnTerm
	m.exit = Exit{Status: status, Reason: reason}
	m.terminate()
}

func (m *Machine) terminate() {
	m.phase, m.killAt = terminating, after(m.now, m.policy.StopTimeout)
	m.changed = true
}

// endAll asks every worker to end, once; also those that a swap has asked to
// stop before, for what they were told then may have been a gentler signal.
func (m *Machine) endAll() {
	for _, g := range m.generations {
		for _, w := range g.live() {
			if w.state != forking && w.state < ending {
				w.state = ending
				m.do(Stop{g.number, w.slot, w.pid, m.stopSignal})
			}
		}
	}
}

// abandon leaves what is no worker to itself, after a word to end.
func (m *Machine) abandon() {
	if m.policy.LeaveOrphans {
		m.leave()
		return
	}
	grace := m.policy.StopTimeout
	if grace <= 0 {
		grace = orphanGrace
	}
	m.phase, m.killAt = orphaned, m.now.Add(grace)
	m.do(EndOrphans{})
}

func (m *Machine) leave() {
	m.phase, m.deadline = exited, time.Time{}
	m.generations = nil
	m.lastLoggers()
	m.do(m.exit)
}

// Bookkeeping.

func (m *Machine) enter(g *generation, s State, reason string) {
	g.state = s
	m.do(Announce{Generation: g.number, State: s, Reason: reason})
}

func (m *Machine) removeEmpty(g *generation) {
	if len(g.live()) == 0 {
		m.do(Announce{Generation: g.number, State: Gone})
		m.remove(g)
	}
}

func (m *Machine) remove(g *generation) {
	m.generations = slices.DeleteFunc(m.generations, func(x *generation) bool { return x == g })
}

// report tells initd's supervisor when its readiness has changed. A plain init
// has none of its own.
func (m *Machine) report() {
	if m.policy.Respawn == Never || m.phase == exited {
		return
	}
	r := Report{Readiness: NotReady}
	if g := m.serving(); g != nil {
		r = Report{Readiness: IsReady, Generation: g.number}
		if m.candidate() != nil {
			r.Readiness = Reloading
		}
	}
	if m.phase != operating {
		r = Report{Readiness: Stopping}
	}
	if r != m.reported {
		m.reported = r
		m.do(r)
	}
}

// publish tells of the workers when there is something new to tell.
func (m *Machine) publish() {
	if !m.policy.Publish || m.phase == exited {
		return
	}
	p := Publish{Attempt: m.number, GivenUp: m.gaveUp}
	for _, g := range m.generations {
		if g.state < Trial || g.state == Failed {
			continue
		}
		for _, w := range g.live() {
			if w.pid != 0 {
				p.Workers += fmt.Sprintf("%d:%d\n", g.number, w.pid)
			}
		}
	}
	if p != m.published {
		m.published = p
		m.do(p)
	}
}

// rest tells when the last thing that was under way is done. A plain init has
// nothing under way but its command.
func (m *Machine) rest() {
	resting := m.phase == operating && m.policy.Respawn != Never &&
		!m.wanted && len(m.generations) == 1 && m.serving() != nil && m.serving().allReady()
	if resting && !m.resting {
		m.do(Rest{})
	}
	m.resting = resting
}
