package machine

import (
	"fmt"
	"slices"
	"time"
)

// What is true of the machine whatever happens. A judge that sees nothing but
// events, actions and deadlines checks all but I9, I14 and I15 after each step;
// the world that the simulation makes up checks these.
//
//	I1   At most one generation is a candidate, and an attempt has a cause.
//	I2   Numbers only grow: every attempt takes the next.
//	I3   A worker is started only in a vacant slot that its generation holds, not
//	     before its back-off is over; or in one of the batch that is due; or as
//	     the successor of a worn worker.
//	I4   A slot changes hands once each of its batch, and each that the candidate
//	     has already, has a live ready worker, its probe has succeeded and its
//	     trial is over; with the last of them the candidate serves. Only a worker
//	     that has lost its slot by that is stopped, one whose successor is ready or
//	     that is one to no purpose, and one whose slot is closed; unless initd stops.
//	I5   A failed or refused attempt changes nothing of the generation that serves,
//	     nor of the slots that have been swapped.
//	I6   Stop, kill and forward name only live workers, and name them rightly. A
//	     worker gets at most one stop from a swap, one because initd stops, and
//	     one kill, which is the last; each with the signal of the policy.
//	I7   A kill has a cause, and a cause kills at once: its attempt has failed, and
//	     it was not ready or the attempt has taken too long, the
//	     grace it was given is over, it is silent or says that it hangs, it is a
//	     replacement that is not ready in time, there are too many old ones, or
//	     whoever stops initd has no more patience.
//	I8   Nothing is prepared, started or probed once initd stops.
//	I9   What is alive is bounded: a slot has one worker, and a successor at most;
//	     max-old-generations holds, and the machine remembers no generation that
//	     has no worker and is to have none. (Where drain-timeout and
//	     max-old-generations are both 0, the contract lets workers that ignore
//	     their stop add up without a bound.)
//	I10  Exit comes once, last, with no worker alive and the status of the contract.
//	I11  The deadline is later than now, and exactly the earliest limit there is:
//	     nothing is overslept, and without a limit it is zero. (How long the life
//	     of a worker is to be is known to a tenth.)
//	I12  No state waits for ever without a reason: a limit, a result that is
//	     outstanding, a worker that was asked to end or has yet to become ready
//	     and has no limit, or calm.
//	I13  Failures back off: each in a row doubles the wait, up to the bound, and
//	     none but having been ready for the interval, or giving up, resets it.
//	I14  Stale, repeated, unknown and early input changes nothing.
//	I15  The same events give the same actions and deadlines.
//	I16  No request is lost or doubled: it becomes an attempt in the very step in
//	     which none is under way and the back-off is over.
//	I17  A signal that is not initd's own goes once to each worker that runs the
//	     program, in order and as signal-map says; a plain init's early ones too.
//	I18  The readiness in a view is what is so: initd stops; or a generation serves,
//	     and the view says which, alone or beside a candidate; or none does.
//	I19  A view says idle exactly while nothing is under way and one generation
//	     serves, alone and whole, in as many slots as are wanted.
//	I20  What can be published is what is so: the live workers of generations that
//	     are or were ready, or of such a batch, by generation and slot; the last
//	     number; the last that was given up.
//	I21  There is one of each logger, from first to last; it is started again
//	     in the very step in which its back-off is over, or initd exits.
//	I22  There are never more slots than max-workers, workers counted that have
//	     given one up and are still there: the next is opened when they are gone.
//	     What a swap starts, and a successor, is not counted.
//	I23  Fewer than the pool is to have are ready only where workers have ended by
//	     themselves, or were killed: never by a swap, a recycling or a shrinking.
//	I24  A swap in turns starts surge workers at a time, and no more before those
//	     that they replace are gone. What fails of it leaves the batches before in
//	     their slots, until a later swap, or until they end: then the generation
//	     that serves fills the slot.
//	I25  A worker is recycled when it has used up its limits, or lacks at most a
//	     tenth of that; one at a time, and only where nothing else is under way and
//	     all are ready. A replacement that fails changes nothing, and backs off.
//	I26  The pool grows in the very survey that sees fewer idle workers than
//	     min-idle, or for the second time in a row connections that wait: by what
//	     is missing, those counted that are started already, and by 1, 2, 4, … 32
//	     at most; not while workers fail. A closed slot with a queue is opened.
//	I27  It shrinks by one worker a second, the longest idle first, when more than
//	     max-idle have been idle, none starting and no queue, for its patience: 15 s,
//	     and twice as long, up to 10 min, each time that it has had to grow within
//	     10 min after it has shrunk. Never while a swap is under way. So a load that
//	     comes and goes moves it a few times at most.
//	I28  TTIN and TTOU change the size at rest by one each, within 1 and max-workers,
//	     and are answered.
//	I29  One survey is outstanding at most, and the next is due the time of the
//	     policy after the last was answered, sooner where a queue is to run empty.
//	I30  New connections are steered to the slots with a ready worker, none that is
//	     being closed, and to all others where there is none; said once per change. A
//	     slot is closed when its queue was seen empty after the grace.
//	I31  A worker is told once that all its clients have gone while it is busy, when
//	     two surveys of it in a row have seen that.
//	I32  Of each hook one runs at a time, and each ends, or is cancelled at its limit
//	     or when it has become pointless. after-init comes before any attempt and
//	     before-swap before any start, and each can refuse; after-swap is told of each
//	     outcome while something serves, or at last of the latest; on-disconnect is
//	     told of each worker that is told so (I31).
//	I33  What has changed is swapped once it has been left alone for the debounce,
//	     or ten times that after the first change; once, and not when an attempt
//	     has begun since.
//	I34  A request has a ticket: that of the one which waits, if no attempt for it
//	     has failed, and else the next number. An attempt has the ticket that waits,
//	     and what has asked for it first; if it fails and is made again the ticket
//	     waits once more, unless a newer one does.
//	I35  A ticket has one final outcome, in the very step that decides it: its
//	     attempt is ready, refused or given up; a newer ticket has taken its place,
//	     which is named; or initd stops. Each attempt is begun, and has one outcome.
//	I36  A command is answered once, in its step, and before anything is said of its
//	     ticket. One that is refused changes nothing; the others do what a signal
//	     would, a size at rest as so many TTIN or TTOU.
//	I37  There is one companion, from the first until orphans are told to end; it is
//	     started again in the very step in which its back-off is over, and stopped
//	     before an exit that leaves orphans alone.
//	I38  A view is what has been announced, asked for and seen, and taking it changes
//	     nothing.
//
// And, once faults cease:
//
//	L1   A request leads to a newer generation that serves.
//	L2   Calm leaves exactly the newest generation, whole and ready, of the size
//	     wanted.
//	L3   A stop leads to exit within the grace.
//	L4   A pool that has too much to do has enough workers, or all it may have,
//	     after a bounded number of surveys; one with nothing to do comes to rest.
type judge struct {
	policy Policy
	timing Timing
	mark   func(situation string) // tells what was come across

	phase     phase
	cohorts   []*cohort // generations that are held, by number
	number    int
	notBefore time.Time
	failures  int
	failedAt  time.Time
	swappedAt time.Time

	asked      bool
	stopSignal Signal
	stopAt     time.Time
	killAt     time.Time
	status     int // of the exit
	early      []Signal
	calm       bool // nothing is under way
	gaveUp     int
	loggers    []kept
	lastCall   bool      // one was started although its back-off is not over
	since      time.Time // when what serves became whole; zero: it is not

	stand   // the slots, as they are seen from outside
	inquiry // the surveys
	wear    // the recycling
	errands // the hooks, and what is watched
	office  // the tickets, the commands and the companion

	// Of the step that is being judged.
	now       time.Time
	event     Event
	forwards  []Forward  // that are due
	announces []Announce // that are due, without their reasons
	hung      *unit
	ended     bool // the phase has become terminating
	over      bool // the orphans have ended, or were killed
	serves    int  // the generation that serves, before
	readied   int  // slots with a ready worker, before
	missing   int  // of these, those that have lost it by its end
	attempted bool // an attempt has failed or was refused
	reopens   int  // that are due
}

