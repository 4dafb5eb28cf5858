package machine

import (
	"fmt"
	"slices"
	"time"
)

// attemptFailed is why what an attempt has started is killed.
const attemptFailed = "its attempt has failed"

// setupFailed is initd's exit status when it could not set itself or a worker up.
const setupFailed = 125

// Attempts.

// attempt begins a new generation when one is wanted, none is under way and
// the back-off is over.
func (m *Machine) attempt() {
	if m.wish.ticket == 0 || m.candidate() != nil || m.hooks[AfterInit].runs {
		return
	}
	if !m.notBefore.IsZero() && !m.due(m.notBefore) {
		return
	}
	m.trying, m.wish, m.watch = m.wish, wish{}, debounce{} // what has changed so far is what it reads
	m.number++
	g := &generation{number: m.number, state: Preparing, attempted: m.now, began: m.now}
	m.generations = append(m.generations, g)
	m.cancelSuccessor()
	m.pool.keepSlots()
	m.do(Prepare{Generation: g.number, Ticket: m.trying.ticket, Trigger: m.trying.trigger})
	m.tell(&m.trying, Outcome{Result: OutcomeBegun, Generation: g.number})
}

// startBatch starts the next workers of a candidate: those of surge slots, or
// of all, that are not its own yet. Where nothing serves there is nothing to be
// spared.
func (m *Machine) startBatch(g *generation) {
	size := m.policy.Surge
	if size == 0 || m.serving() == nil {
		size = len(m.pool.slots)
	}
	for slot, s := range m.pool.slots {
		if s.open && s.owner != g.number && size > 0 {
			size--
			g.place(slot).called = true
			m.start(g, slot)
		}
	}
}

// start starts a worker in the place of a slot, or next to the one that has it.
func (m *Machine) start(g *generation, slot int) {
	m.pool.starts++
	w := &worker{slot: slot, state: forking, started: m.now, life: m.draw()}
	if p := g.place(slot); p.worker == nil {
		p.worker = w
	} else {
		p.successor = w
	}
	m.do(Start{Generation: g.number, Slot: slot})
}

// awaitReady makes ready the workers that have lived for the interval, where
// that counts, and ends replacements that take too long. The time an attempt
// may take is advance's affair.
func (m *Machine) awaitReady() {
	for _, g := range m.generations {
		if g.state < Starting || g.state > Partial {
			continue
		}
		for slot := range g.places {
			p := &g.places[slot]
			for _, w := range [...]*worker{p.worker, p.successor} {
				if w == nil || w.state >= ready {
					continue
				}
				if m.ripe(w) {
					m.becomeReady(g, w)
				} else if (!g.isCandidate() || !p.called) && m.due(m.startLimit(w.started)) {
					m.kill(g, w, "not ready within start-timeout")
				}
			}
		}
	}
}

// ripe reports whether a worker has lived for the interval, where that counts.
func (m *Machine) ripe(w *worker) bool {
	alive := m.policy.Respawn == Never || m.policy.Ready != Notify
	return alive && w.state == running && m.due(w.started.Add(m.settling()))
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
	if p := g.place(w.slot); p.successor == w {
		g.vacate(p.worker)
		m.recycling = recycling{}
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
		case !m.called(g):
			m.nextBatch(g)
		case m.allReady(g):
			m.workersReady(g)
		case m.due(m.startLimit(g.began)):
			m.failLate(g, fmt.Sprintf("not ready within start-timeout=%v", m.policy.StartTimeout))
		}
	case Probing:
		if m.due(m.startLimit(g.began)) {
			m.failLate(g, fmt.Sprintf("the probe has not succeeded within start-timeout=%v", m.policy.StartTimeout))
			return
		}
		if g.probeRuns && m.due(g.probeUntil) {
			m.cancelProbe(g)
		}
		// A worker that was killed and is not reaped yet will fail it.
		if !g.probeRuns && m.allReady(g) && m.due(g.probeAt) {
			g.probeRuns = true
			g.probeUntil = after(m.now, m.policy.ProbeTimeout)
			g.probeAt = m.now.Add(m.policy.backoff(1))
			m.do(Probe{Generation: g.number})
		}
	case Trial:
		if m.allReady(g) && (m.serving() == nil || m.due(g.trialAt)) {
			m.takeOver(g)
		}
	}
}

// nextBatch goes on with a swap in turns once the workers that have made room
// are gone: it is memory for surge workers that a swap is to need, not more.
func (m *Machine) nextBatch(g *generation) {
	for _, other := range m.generations {
		if m.policy.Surge > 0 && other.state <= Partial && len(other.leaving) > 0 {
			return
		}
	}
	g.began = m.now
	m.startBatch(g)
}

