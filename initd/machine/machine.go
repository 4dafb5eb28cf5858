package machine

import (
	"fmt"
	"slices"
	"time"
)

// Machine holds every fact that decisions rest on. It has one owner, who calls
// Step for each event, carries out what it returns, and calls Step with Tick
// once Deadline has passed.
type Machine struct {
	policy      Policy
	timing      Timing // the policy's, or what the last envdir made of it
	phase       phase
	begun       bool
	generations []*generation // those that have a worker or are a candidate, by number
	number      int           // the last that was given; every attempt takes one
	gaveUp      int           // the last that was refused or given up
	logCommands []service
	http        service
	pool        pool
	survey      survey
	look        looking
	recycling   recycling
	hooks       [hooks]hookRun
	watch       debounce

	ticket    int       // the last that was given
	waiting   request   // no attempt for it has begun, or the last one has failed
	current   request   // the one that the candidate is an attempt for
	notBefore time.Time // back-off: the next attempt may not begin earlier
	failures  int       // failed attempts in a row
	failedAt  time.Time // when the last of them failed
	swappedAt time.Time // when the serving generation took over, or a swap was given up
	everReady bool      // a generation has served

	soundSince time.Time // at least half of the slots have a ready worker; zero: fewer have
	flapping   flapping

	early []Signal // a plain init's, from before its command runs

	unlistened bool      // initd has closed its own copies of the listeners
	asked      bool      // somebody has asked initd to stop
	stopAsk    stopAsk   // the last stop signal
	stopSignal Signal    // what workers are sent when initd stops
	stopAt     time.Time // lingering: when they are
	stopLimit  time.Time // when stop-timeout is over, for workers and orphans; zero: never
	killAt     time.Time // terminating, orphaned: when those left are killed; zero: never
	forcedBy   Signal    // the second TERM or INT, which has forced the stop; 0: none has
	exit       Exit

	now      time.Time
	deadline time.Time
	actions  []Action
	changed  bool
}

type phase int

const (
	operating   phase = iota
	lingering         // initd is to stop; workers serve on for stop-delay
	terminating       // workers have been asked to end
	orphaned          // no worker is left; orphans have been asked to end
	exited
)

// New returns a machine that waits for Begin.
func New(policy Policy) *Machine {
	policy.Workers = max(policy.Workers, 1)
	return &Machine{policy: policy, timing: policy.Timing, logCommands: make([]service, policy.LogCommands), pool: newPool(policy.Workers)}
}

// Deadline is when Step wants a Tick at the latest, if no other event comes
// first. It is zero when nothing will happen by itself, and else later than
// the now of the last Step.
func (m *Machine) Deadline() time.Time { return m.deadline }

// Step takes note of an event and returns what is to be done because of it, and
// because of all that has become due by now. The actions are to be carried out
// in order before the next Step; their results are further events. What the
// machine's views are after a Step is so as soon as these actions are carried out.
func (m *Machine) Step(now time.Time, event Event) []Action {
	if m.phase == exited {
		return nil
	}
	m.now, m.actions = now, nil
	m.resetFailures()
	m.forgetLosses()
	event.apply(m)
	// A decision may make another one due: go on until none is.
	for m.changed = true; m.changed; {
		m.changed = false
		m.deadline = time.Time{}
		m.decide()
	}
	m.noteSound()
	return m.actions
}

// due reports whether a time has come. If it has not, the deadline will be no later
// than that. A zero time never comes.
func (m *Machine) due(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	if !m.now.Before(t) {
		return true
	}
	if m.deadline.IsZero() || t.Before(m.deadline) {
		m.deadline = t
	}
	return false
}

// after is when a limit that begins at t ends, or zero where there is no limit.
func after(t time.Time, limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	return t.Add(limit)
}

// do adds an action to the step.
func (m *Machine) do(a Action) {
	m.actions = append(m.actions, a)
	m.changed = true
}

// decide does what has to be done in the machine's state.
func (m *Machine) decide() {
	m.startServices()
	m.stopUnneeded()
	m.killOverdue()
	m.limitHooks()
	m.reportStuck()
	switch m.phase {
	case operating:
		m.killSilent()
		m.awaitReady()
		m.advance()
		m.autoRestart()
		m.swapChanged()
		m.resize()
		m.refill()
		m.recycle()
		m.limitOld()
		m.attempt()
		if m.phase == operating { // still
			m.surveyIfDue()
			m.noteFlapping()
			m.lookIfDue()
		}
	case lingering:
		if !m.hooks[BeforeShutdown].runs && (m.workers() == 0 || m.due(m.stopAt)) {
			m.terminate()
		}
	case terminating:
		m.endAll()
		m.limitOrphans()
		if !m.awaitsWorkers() {
			m.endOrphans()
		} else {
			m.killOverdueAtStop()
		}
	case orphaned:
		if m.due(m.killAt) {
			m.do(KillOrphans{})
			m.finish()
		}
	}
	m.continueAsked()
	m.steer()
}

// The events.

func (Begin) apply(m *Machine) {
	if m.begun {
		return
	}
	m.begun = true
	m.request(OnStart)
	m.runHook(RunHook{Hook: AfterInit})
	for i := range m.logCommands {
		m.logCommands[i].startAt = m.now
	}
	if m.policy.HTTP {
		m.http.startAt = m.now
	}
}

func (Tick) apply(*Machine) {}