// kept is a logger, or the companion, as it is seen from outside.
type kept struct {
	runs        bool
	at, started time.Time // when it is due, when it was started last
	failures    int
}

// cohort is a generation as it is seen from outside.
type cohort struct {
	number int
	state  State
	began  time.Time
	trial  time.Time // when it began

	attempted, served time.Time // when its attempt began, and it to serve
	seats             []seat    // by slot
	leaving           []*unit
	broken            bool // a candidate that has lost a worker
	refused           bool

	probeRuns bool
	probedAt  time.Time // when the last probe was started
	probed    bool      // with success
}

// seat is a slot in a cohort.
type seat struct {
	unit, successor *unit
	called          bool // it is of the batch that is being started
	due             bool // its start is
	refill          time.Time
}

// unit is a worker as it is seen from outside.
type unit struct {
	cohort         *cohort
	slot, pid      int
	started        time.Time // asked for, then forked
	executed       bool
	ready, heard   time.Time
	stopped, ended time.Time
	killed         bool
	leaving        bool // it has lost its slot
	doomed         bool // by the failure of its batch

	seen     time.Time // by the last survey
	idle     time.Time // since when, as surveys saw it; zero: it is not
	cpu      time.Duration
	requests int64
	forsaken int
	worn     bool // it may be recycled
	wornOut  bool // it has to be
}

// A violation is a rule and how it was broken.
type violation struct{ rule, text string }

func (v violation) Error() string { return v.rule + ": " + v.text }

func broken(rule, format string, args ...any) {
	panic(violation{rule, fmt.Sprintf(format, args...)})
}

func newJudge(p Policy) *judge {
	p.Workers = max(p.Workers, 1)
	j := &judge{policy: p, timing: p.Timing, mark: func(string) {}, loggers: make([]kept, p.Loggers)}
	j.base, j.size, j.step, j.patience = p.Workers, p.Workers, 1, 15*time.Second
	for range p.Workers {
		j.slots = append(j.slots, berth{open: true})
	}
	return j
}

// observe judges a step.
func (j *judge) observe(now time.Time, event Event, actions []Action, deadline time.Time) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case violation:
			err = v
		default:
			panic(v)
		}
	}()
	if j.phase == exited {
		if len(actions) > 0 || !deadline.IsZero() {
			broken("I10", "there is something after the exit")
		}
		return nil
	}
	j.now, j.event = now, event
	j.forwards, j.announces, j.hung, j.ended, j.attempted = nil, nil, nil, false, false
	j.serves, j.readied, j.missing = 0, j.readySlots(), 0
	if g := j.serving(); g != nil {
		j.serves = g.number
	}
	if !j.since.IsZero() && !j.since.Before(j.failedAt) && now.Sub(j.since) >= j.settled() {
		j.failures = 0
	}
	j.note(event)
	j.ripen()
	j.linger()
	for i, a := range actions {
		if j.phase == exited {
			broken("I10", "%v comes after the exit", a)
		}
		j.judge(a)
		if _, ok := a.(Exit); ok && i < len(actions)-1 {
			broken("I10", "the exit is not the last action")
		}
	}
	j.conclude(deadline)
	return nil
}

// What happened.

func (j *judge) note(event Event) {
	switch e := event.(type) {
	case Begin:
		if !j.begun {
			j.begun = true
			j.request(OnStart)
			j.runHook(AfterInit, 0, false)
			if j.policy.Companion {
				j.companion.at = j.now
			}
		}
		for i := range j.loggers {
			if j.loggers[i].at.IsZero() {
				j.loggers[i].at = j.now
			}
		}
	case Signaled:
		j.noteSignal(e.Signal)
	case Prepared:
		if g := j.cohort(e.Generation); g != nil && g.state == Preparing && j.phase == operating {
			j.timing = e.Timing
			if j.serving() != nil && j.policy.Hooks[BeforeSwap] {
				j.expect(g, Checking, 0)
				j.runHook(BeforeSwap, g.number, false)
			} else {
				j.expect(g, Starting, 0)
			}
		}
	case Refused:
		if g := j.cohort(e.Generation); g != nil && g.state == Preparing {
			j.noteRefusal(g)
		}
	case Hooked:
		j.noteHooked(e)
	case Changed:
		j.noteChanged()
	case Surveyed:
		j.noteSurvey(e)
	case Forked:
		if u := j.forking(e.Generation, e.Slot); u != nil && e.PID > 0 {
			u.pid, u.started = e.PID, j.now
			if j.phase != operating {
				j.mark("forked after a stop")
			}
			if u.cohort.state == Failed || u.cohort.state == Retiring {
				j.mark("forked into a generation that is " + u.cohort.state.String())
			} else if u.leaving {
				j.mark("forked when its slot is lost")
			}
		}
	case ForkFailed:
		if u := j.forking(e.Generation, e.Slot); u != nil {
			u.started = j.now
			if e.Status != setupFailed && j.phase == operating && j.first() && j.policy.Respawn != Never {
				j.mark("too large at the first start")
				j.attemptEnds(OutcomeGivenUp, 0)
				j.halt(e.Status)
			}
			j.bury(u, Status{Code: e.Status})
		}
	case Executed:
		if u := j.unit(e.PID); u != nil {
			u.executed = true
			for _, s := range j.early {
				j.mark("early signal kept")
				j.forward(s)
			}
			j.early = nil
		}
	case NotExecuted:
		if u := j.unit(e.PID); u != nil {
			if j.phase == operating && j.first() && j.policy.Respawn != Never {
				j.mark("not executed at the first start")
				j.attemptEnds(OutcomeGivenUp, 0)
				j.halt(e.Status)
			}
			j.bury(u, Status{Code: e.Status})
		}
	case Notified:
		if u := j.unit(e.PID); u != nil && j.policy.Ready != Alive && u.ready.IsZero() && u.untouched() {
			u.executed = true
			j.ready(u)
		}
	case Pinged:
		if u := j.unit(e.PID); u != nil {
			u.heard = j.now
		}
	case Hung:
		if u := j.unit(e.PID); u != nil && j.policy.Watchdog > 0 && u.untouched() && j.phase == operating {
			j.hung = u
		}
	case Probed:
		if g := j.cohort(e.Generation); g != nil && g.probeRuns {
			g.probeRuns = false
			g.probed = e.Status.Success() && j.whole(g)
			if !e.Status.Success() {
				j.mark("probe failed")
			}
		}
	case Exited:
		if u := j.unit(e.PID); u != nil {
			j.bury(u, e.Status)
		}
	case Childless:
		j.over = j.phase == orphaned
	case LoggerEnded:
		if 0 <= e.Logger && e.Logger < len(j.loggers) {
			j.noteEnd(&j.loggers[e.Logger], "a logger")
		}
	case CompanionEnded:
		j.noteEnd(&j.companion, "the companion")
	default:
		j.noteCommand(event)
	}
}