func (m *Machine) workersReady(g *generation) {
	if m.policy.Probe {
		g.probeAt = m.now
		m.enter(g, Probing, "")
		return
	}
	m.batchReady(g)
}

func (m *Machine) batchReady(g *generation) {
	if m.serving() != nil && m.timing.KillOldDelay > 0 {
		g.trialAt = m.now.Add(m.timing.KillOldDelay)
		m.enter(g, Trial, "")
		return
	}
	m.takeOver(g)
}

// takeOver gives the slots of a ready batch to the candidate, and with the last
// of them the service. From here on, and never before, the older workers of
// these slots are asked to stop.
func (m *Machine) takeOver(g *generation) {
	whole := true
	for slot := range m.pool.slots {
		s := &m.pool.slots[slot]
		if g.place(slot).called {
			g.places[slot].called = false
			s.owner = g.number
		}
		whole = whole && (!s.open || s.owner == g.number)
	}
	if whole {
		m.promote(g)
		return
	}
	for _, other := range m.generations {
		if other != g && (other.state == Serving || other.state == Partial) {
			m.yield(other)
		}
	}
	m.enter(g, Starting, "")
	m.dismiss()
}

// yield has a generation leave the slots that are no more its own.
func (m *Machine) yield(g *generation) {
	for slot := range g.places {
		for p := &g.places[slot]; p.worker != nil && !m.holds(g, slot); {
			g.vacate(p.worker)
		}
	}
	m.removeDone(g)
}

// promote lets a generation serve that has every slot.
func (m *Machine) promote(g *generation) {
	swap := m.serving() != nil
	m.swappedAt, m.wholeAt, m.everReady, g.servedAt = m.now, m.now, true, m.now
	m.pool.disown()
	m.enter(g, Serving, "")
	m.tell(&m.trying, Outcome{Result: OutcomeReady, Generation: g.number})
	for _, old := range m.generations {
		if old != g && (old.state == Serving || old.state == Partial) {
			m.enter(old, Retiring, "")
			m.removeEmpty(old)
		}
	}
	if swap {
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number})
	}
	m.dismiss() // at once: the next swap, if one is wanted already, is not to come first
}

// refuse ends an attempt before it has started anything.
func (m *Machine) refuse(g *generation, reason string) {
	switch {
	case m.phase != operating:
		m.remove(g)
	case m.serving() != nil:
		// What serves stays until the next request: to try again what was
		// refused would only refuse it again.
		m.remove(g)
		m.swappedAt, m.gaveUp = m.now, g.number
		m.do(Announce{Generation: g.number, State: Declined, Reason: reason})
		m.tell(&m.trying, Outcome{Result: OutcomeRefused, Generation: g.number, Reason: reason})
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number, Failure: reason})
	case m.first():
		m.remove(g)
		m.tell(&m.trying, Outcome{Result: OutcomeRefused, Generation: g.number, Reason: reason})
		m.halt(setupFailed, reason)
	default:
		m.fail(g, Status{Code: setupFailed}, reason)
	}
}

// fail ends an attempt, changes nothing of what is ready, and sees to the next.
func (m *Machine) fail(g *generation, status Status, reason string) {
	m.cancelProbe(g)
	wasReady := g.state == Trial
	for slot := range g.places {
		if g.places[slot].worker == nil {
			m.giveBack(g, slot, m.now) // it fills none any more
		}
	}
	if slots := m.pool.owned(g.number); slots != "" {
		reason += "; until the next swap it goes on in slot " + slots
	}
	m.countFailure()
	m.notBefore = g.began.Add(m.policy.backoff(m.failures))
	a := Announce{Generation: g.number, State: Failed, Reason: reason}
	again := m.policy.MaxFailures == 0 || m.failures < m.policy.MaxFailures
	switch {
	case again:
		a.Next = max(0, m.notBefore.Sub(m.now))
	case m.serving() != nil:
		a.Reason += fmt.Sprintf("; given up at max-failures=%d", m.policy.MaxFailures)
		// The next request is a new one and has nothing to wait for.
		m.failures, m.notBefore = 0, time.Time{}
		m.swappedAt, m.gaveUp = m.now, g.number
	}
	m.do(a)
	if again {
		m.tell(&m.trying, Outcome{Result: OutcomeFailed, Generation: g.number, Reason: a.Reason, Next: a.Next})
		m.retry()
	} else {
		m.tell(&m.trying, Outcome{Result: OutcomeGivenUp, Generation: g.number, Reason: a.Reason})
	}
	m.dissolve(g, wasReady)
	switch {
	case m.serving() != nil:
		m.runHook(RunHook{Hook: AfterSwap, Generation: g.number, Failure: reason})
	case !again:
		m.halt(m.policy.exitStatus(status), reason)
	}
}