func (e Signaled) apply(m *Machine) {
	signal, mapped := m.policy.SignalMap[e.Signal]
	if !mapped {
		signal = e.Signal
	}
	switch {
	case signal == 0:
	case signal == REOPEN:
		m.do(Reopen{})
	case !mapped && (signal == TSTP || m.policy.Respawn == Never && (signal == TTIN || signal == TTOU)):
		// It is about the terminal, and meant for the process that has it.
	case m.policy.Respawn == Never && m.phase == operating:
		m.forwardByPlainInit(signal)
	case signal == HUP:
		m.request(OnSignal)
	case signal == TTIN, signal == TTOU:
		m.changeBase(map[Signal]int{TTIN: +1, TTOU: -1}[signal])
	case signal == TERM, signal == INT, signal == QUIT:
		m.stop(signal)
	default:
		m.forward(signal)
	}
}

func (e Prepared) apply(m *Machine) {
	g := m.generation(e.Generation)
	if g == nil || g.state != Preparing || m.phase != operating {
		return
	}
	m.timing = e.Timing
	if m.serving() != nil && m.policy.Hooks[BeforeSwap] {
		m.enter(g, Checking, "")
		m.runHook(RunHook{Hook: BeforeSwap, Generation: g.number})
		return
	}
	m.enter(g, Starting, "")
	m.startBatch(g)
}

func (e Refused) apply(m *Machine) {
	if g := m.generation(e.Generation); g != nil && g.state == Preparing {
		m.refuse(g, e.Reason)
	}
}

func (e Forked) apply(m *Machine) {
	if g := m.generation(e.Generation); g != nil && e.PID > 0 {
		if w := g.forking(e.Slot); w != nil {
			w.pid, w.state, w.started, w.undecidedSince = e.PID, executing, m.now, m.now
		}
	}
}

func (e ForkFailed) apply(m *Machine) {
	g := m.generation(e.Generation)
	if g == nil {
		return
	}
	if w := g.forking(e.Slot); w != nil {
		w.started = m.now
		if e.Status != setupFailed {
			m.haltAtFirst(e.Status, e.Reason)
		}
		m.lose(g, w, Status{Code: e.Status}, "cannot start a worker: "+e.Reason)
	}
}

func (e Executed) apply(m *Machine) {
	_, w := m.worker(e.PID)
	if w == nil {
		return
	}
	if before := w.before(); *before == executing {
		if *before = running; w.state == running {
			w.lookFrom = m.now
		}
	}
	if m.policy.Respawn == Never {
		m.closeListeners() // it starts no other
	}
	early := m.early
	m.early = nil
	for _, signal := range early {
		m.forward(signal)
	}
}

func (e NotExecuted) apply(m *Machine) {
	g, w := m.worker(e.PID)
	if w == nil {
		return
	}
	m.haltAtFirst(e.Status, e.Reason)
	m.lose(g, w, Status{Code: e.Status}, e.Reason)
}

func (e Notified) apply(m *Machine) {
	if g, w := m.worker(e.PID); w != nil && m.policy.Ready.countsNotification() {
		// READY=1 proves that the program was executed.
		if w.state == executing || w.state == running {
			m.becomeReady(g, w, ByNotification)
		}
	}
}

func (e Pinged) apply(m *Machine) {
	if _, w := m.worker(e.PID); w != nil {
		w.lastPing = m.now
	}
}

func (e Hung) apply(m *Machine) {
	if g, w := m.worker(e.PID); w != nil && m.policy.Watchdog > 0 && w.state < stopping && m.phase == operating {
		m.kill(g, w, "it sent WATCHDOG=trigger")
	}
}

func (e Probed) apply(m *Machine) {
	g := m.generation(e.Generation)
	if g == nil || g.state != Probing || !g.probeRuns {
		return
	}
	g.probeRuns = false
	if e.Status.Success() && m.allReady(g) {
		m.batchReady(g)
	}
}

func (e Exited) apply(m *Machine) {
	g, w := m.worker(e.PID)
	if w == nil {
		return
	}
	reason := fmt.Sprintf("worker ended after %v: %s", m.now.Sub(w.started).Round(time.Millisecond), e.Status.Words())
	if m.policy.Respawn == Never {
		reason = "" // a plain init ends with the status, and needs no words
	}
	m.lose(g, w, e.Status, reason)
}

func (Childless) apply(m *Machine) {
	if m.phase == orphaned {
		m.finish()
	}
}

// Questions about the state.

// isFirstAttempt reports whether only one attempt has been made yet, and nothing
// was ever ready.
func (m *Machine) isFirstAttempt() bool {
	return m.number == 1 && m.serving() == nil && m.failures == 0
}

func (m *Machine) generation(number int) *generation {
	i := slices.IndexFunc(m.generations, func(g *generation) bool { return g.number == number })
	if i < 0 {
		return nil
	}
	return m.generations[i]
}

func (m *Machine) serving() *generation {
	i := slices.IndexFunc(m.generations, func(g *generation) bool { return g.state == Serving })
	if i < 0 {
		return nil
	}
	return m.generations[i]
}

func (m *Machine) candidate() *generation {
	i := slices.IndexFunc(m.generations, (*generation).isCandidate)
	if i < 0 {
		return nil
	}
	return m.generations[i]
}

// worker finds a worker by its pid. It costs as much as there are workers, some
// nanoseconds each: with 3,000 workers less than the wait4(2) that it is called for.
func (m *Machine) worker(pid int) (*generation, *worker) {
	for _, g := range m.generations {
		for w := range g.live {
			if w.pid == pid && pid > 0 {
				return g, w
			}
		}
	}
	return nil, nil
}

// workers is the number of workers there are, and of those that are being started.
func (m *Machine) workers() (n int) {
	for _, g := range m.generations {
		for range g.live {
			n++
		}
	}
	return n
}