// noteEnd takes note of the end of what is kept.
func (j *judge) noteEnd(k *kept, what string) {
	if !k.runs {
		return
	}
	k.runs = false
	k.failures++
	if j.now.Sub(k.started) >= j.settled() {
		k.failures = 1
	}
	k.at = k.started.Add(j.wait(k.failures))
	j.mark(fmt.Sprintf("%s ends in phase %d", what, j.phase))
}

func (j *judge) noteSignal(s Signal) {
	if other, ok := j.policy.SignalMap[s]; ok {
		s = other
	} else if s == TSTP || j.policy.Respawn == Never && (s == TTIN || s == TTOU) {
		return
	}
	switch {
	case s == 0:
	case s == REOPEN:
		j.reopens++
	case j.policy.Respawn == Never && j.phase == operating:
		j.forward(s)
	case s == HUP:
		if j.phase == operating {
			if c := j.candidate(); c != nil {
				j.mark("HUP while " + c.state.String())
			} else if j.wanted() {
				j.mark("HUP during back-off")
			}
			j.request(OnSignal)
		}
	case s == TTIN:
		j.noteWish(+1)
	case s == TTOU:
		j.noteWish(-1)
	case s != TERM && s != INT && s != QUIT:
		j.forward(s)
	default:
		j.noteStop(s)
	}
}

// noteStop takes note of a TERM, INT or QUIT.
func (j *judge) noteStop(s Signal) {
	switch {
	case j.phase == operating:
		j.ticketsStop()
		j.phase, j.stopAt, j.asked = lingering, j.now.Add(j.policy.StopDelay), true
		switch s {
		case TERM:
			j.stopSignal = j.policy.SignalOnTerm
		case INT:
			j.stopSignal = TERM
		case QUIT:
			j.stopSignal = QUIT
		}
		if c := j.candidate(); c != nil {
			j.mark("stop while " + c.state.String())
		}
		if j.hooks[AfterInit].runs {
			j.mark("stop during after-init")
		}
		j.runHook(BeforeShutdown, 0, false)
	case s == QUIT:
	case !j.asked && j.policy.Respawn != Never:
		j.mark("asked to stop while it ends by itself")
		j.asked = true
	default:
		j.mark(fmt.Sprintf("forced in phase %d", j.phase))
		if j.phase == lingering {
			j.terminate()
		}
		j.killAt = j.now
	}
}

func (j *judge) noteRefusal(g *cohort) {
	switch {
	case j.phase != operating:
		j.remove(g)
	case j.serving() != nil:
		j.attempted = true
		j.mark("refused while " + g.state.String() + ", the old one stays")
		j.swappedAt, j.gaveUp = j.now, g.number
		j.remove(g)
		j.attemptEnds(OutcomeRefused, 0)
		j.announces = append(j.announces, Announce{Generation: g.number, State: Declined})
		j.runHook(AfterSwap, g.number, true)
	case j.first():
		j.mark("refused at the first start")
		j.remove(g)
		j.attemptEnds(OutcomeRefused, 0)
		j.halt(setupFailed)
	default:
		j.mark("refused with nothing that serves")
		g.refused = true
	}
}

func (j *judge) forward(s Signal) {
	sent := j.forwardTo(s, func(*unit) bool { return true })
	if sent == 0 && j.policy.Respawn == Never && !slices.Contains(j.early, s) {
		j.early = append(j.early, s)
	}
}

// forwardTo has a signal go to workers, and tells to how many.
func (j *judge) forwardTo(s Signal, whom func(*unit) bool) (n int) {
	for _, g := range j.cohorts {
		for u := range g.live {
			// One that was asked to end is past its start, whether it knows or not.
			if (u.executed || u.pid > 0 && !u.untouched()) && !u.killed && whom(u) {
				j.forwards = append(j.forwards, Forward{g.number, u.slot, u.pid, s})
				n++
			}
		}
	}
	return n
}

// bury takes note of a worker's end and of what has to follow.
func (j *judge) bury(u *unit, status Status) {
	g := u.cohort
	p := g.seat(u.slot)
	held, successor := p.unit == u && j.holds(g, u.slot), p.successor == u
	if held && !u.ready.IsZero() && u.untouched() {
		j.missing++
	}
	switch u {
	case p.unit:
		p.unit, p.successor = p.successor, nil
	case p.successor:
		p.successor = nil
	default:
		g.leaving = slices.DeleteFunc(g.leaving, func(other *unit) bool { return other == u })
	}
	vacant := g.empty()
	switch {
	case j.phase != operating, g.state == Retiring, g.state == Failed:
		if vacant {
			j.expect(g, Gone, 0)
		}
	case j.policy.Respawn == Never, j.policy.Respawn == OnFailure && status.Success() && held && (g.state >= Serving || j.serving() == nil):
		j.mark(map[bool]string{true: "the command of a plain init has ended", false: "a worker has succeeded"}[j.policy.Respawn == Never])
		if vacant {
			j.expect(g, Gone, 0)
		}
		j.halt(j.policy.exitStatus(status))
	case successor:
		j.noteBadSuccessor(u)
	case !held:
		if vacant && g.state == Partial {
			j.expect(g, Gone, 0)
		}
	case g.state < Serving && (p.called || !j.hadSettled(u)):
		if !p.called {
			j.mark("a swapped slot fails its attempt")
		}
		j.giveBack(g, u.slot, j.now)
		g.broken = true
	default:
		j.lost(g, u, status, vacant)
	}
}

func (j *judge) hadSettled(u *unit) bool {
	return !u.ready.IsZero() && j.now.Sub(u.ready) >= j.settled()
}