// failLate ends an attempt that has taken too long, with all its workers.
func (m *Machine) failLate(g *generation, reason string) {
	for slot := range g.places {
		if p := &g.places[slot]; p.called && p.worker != nil {
			p.worker.failed = true
		}
	}
	m.fail(g, Status{Signal: KILL}, reason)
}

// dissolve ends what a failed attempt has started, but for the slots that are
// its own already: in these it stays, for what was there before has been asked
// to stop. Those that are ready may have clients, for they accept on sockets that
// all share: they end as those do that have served. The others are killed.
func (m *Machine) dissolve(g *generation, wasReady bool) {
	g.state = Failed
	if wasReady {
		g.state = Retiring
	}
	for slot := range g.places {
		if p := &g.places[slot]; p.called && p.worker != nil && p.worker.state != ready && !m.ripe(p.worker) {
			p.worker.failed = true
		}
	}
	if m.pool.owned(g.number) != "" {
		g.state = Partial
		for slot := range g.places {
			p := &g.places[slot]
			if w := p.worker; p.called && w != nil {
				g.vacate(w)
			}
			p.called = false
		}
	}
	if g.empty() {
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

// lose takes note that a worker has ended, and of what follows for its slot
// and its generation.
func (m *Machine) lose(g *generation, w *worker, status Status, reason string) {
	held := g.place(w.slot).worker == w && m.holds(g, w.slot)
	successor := g.place(w.slot).successor == w
	g.bury(w)
	m.changed = true
	switch {
	case m.phase != operating, g.state == Retiring, g.state == Failed:
		m.removeEmpty(g)
	case m.policy.Respawn == Never:
		m.removeEmpty(g)
		m.halt(m.policy.exitStatus(status), reason)
	case m.policy.Respawn == OnFailure && status.Success() && held && (!g.isCandidate() || m.serving() == nil):
		m.removeEmpty(g)
		m.halt(m.policy.exitStatus(status), reason)
	case successor:
		m.postpone(w)
		m.do(Announce{Generation: g.number, State: g.state, Reason: "a replacement failed: " + reason, Next: max(0, m.recycling.notBefore.Sub(m.now))})
	case !held:
		m.removeDone(g)
	case g.isCandidate() && (g.places[w.slot].called || !m.hadSettled(w)):
		m.giveBack(g, w.slot, m.now)
		m.fail(g, status, reason)
	default:
		m.replace(g, w, status, reason)
	}
}

func (m *Machine) hadSettled(w *worker) bool {
	return !w.readyAt.IsZero() && m.now.Sub(w.readyAt) >= m.policy.settled()
}

// replace sees to a successor of a worker that has ended in a slot of its own
// generation: at once if it had been ready for the interval, else with the
// back-off.
func (m *Machine) replace(g *generation, w *worker, status Status, reason string) {
	next := m.now
	if !m.hadSettled(w) {
		// Those that were there when a failure was counted fail with it: the
		// slots of a generation that all die of one cause are one failure.
		if !w.started.Before(m.failedAt) {
			m.countFailure()
		}
		next = w.started.Add(m.policy.backoff(m.failures))
	}
	a := Announce{Generation: g.number, State: Lost, Reason: reason}
	wait := max(0, next.Sub(m.now))
	switch {
	case g.place(w.slot).worker != nil: // its successor has started already
		a.State = g.state
		m.do(a)
		return
	case g.state == Partial:
		m.giveBack(g, w.slot, next)
		a.State, a.Next = Partial, wait
		m.do(a)
		m.removeDone(g)
		return
	case !g.empty(), g.isCandidate(), m.pool.shared():
		a.State, a.Next = g.state, wait
		g.place(w.slot).refillAt = next
		m.do(a)
		return
	}
	m.remove(g)
	switch {
	case m.candidate() != nil: // is its successor
	case m.policy.MaxFailures > 0 && m.failures >= m.policy.MaxFailures:
		m.halt(m.policy.exitStatus(status), reason)
	default:
		m.request(OnLoss)
		m.notBefore, a.Next = next, wait
	}
	m.do(a)
}

// refill starts a worker in each vacant slot of the generation it belongs to.
func (m *Machine) refill() {
	for _, g := range m.generations {
		if g.state < Starting || g.state > Serving {
			continue
		}
		for slot := range m.pool.slots {
			if m.holds(g, slot) && g.place(slot).worker == nil && m.due(g.places[slot].refillAt) && g.forking(slot) == nil {
				m.start(g, slot)
			}
		}
	}
}

// autoRestart asks for a swap when the serving generation is old enough: once
// no older one is left, or after twice the time regardless.
func (m *Machine) autoRestart() {
	interval := m.timing.AutoRestartInterval
	if !m.timing.AutoRestart || interval <= 0 || m.policy.Respawn == Never || m.wish.ticket != 0 || m.candidate() != nil || m.serving() == nil {
		return
	}
	alone := len(m.generations) == 1
	if alone && m.due(m.swappedAt.Add(interval)) || !alone && m.due(m.swappedAt.Add(2*interval)) {
		m.request(OnClock)
	}
}

// The end of workers.

// dismiss asks the workers of retiring generations to stop, and those that
// have given up their place, each once; it kills those of failed generations,
// and ends a probe that has become pointless.
func (m *Machine) dismiss() {
	for _, g := range m.generations {
		if m.phase != operating {
			m.cancelProbe(g)
		}
		for w := range g.live {
			switch {
			case w.state == forking || w.state >= stopping:
			case g.state < Retiring && !slices.Contains(g.leaving, w):
			case w.failed:
				m.kill(g, w, attemptFailed)
			case m.phase < terminating:
				w.state, w.killAt = stopping, after(m.now, m.policy.DrainTimeout)
				m.do(Stop{g.number, w.slot, w.pid, m.policy.SignalOnHup})
			}
		}
	}
}

// killOverdue kills the workers whose drain-timeout is over.
func (m *Machine) killOverdue() {
	for _, g := range m.generations {
		for w := range g.live {
			if w.state < killed && m.due(w.killAt) {
				m.kill(g, w, "drain-timeout")
			}
		}
	}
}

// killSilent kills ready workers that have not said WATCHDOG=1 for too long.
func (m *Machine) killSilent() {
	for _, g := range m.generations {
		for w := range g.live {
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
		if g.state == Retiring && g.isAlive() {
			old = append(old, g)
		}
	}
	for len(old) > m.policy.MaxOldGenerations {
		for w := range old[0].live {
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
		for w := range g.live {
			m.kill(g, w, reason)
		}
	}
}

// forward passes a signal on to every worker that has become the program. A
// plain init keeps one that comes before that, as a process does that blocks
// it: once however often it comes, and in order; signal(7).
func (m *Machine) forward(signal Signal) {
	sent := m.send(signal, func(*generation, *worker) bool { return true })
	if sent == 0 && m.policy.Respawn == Never && !slices.Contains(m.early, signal) {
		m.early = append(m.early, signal)
	}
}

// send passes a signal on to those workers that have become the program, and
// tells how many there are.
func (m *Machine) send(signal Signal, to func(*generation, *worker) bool) (n int) {
	for _, g := range m.generations {
		for w := range g.live {
			if running <= w.state && w.state < killed && to(g, w) {
				m.do(Forward{g.number, w.slot, w.pid, signal})
				n++
			}
		}
	}
	return n
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
		m.stopTickets(stops)
		m.runHook(RunHook{Hook: BeforeShutdown})
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
		m.tell(&m.trying, Outcome{Result: OutcomeGivenUp, Generation: m.number, Reason: reason})
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
		failure = "" // it is the end that was hoped for
	} else if failure == "" {
		failure = fmt.Sprintf("the command has ended with exit_status=%d", status)
	}
	if m.phase, m.stopAt = lingering, m.now; !m.runHook(RunHook{Hook: BeforeShutdown, Failure: failure}) {
		m.terminate()
	}
}

func (m *Machine) terminate() {
	m.phase, m.killAt = terminating, after(m.now, m.policy.StopTimeout)
	m.cancelHooks()
	m.changed = true
}

// endAll asks every worker to end, once; also those that a swap has asked to
// stop before, for what they were told then may have been a gentler signal.
func (m *Machine) endAll() {
	for _, g := range m.generations {
		for w := range g.live {
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
		m.stopCompanion()
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
	if g.empty() {
		m.do(Announce{Generation: g.number, State: Gone})
		m.remove(g)
	}
}

// removeDone removes a generation that has no worker left and gets none.
func (m *Machine) removeDone(g *generation) {
	if g.state >= Partial {
		m.removeEmpty(g)
	}
}

func (m *Machine) remove(g *generation) {
	m.generations = slices.DeleteFunc(slices.Clone(m.generations), func(x *generation) bool { return x == g })
}