// lost is what follows from the end of a worker in a slot of its generation.
func (j *judge) lost(g *cohort, u *unit, status Status, vacant bool) {
	next := j.now
	if !j.hadSettled(u) {
		if !u.started.Before(j.failedAt) {
			j.failures++
			j.failedAt = j.now
		} else {
			j.mark("one failure of several workers")
		}
		next = u.started.Add(j.backoff())
		j.mark("loss of a worker that has not settled")
	} else {
		j.mark("loss of a worker that has settled")
	}
	switch p := g.seat(u.slot); {
	case p.unit != nil:
		j.mark("loss of a worker that has a successor")
		j.expect(g, g.state, 0)
		return
	case g.state == Partial:
		j.mark("loss of a slot that was swapped")
		j.giveBack(g, u.slot, next)
		j.expect(g, Partial, next.Sub(j.now))
		if vacant {
			j.expect(g, Gone, 0)
		}
		return
	case !vacant, g.state < Serving, j.shared():
		j.mark(map[bool]string{true: "loss of all workers but of swapped slots", false: "loss of some workers"}[vacant])
		p.refill = next
		j.expect(g, g.state, next.Sub(j.now))
		return
	}
	j.mark("loss of all workers")
	j.remove(g)
	j.serves = 0
	var wait time.Duration
	switch {
	case j.candidate() != nil:
		j.mark("loss of all workers while the next is " + j.candidate().state.String())
	case j.policy.MaxFailures > 0 && j.failures >= j.policy.MaxFailures:
		j.mark("given up with nothing that serves")
		j.halt(j.policy.exitStatus(status))
	default:
		j.request(OnLoss)
		j.notBefore, wait = next, next.Sub(j.now)
	}
	j.expect(g, Lost, wait)
}

func (j *judge) expect(g *cohort, s State, next time.Duration) {
	j.announces = append(j.announces, Announce{Generation: g.number, State: s, Next: max(0, next)})
}

// ripen makes those ready that have lived long enough.
func (j *judge) ripen() {
	if j.phase != operating || !j.aliveCounts() {
		return
	}
	for _, g := range j.cohorts {
		for u := range g.live {
			if j.ripens(u) && !j.now.Before(u.started.Add(j.settling())) {
				j.ready(u)
			}
		}
	}
}

func (j *judge) ripens(u *unit) bool {
	return u.executed && u.ready.IsZero() && u.untouched() && u != j.hung && Starting <= u.cohort.state && u.cohort.state <= Partial
}

func (j *judge) ready(u *unit) {
	u.ready, u.heard = j.now, j.now
	if p := u.cohort.seat(u.slot); p.successor == u {
		j.mark("recycled")
		j.leave(p.unit)
		j.replacements, j.replaceAt = 0, time.Time{}
	}
}

// leave takes a worker's slot from it.
func (j *judge) leave(u *unit) {
	g := u.cohort
	p := g.seat(u.slot)
	if p.unit == u {
		p.unit = p.successor
	}
	p.successor = nil
	u.leaving = true
	g.leaving = append(g.leaving, u)
}

func (j *judge) halt(status int) {
	j.status, j.stopSignal = status, j.policy.SignalOnTerm
	j.ticketsStop()
	if j.phase, j.stopAt = lingering, j.now; !j.runHook(BeforeShutdown, 0, status != 0) {
		j.terminate()
	}
}

// linger ends the wait before workers are told to end.
func (j *judge) linger() {
	if j.phase == lingering && !j.hooks[BeforeShutdown].runs && (j.alive() == 0 || !j.now.Before(j.stopAt)) {
		j.mark(map[bool]string{true: "stop-delay cut short", false: "stop-delay over"}[j.now.Before(j.stopAt)])
		j.terminate()
	}
}

func (j *judge) terminate() {
	j.phase, j.ended, j.killAt = terminating, true, j.limit(j.now, j.policy.StopTimeout)
	for h := range j.hooks {
		j.hooks[h].told = nil
	}
}

// What is done about it.

func (j *judge) judge(action Action) {
	switch a := action.(type) {
	case Prepare:
		j.judgePrepare(a)
	case Start:
		j.judgeStart(a)
	case Stop:
		j.judgeStop(a)
	case Kill:
		j.judgeKill(a)
	case Forward:
		if len(j.forwards) == 0 || j.forwards[0] != a {
			broken("I17", "%v is not due", a)
		}
		j.forwards = j.forwards[1:]
	case Probe:
		j.judgeProbe(a)
	case CancelProbe:
		j.judgeCancel(a)
	case Announce:
		j.judgeAnnounce(a)
	case RunHook:
		j.judgeRunHook(a)
	case CancelHook:
		j.judgeCancelHook(a)
	case Survey:
		j.judgeSurvey(a)
	case Resize:
		j.judgeResize(a)
	case Recycle:
		j.judgeRecycle(a)
	case Steer:
		j.judgeSteer(a)
	case Outcome:
		j.judgeOutcome(a)
	case Answer:
		j.judgeAnswer(a)
	case StartCompanion, StopCompanion:
		j.judgeCompanion(a)
	case StartLogger:
		k := &j.loggers[a.Logger]
		if k.runs || k.at.IsZero() {
			broken("I21", "%v is not due", a)
		}
		j.lastCall = j.lastCall || j.now.Before(k.at)
		k.runs, k.started = true, j.now
	case Reopen:
		if j.reopens == 0 {
			broken("I17", "%v is not due", a)
		}
		j.reopens--
		j.mark("reopen")
	case EndOrphans:
		if j.phase != terminating || j.alive() > 0 || j.policy.LeaveOrphans {
			broken("I10", "the orphans are ended before the workers have ended")
		}
		j.phase, j.killAt = orphaned, j.limit(j.now, j.policy.StopTimeout)
		if j.killAt.IsZero() {
			j.killAt = j.now.Add(orphanGrace)
		}
	case KillOrphans:
		if j.phase != orphaned || j.now.Before(j.killAt) {
			broken("I7", "the orphans are killed before their grace is over")
		}
		j.over = true
		j.mark("orphans killed")
	case Exit:
		j.judgeExit(a)
	default:
		panic(fmt.Sprintf("unknown action %T", action))
	}
}

func (j *judge) judgePrepare(a Prepare) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	if c := j.candidate(); c != nil {
		broken("I1", "%v while %d is %v", a, c.number, c.state)
	}
	if j.hooks[AfterInit].runs {
		broken("I32", "%v and after-init has not succeeded", a)
	}
	if j.elapse(); !j.wanted() {
		broken("I1", "%v without a cause", a)
	}
	if a.Generation != j.number+1 {
		broken("I2", "%v comes after %d", a, j.number)
	}
	if j.now.Before(j.notBefore) {
		broken("I13", "%v %v too early", a, j.notBefore.Sub(j.now))
	}
	if j.serving() != nil {
		j.mark("swap begun")
	}
	j.fit() // at last
	if !j.changedFirst.IsZero() {
		j.mark("changes read by another swap")
	}
	j.number, j.changedFirst = a.Generation, time.Time{}
	j.judgeAttempt(a)
	if g := j.serving(); g != nil {
		for i := range g.seats {
			if u := g.seats[i].successor; u != nil {
				j.mark("a swap makes a successor pointless")
				j.leave(u)
			}
		}
	}
	for i := range j.slots {
		if !j.slots[i].closing.IsZero() {
			j.mark("a swap keeps a slot open")
			j.slots[i].closing = time.Time{}
		}
	}
	j.cohorts = append(j.cohorts, &cohort{number: a.Generation, attempted: j.now, began: j.now})
}

func (j *judge) judgeStart(a Start) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	g := j.cohort(a.Generation)
	if g == nil || a.Slot < 0 {
		broken("I3", "%v: there is no such generation", a)
	}
	if g.state == Starting && !g.called() && (a.Slot >= len(j.slots) || j.slots[a.Slot].owner != g.number) {
		j.callBatch(g)
	}
	if a.Slot >= len(j.slots) || !j.slots[a.Slot].open {
		j.fit()
	}
	if a.Slot >= len(j.slots) || !j.slots[a.Slot].open {
		broken("I22", "%v: there is no such slot, or no room for it", a)
	}
	u := &unit{cohort: g, slot: a.Slot, started: j.now}
	switch p := g.seat(a.Slot); {
	case p.due:
		p.due, p.unit = false, u
	case p.unit == nil && j.holds(g, a.Slot) && Starting <= g.state && g.state <= Serving:
		if p.refill.IsZero() || j.forking(g.number, a.Slot) != nil {
			broken("I3", "%v is not due", a)
		}
		if j.now.Before(p.refill) {
			broken("I13", "%v %v too early", a, p.refill.Sub(j.now))
		}
		j.mark("vacant slot filled")
		if g.state != Serving {
			j.mark("vacant slot of a candidate filled")
		}
		p.unit = u
	case j.recycles == p.unit && p.unit != nil:
		p.successor, j.recycles = u, nil
	case p.unit != nil:
		broken("I9", "%v and the slot has a worker", a)
	default:
		broken("I3", "%v in a generation that is %v and does not hold the slot", a, g.state)
	}
}

// callBatch sets which workers a swap starts next.
func (j *judge) callBatch(g *cohort) {
	first := !slices.ContainsFunc(j.slots, func(b berth) bool { return b.owner == g.number })
	if why := j.batchWaits(); !first && why != "" {
		broken("I24", "the next batch of generation %d comes too early: %s", g.number, why)
	}
	n := j.policy.Surge
	if n == 0 || j.serving() == nil {
		n = len(j.slots)
	}
	for slot, b := range j.slots {
		if b.open && b.owner != g.number && n > 0 {
			n--
			p := g.seat(slot)
			p.called, p.due = true, true
		}
	}
	if !first {
		j.mark("next batch")
		g.began = j.now
	}
}

// batchWaits is why the next batch of a swap may not begin.
func (j *judge) batchWaits() string {
	if j.policy.Surge == 0 {
		return ""
	}
	for _, g := range j.cohorts {
		if g.state <= Partial && len(g.leaving) > 0 {
			return fmt.Sprintf("a worker of generation %d has not ended", g.number)
		}
	}
	return ""
}

func (j *judge) judgeStop(a Stop) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if u.killed {
		broken("I6", "%v after its kill", a)
	}
	if !u.leaving && (u.cohort.state == Serving || u.cohort.state == Partial) {
		j.fit() // its slot may be closed
	}
	gone := u.leaving || u.cohort.state == Retiring || u.cohort.state == Failed
	swap := j.phase < terminating ||
		j.ended && gone && u.cohort.state != Failed && u.stopped.IsZero() && a.Signal == j.policy.SignalOnHup // said just before the phase changed
	if swap {
		if !gone {
			broken("I4", "%v while its generation is %v", a, u.cohort.state)
		}
		if u.doomed {
			broken("I7", "%v, and its attempt has failed", a)
		}
		if !u.stopped.IsZero() {
			broken("I6", "%v comes twice", a)
		}
		if a.Signal != j.policy.SignalOnHup {
			broken("I6", "%v has another signal than signal-on-hup", a)
		}
		u.stopped = j.now
		return
	}
	if !u.ended.IsZero() {
		broken("I6", "%v comes twice", a)
	}
	if a.Signal != j.stopSignal {
		broken("I6", "%v has another signal than %v", a, j.stopSignal)
	}
	u.ended = j.now
}

func (j *judge) judgeKill(a Kill) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if u.killed {
		broken("I6", "%v comes twice", a)
	}
	if a.Group != j.policy.KillGroup {
		broken("I6", "%v is not what kill-group says", a)
	}
	cause := j.cause(u)
	if cause == "" {
		broken("I7", "%v has no cause", a)
	}
	j.mark("killed: " + cause)
	if !u.ready.IsZero() && u.untouched() && !u.leaving && j.holds(u.cohort, u.slot) {
		j.missing++
	}
	u.killed = true
}

// cause is why a worker may be killed.
func (j *judge) cause(u *unit) string {
	g := u.cohort
	newer := 0 // retiring generations that are newer
	for _, other := range j.cohorts {
		if other.number > g.number && other.state == Retiring && other.some(func(u *unit) bool { return !u.killed }) {
			newer++
		}
	}
	switch {
	case u.doomed:
		return "its attempt has failed"
	case !u.stopped.IsZero() && j.past(j.limit(u.stopped, j.policy.DrainTimeout)):
		return "drain-timeout"
	case j.phase == operating && !u.ready.IsZero() && u.untouched() && j.past(j.limit(u.heard, j.policy.Watchdog)):
		return "watchdog"
	case u == j.hung:
		return "trigger"
	case j.phase == operating && j.replaces(u) && j.past(j.startLimit(u.started)):
		return "start-timeout"
	case j.phase == operating && g.state == Retiring && j.policy.MaxOldGenerations > 0 && newer >= j.policy.MaxOldGenerations:
		return "max-old-generations"
	case j.phase == terminating && j.past(j.killAt):
		return "stop-timeout"
	}
	return ""
}

func (j *judge) judgeProbe(a Probe) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	g := j.cohort(a.Generation)
	if g == nil || g.state != Probing || g.probeRuns || !j.whole(g) {
		broken("I4", "%v of a generation that is not to be probed", a)
	}
	if j.now.Before(j.nextProbe(g)) {
		broken("I13", "%v too early", a)
	}
	g.probeRuns, g.probedAt = true, j.now
}

func (j *judge) judgeCancel(a CancelProbe) {
	g := j.cohort(a.Generation)
	switch {
	case g == nil || !g.probeRuns:
		broken("I6", "%v, which does not run", a)
	case j.phase != operating:
		j.mark("probe cancelled by a stop")
	case g.broken:
		j.mark("probe cancelled by a failure")
	case j.past(j.limit(g.probedAt, j.policy.ProbeTimeout)):
		j.mark("probe-timeout")
	case j.past(j.startLimit(g.began)):
		j.mark("probe cancelled by start-timeout")
	default:
		broken("I7", "%v without a cause", a)
	}
	g.probeRuns = false
}

func (j *judge) judgeAnnounce(a Announce) {
	g := j.cohort(a.Generation)
	known := a
	known.Reason = ""
	if i := slices.Index(j.announces, known); i >= 0 {
		j.announces = slices.Delete(j.announces, i, i+1)
		switch {
		case a.State == Checking, a.State == Starting:
			g.state = a.State
		case a.State == Gone:
			j.remove(g)
		}
		return
	}
	if g == nil {
		broken("I2", "%v of a generation that is not there", a)
	}
	if j.phase != operating && a.State <= Serving {
		broken("I8", "%v after a stop", a)
	}
	old := j.serving()
	switch {
	case a.State == Probing && g.state == Starting && g.called() && j.whole(g) && j.policy.Probe:
		g.probedAt, g.probed = time.Time{}, false
	case a.State == Trial && j.proved(g) && old != nil && j.timing.KillOldDelay > 0:
		g.trial = j.now
	case (a.State == Serving || a.State == Starting) && (g.state == Trial || j.proved(g)):
		j.judgeTakeover(g, old, a)
	case a.State == Failed && g.state < Serving:
		j.judgeFailure(g, a)
		return
	default:
		broken("I4", "%v while it is %v", a, g.state)
	}
	g.state = a.State
}

// judgeTakeover judges that a batch has its slots.
func (j *judge) judgeTakeover(g, old *cohort, a Announce) {
	switch over := g.state == Trial && !j.now.Before(g.trial.Add(j.timing.KillOldDelay)); {
	case !j.whole(g):
		broken("I4", "%v and not all its workers are ready", a)
	case old == nil && g.state == Trial:
		j.mark("trial cut short by the loss of the old one")
	case old == nil:
	case j.timing.KillOldDelay > 0 && !over:
		broken("I4", "%v and its trial is not over", a)
	case over:
		j.mark("trial over")
	}
	if g.number < j.number {
		broken("I2", "%v and there is a newer one", a)
	}
	all := true
	for slot := range j.slots {
		b := &j.slots[slot]
		if p := g.seat(slot); p.called {
			p.called = false
			b.owner = g.number
		}
		all = all && (!b.open || b.owner == g.number)
	}
	if all != (a.State == Serving) {
		broken("I4", "%v, and that it has all slots is %v", a, all)
	}
	if !all {
		j.mark("batch swapped")
		for _, other := range j.cohorts {
			if other.state == Serving || other.state == Partial {
				for slot := range other.seats {
					for p := other.seat(slot); p.unit != nil && !j.holds(other, slot); {
						j.leave(p.unit)
					}
				}
			}
		}
		return
	}
	j.since, j.swappedAt, j.everReady, g.served = j.now, j.now, true, j.now
	j.attemptEnds(OutcomeReady, 0)
	for slot := range j.slots {
		j.slots[slot].owner = 0
	}
	for _, other := range j.cohorts {
		if other.state == Serving || other.state == Partial {
			if other.state == Partial {
				j.mark("slots swapped back")
			}
			j.expect(other, Retiring, 0)
			if other.state = Retiring; other.empty() {
				j.expect(other, Gone, 0)
			}
		}
	}
	if old != nil {
		j.runHook(AfterSwap, g.number, false)
	}
}

// proved reports whether a candidate has done all but its trial.
func (j *judge) proved(g *cohort) bool {
	return g.called() && j.whole(g) && (g.state == Starting && !j.policy.Probe || g.state == Probing && g.probed)
}

func (j *judge) judgeFailure(g *cohort, a Announce) {
	switch {
	case g.refused, g.broken:
		j.mark("attempt failed while " + g.state.String())
	case (g.state == Starting && g.called() && !j.whole(g) || g.state == Probing) && j.past(j.startLimit(g.began)):
		j.mark("start-timeout while " + g.state.String())
	default:
		broken("I5", "%v without a cause", a)
	}
	j.attempted = true
	j.failures++
	j.failedAt = j.now
	next := g.began.Add(j.backoff())
	want, halts := time.Duration(0), false
	switch {
	case j.policy.MaxFailures == 0 || j.failures < j.policy.MaxFailures:
		j.notBefore, want = next, max(0, next.Sub(j.now))
		j.attemptEnds(OutcomeFailed, want)
	case j.serving() != nil:
		j.mark("given up, the old one stays")
		j.attemptEnds(OutcomeGivenUp, 0)
		j.failures, j.notBefore, j.swappedAt, j.gaveUp = 0, time.Time{}, j.now, g.number
	default:
		j.mark("given up with nothing that serves")
		j.attemptEnds(OutcomeGivenUp, 0)
		halts = true
	}
	if a.Next != want {
		broken("I13", "%v, and %d failures in a row make it %v", a, j.failures, want)
	}
	j.dissolve(g)
	switch {
	case j.serving() != nil:
		j.runHook(AfterSwap, g.number, true)
	case !halts:
	case g.refused:
		j.halt(j.policy.exitStatus(Status{Code: setupFailed}))
	case g.broken: // the status of a worker that was lost is known where it was lost
		j.halt(j.lastStatus())
	default:
		j.halt(j.policy.exitStatus(Status{Signal: KILL}))
	}
}

// dissolve is what becomes of a failed attempt.
func (j *judge) dissolve(g *cohort) {
	trial, late := g.state == Trial, !g.broken && !g.refused
	if g.state = Failed; trial {
		g.state = Retiring // clients may be with it
	}
	for slot, b := range j.slots {
		if b.open && b.owner == g.number {
			if g.seat(slot).unit == nil {
				j.mark("a vacant slot of a failed attempt")
				j.giveBack(g, slot, j.now)
			} else {
				g.state = Partial
			}
		}
	}
	for slot := range g.seats {
		p := &g.seats[slot]
		if u := p.unit; p.called && u != nil {
			u.doomed = late || u.ready.IsZero() || !u.untouched()
			if !u.doomed && !trial {
				j.mark("a ready worker of a failed attempt is asked to stop")
			}
		}
		if p.called && p.unit != nil && g.state == Partial {
			j.mark(map[bool]string{true: "batch fails in its trial", false: "batch fails"}[trial])
			j.leave(p.unit)
		}
		p.called = false
	}
	if g.empty() {
		j.remove(g)
	}
}

// lastStatus is initd's own for the loss that the event tells of.
func (j *judge) lastStatus() int {
	switch e := j.event.(type) {
	case Exited:
		return j.policy.exitStatus(e.Status)
	case NotExecuted:
		return j.policy.exitStatus(Status{Code: e.Status})
	case ForkFailed:
		return j.policy.exitStatus(Status{Code: e.Status})
	}
	return j.policy.exitStatus(Status{Code: setupFailed})
}

func (j *judge) judgeExit(a Exit) {
	if j.alive() > 0 {
		broken("I10", "%v and %d workers are alive", a, j.alive())
	}
	left := j.phase == terminating && j.policy.LeaveOrphans
	if !left && !(j.phase == orphaned && j.over) {
		broken("I10", "%v and nothing says that the orphans have ended", a)
	}
	if a.Status != j.status {
		broken("I10", "%v, not %d", a, j.status)
	}
	for i, k := range j.loggers {
		if !k.runs && !k.at.IsZero() {
			broken("I21", "%v and nobody takes what is left for logger %d", a, i)
		}
	}
	if j.lastCall {
		j.mark("last call for a logger")
	}
	if left && j.companion.runs {
		broken("I37", "%v and the companion runs", a)
	}
	j.mark(map[bool]string{true: "orphans left alone", false: "orphans ended"}[left])
	j.phase, j.cohorts, j.calm = exited, nil, false
}

// named is the worker an action names.
func (j *judge) named(a Action, generation, slot, pid int) *unit {
	u := j.unit(pid)
	if u == nil || u.slot != slot || u.cohort.number != generation {
		broken("I6", "%v names no live worker", a)
	}
	return u
}

// What has to be so after a step.

func (j *judge) conclude(deadline time.Time) {
	if len(j.forwards) > 0 {
		broken("I17", "%v is missing", j.forwards[0])
	}
	if j.reopens > 0 {
		broken("I17", "reopen is missing")
	}
	if len(j.answers) > 0 {
		broken("I36", "%v is missing", j.answers[0])
	}
	if len(j.announces) > 0 {
		broken("I13", "%v is missing", j.announces[0])
	}
	if len(j.early) > 64 {
		broken("I9", "%d signals are kept", len(j.early))
	}
	if j.phase != exited {
		j.fit() // what shows nowhere
		j.concludePool()
		j.concludeHooks()
	}
	if j.hung != nil && !j.hung.killed {
		broken("I7", "a worker says that it hangs and is not killed")
	}
	if j.elapse(); len(j.outcomes) > 0 {
		broken("I35", "%v is missing", j.outcomes[0])
	}
	if j.phase == exited {
		if !deadline.IsZero() {
			broken("I11", "there is a deadline after the exit")
		}
		return
	}
	if j.lastCall {
		broken("I21", "a logger was started before its back-off is over")
	}
	candidate, serving := j.candidate(), j.serving()
	if j.attempted && j.serves != 0 && j.phase == operating && (serving == nil || serving.number != j.serves) {
		broken("I5", "the generation that served does not serve any more")
	}
	switch j.phase {
	case operating:
		if candidate == nil && serving == nil && !j.wanted() && j.number > 0 {
			broken("I12", "nothing serves and nothing is under way")
		}
		if candidate == nil && j.wanted() && !j.now.Before(j.notBefore) && !j.hooks[AfterInit].runs {
			broken("I16", "an attempt is due and does not begin")
		}
	case terminating:
		if j.alive() == 0 {
			broken("I12", "no worker is left and initd goes on")
		}
	case orphaned:
		if j.over {
			broken("I12", "no orphan is left and initd goes on")
		}
	}
	old := 0
	for _, g := range j.cohorts {
		j.concludeCohort(g, serving)
		if g.state == Retiring && g.some(func(u *unit) bool { return !u.killed && u.pid > 0 }) {
			old++
		}
	}
	if j.phase == operating && j.policy.MaxOldGenerations > 0 && old > j.policy.MaxOldGenerations {
		broken("I9", "%d old generations are alive", old)
	}
	if serving == nil || !j.whole(serving) {
		j.since = time.Time{}
	} else if j.since.IsZero() {
		j.since = j.now
	}
	j.concludeCalm(serving)
	j.concludeDeadline(deadline, candidate, serving)
}

// concludeCalm takes note of whether nothing is under way.
func (j *judge) concludeCalm(serving *cohort) {
	calm := j.phase == operating && j.policy.Respawn != Never && !j.wanted() &&
		len(j.cohorts) == 1 && serving != nil && j.whole(serving) && len(serving.leaving) == 0 && !serving.succeeds() &&
		j.openSlots() == j.size && j.stays() == j.size
	if calm && !j.calm {
		j.mark("calm")
	}
	j.calm = calm
}

func (j *judge) concludeCohort(g, serving *cohort) {
	if g.empty() && g.state > Checking && !(g.state == Serving && (j.shared() || j.refills(g))) {
		broken("I9", "generation %d has no worker and is still %v", g.number, g.state)
	}
	if g.probeRuns && (g.state != Probing || j.phase != operating) {
		broken("I8", "a probe runs of generation %d, for nothing", g.number)
	}
	if j.phase == operating {
		whole := j.whole(g)
		switch {
		case (g.broken || g.refused) && g.state < Serving:
			broken("I12", "generation %d can no more succeed and is still %v", g.number, g.state)
		case g.state == Starting && !g.called() && j.batchWaits() == "":
			broken("I12", "generation %d does not start its next batch", g.number)
		case g.state == Starting && g.called() && whole, g.state == Probing && whole && g.probed, g.state == Trial && whole && serving == nil:
			broken("I12", "generation %d has all it needs and is still %v", g.number, g.state)
		case g.state == Checking && !j.hooks[BeforeSwap].runs:
			broken("I12", "generation %d waits for a hook that does not run", g.number)
		case g.state == Serving && g != serving:
			broken("I4", "two generations serve")
		}
	}
	for slot := range g.seats {
		p := &g.seats[slot]
		if p.due {
			broken("I24", "generation %d slot %d is of the batch and is not started", g.number, slot)
		}
		if j.phase == operating && p.unit == nil && j.holds(g, slot) && p.refill.IsZero() {
			broken("I12", "generation %d slot %d is never filled", g.number, slot)
		}
	}
	for u := range g.live {
		switch {
		case u.pid == 0, u.killed:
		case u.doomed:
			broken("I7", "generation %d has failed and slot %d is not killed", g.number, u.slot)
		case j.phase == terminating && u.ended.IsZero():
			broken("I12", "generation %d slot %d was not asked to end", g.number, u.slot)
		case (g.state == Retiring || g.state == Failed || u.leaving) && u.stopped.IsZero() && u.ended.IsZero():
			broken("I12", "generation %d slot %d was not asked to stop", g.number, u.slot)
		}
	}
}

// concludeDeadline collects every limit there is: none may have passed, and
// the deadline is the earliest.
func (j *judge) concludeDeadline(deadline time.Time, candidate, serving *cohort) {
	var earliest time.Time
	limit := func(t time.Time, format string, args ...any) {
		switch {
		case t.IsZero():
		case !j.now.Before(t):
			broken("I11", "overslept by %v: "+format, append([]any{j.now.Sub(t)}, args...)...)
		case earliest.IsZero() || t.Before(earliest):
			earliest = t
		}
	}
	for i, k := range j.loggers {
		if !k.runs {
			limit(k.at, "back-off of logger %d", i)
		}
	}
	if !j.companion.runs && j.phase < orphaned {
		limit(j.companion.at, "back-off of the companion")
	}
	for _, g := range j.cohorts {
		for u := range g.live {
			if u.killed {
				continue
			}
			if !u.stopped.IsZero() {
				limit(j.limit(u.stopped, j.policy.DrainTimeout), "drain-timeout of generation %d", g.number)
			}
			if j.phase != operating {
				continue
			}
			if u.untouched() && !u.ready.IsZero() {
				limit(j.limit(u.heard, j.policy.Watchdog), "watchdog of pid %d", u.pid)
			}
			if j.aliveCounts() && j.ripens(u) {
				limit(u.started.Add(j.settling()), "interval of pid %d", u.pid)
			}
			if t := j.startLimit(u.started); j.replaces(u) && (u.pid > 0 || j.now.Before(t)) {
				limit(t, "start-timeout of pid %d", u.pid)
			}
		}
		for slot := range g.seats {
			p := &g.seats[slot]
			if j.phase != operating || p.unit != nil || !j.holds(g, slot) || g.state < Starting || g.state > Serving {
				continue
			}
			if j.now.Before(p.refill) || j.forking(g.number, slot) == nil {
				limit(p.refill, "back-off of slot %d", slot)
			}
		}
	}
	j.hookLimits(limit)
	switch j.phase {
	case operating:
		j.poolLimits(limit)
		if candidate != nil && (candidate.state == Starting && candidate.called() || candidate.state == Probing) {
			limit(j.startLimit(candidate.began), "start-timeout of generation %d", candidate.number)
		}
		switch {
		case candidate == nil && j.wanted() && j.hooks[AfterInit].runs:
		case candidate == nil && j.wanted():
			limit(j.notBefore, "back-off")
		case candidate == nil && serving != nil:
			limit(j.restartAt(), "auto-restart")
		case candidate == nil:
		case candidate.state == Probing && candidate.probeRuns:
			limit(j.limit(candidate.probedAt, j.policy.ProbeTimeout), "probe-timeout")
		case candidate.state == Probing && j.whole(candidate):
			limit(j.nextProbe(candidate), "the next probe")
		case candidate.state == Trial && j.whole(candidate):
			limit(candidate.trial.Add(j.timing.KillOldDelay), "kill-old-delay")
		}
	case lingering:
		if !j.hooks[BeforeShutdown].runs {
			limit(j.stopAt, "stop-delay")
		}
	case terminating:
		if j.now.Before(j.killAt) || slices.ContainsFunc(j.cohorts, func(g *cohort) bool {
			return g.some(func(u *unit) bool { return u.pid > 0 && !u.killed })
		}) {
			limit(j.killAt, "stop-timeout")
		}
	case orphaned:
		limit(j.killAt, "grace of the orphans")
	}
	if !deadline.Equal(earliest) && !j.endsLife(deadline, earliest) {
		broken("I11", "the deadline is %v and the earliest limit %v", j.offset(deadline), j.offset(earliest))
	}
}

// What the facts are asked.

func (j *judge) offset(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Sub(j.now).String() + " from now"
}

func (j *judge) limit(from time.Time, limit time.Duration) time.Time {
	if limit == 0 {
		return time.Time{}
	}
	return from.Add(limit)
}

func (j *judge) past(t time.Time) bool { return !t.IsZero() && !j.now.Before(t) }

func (j *judge) startLimit(from time.Time) time.Time {
	if j.policy.Respawn == Never {
		return time.Time{}
	}
	return j.limit(from, j.policy.StartTimeout)
}

func (j *judge) nextProbe(g *cohort) time.Time {
	if g.probedAt.IsZero() {
		return j.now
	}
	return g.probedAt.Add(j.wait(1))
}

// restartAt is when auto-restart asks for a swap; zero for never.
func (j *judge) restartAt() time.Time {
	if !j.timing.AutoRestart || j.policy.Respawn == Never {
		return time.Time{}
	}
	if len(j.cohorts) > 1 {
		return j.limit(j.swappedAt, 2*j.timing.AutoRestartInterval)
	}
	return j.limit(j.swappedAt, j.timing.AutoRestartInterval)
}

func (j *judge) restarts() bool {
	if j.wanted() || j.candidate() != nil || j.serving() == nil || !j.past(j.restartAt()) {
		return false
	}
	j.mark(map[bool]string{true: "auto-restart with old ones left", false: "auto-restart"}[len(j.cohorts) > 1])
	return true
}

func (j *judge) aliveCounts() bool { return j.policy.Respawn == Never || j.policy.Ready != Notify }

func (j *judge) settling() time.Duration {
	if j.policy.Respawn == Never {
		return 0
	}
	return j.policy.Interval
}

func (j *judge) settled() time.Duration {
	if j.policy.Interval == 0 {
		return 100 * time.Millisecond
	}
	return j.policy.Interval
}

func (j *judge) backoff() time.Duration { return j.wait(j.failures) }

// wait is the back-off as the contract has it.
func (j *judge) wait(failures int) time.Duration {
	bound := j.policy.MaxBackoff
	if bound == 0 {
		bound = 24 * time.Hour
	}
	doublings := max(failures-1, 0)
	if d := j.settled() << min(doublings, 30); d < bound {
		return d
	}
	if doublings > 0 {
		j.mark("back-off at its bound")
	}
	return bound
}

func (j *judge) first() bool { return j.number == 1 && j.serving() == nil && j.failures == 0 }

func (j *judge) find(f func(*cohort) bool) *cohort {
	for _, g := range j.cohorts {
		if f(g) {
			return g
		}
	}
	return nil
}

func (j *judge) cohort(number int) *cohort {
	return j.find(func(g *cohort) bool { return g.number == number })
}
func (j *judge) serving() *cohort   { return j.find(func(g *cohort) bool { return g.state == Serving }) }
func (j *judge) candidate() *cohort { return j.find(func(g *cohort) bool { return g.state < Serving }) }

func (j *judge) remove(g *cohort) {
	j.cohorts = slices.DeleteFunc(j.cohorts, func(other *cohort) bool { return other == g })
}

// forking is the worker of a slot that is no process yet.
func (j *judge) forking(generation, slot int) *unit {
	g := j.cohort(generation)
	if g == nil {
		return nil
	}
	for u := range g.live {
		if u.pid == 0 && u.slot == slot {
			return u
		}
	}
	return nil
}

func (j *judge) unit(pid int) *unit {
	for _, g := range j.cohorts {
		for u := range g.live {
			if u.pid == pid && pid > 0 {
				return u
			}
		}
	}
	return nil
}

func (j *judge) alive() (n int) {
	for _, g := range j.cohorts {
		for range g.live {
			n++
		}
	}
	return n
}

// live yields the workers that are there or were asked for.
func (g *cohort) live(yield func(*unit) bool) {
	for i := range g.seats {
		p := &g.seats[i]
		if p.unit != nil && !yield(p.unit) || p.successor != nil && !yield(p.successor) {
			return
		}
	}
	for _, u := range g.leaving {
		if !yield(u) {
			return
		}
	}
}

// some reports whether something is true of some worker.
func (g *cohort) some(is func(*unit) bool) bool {
	for u := range g.live {
		if is(u) {
			return true
		}
	}
	return false
}

func (g *cohort) empty() bool { return !g.some(func(*unit) bool { return true }) }

// called reports whether a batch is under way.
func (g *cohort) called() bool {
	return slices.ContainsFunc(g.seats, func(p seat) bool { return p.called })
}

// succeeds reports whether a successor has been started.
func (g *cohort) succeeds() bool {
	return slices.ContainsFunc(g.seats, func(p seat) bool { return p.successor != nil })
}

func (g *cohort) seat(slot int) *seat {
	for len(g.seats) <= slot {
		g.seats = append(g.seats, seat{})
	}
	return &g.seats[slot]
}

// untouched reports whether nothing was done to end the worker.
func (u *unit) untouched() bool { return u.stopped.IsZero() && u.ended.IsZero() && !u.killed }
