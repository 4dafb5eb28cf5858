package machine

import (
	"fmt"
	"slices"
	"time"
)

// What is true of the machine whatever happens. A judge that sees nothing but
// events, actions and deadlines checks I1 to I13 and I16 to I21 after each
// step; the world that the simulation makes up checks the others.
//
//	I1   At most one generation is a candidate, and an attempt has a cause.
//	I2   Numbers only grow: every attempt takes the next.
//	I3   A worker is started only in a vacant slot, of a generation that was
//	     just prepared or that serves, and then not before its back-off is over.
//	I4   A generation serves once each of its slots has a live ready worker, its
//	     probe has succeeded and its trial is over; only then does the older one
//	     retire, and only a retiring generation is stopped, unless initd stops.
//	I5   A failed or refused attempt changes nothing of the generation that serves.
//	I6   Stop, kill and forward name only live workers, and name them rightly. A
//	     worker gets at most one stop from a swap, one because initd stops, and
//	     one kill, which is the last; each with the signal of the policy.
//	I7   A kill has a cause, and a cause kills at once: its attempt has failed, the
//	     grace it was given is over, it is silent or says that it hangs, it is a
//	     replacement that is not ready in time, there are too many old ones, or
//	     whoever stops initd has no more patience.
//	I8   Nothing is prepared, started or probed once initd stops.
//	I9   What is alive is bounded: a slot has one worker, max-old-generations holds,
//	     and the machine remembers no generation that has no worker and is no
//	     candidate. (Where drain-timeout and max-old-generations are both 0, the
//	     contract lets workers that ignore their stop add up without a bound.)
//	I10  Exit comes once, last, with no worker alive and the status of the contract.
//	I11  The deadline is later than now, and exactly the earliest limit there is:
//	     nothing is overslept, and without a limit it is zero.
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
//	I18  What is reported is what is, and is reported once.
//	I19  Rest is said once each time that calm comes: when nothing is under way and
//	     one generation serves, alone and whole.
//	I20  What is published is what is: the live workers of generations that are or
//	     were ready, the last number, the last that was given up; once per change.
//	I21  There is one of each logger, from first to last; it is started again
//	     in the very step in which its back-off is over, or initd exits.
//
// And, once faults cease:
//
//	L1   A request leads to a newer generation that serves.
//	L2   Calm leaves exactly the newest generation, whole and ready.
//	L3   A stop leads to exit within the grace.
type judge struct {
	policy Policy
	timing Timing
	mark   func(situation string) // tells what was come across

	phase     phase
	cohorts   []*cohort // generations that are held, by number
	number    int
	wanted    bool
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
	reported   Report
	calm       bool // nothing is under way
	published  Publish
	gaveUp     int
	loggers    []keeper
	lastCall   bool // one was started although its back-off is not over

	// Of the step that is being judged.
	now       time.Time
	event     Event
	forwards  []Forward  // that are due
	announces []Announce // that are due, without their reasons
	hung      *unit
	ended     bool // the phase has become terminating
	over      bool // the orphans have ended, or were killed
	serves    int  // the generation that serves, before
	attempted bool // an attempt has failed or was refused
	rested    bool // the machine has said so
	reopens   int  // that are due
}

// keeper is a logger as it is seen from outside.
type keeper struct {
	runs        bool
	at, started time.Time // when it is due, when it was started last
	failures    int
}

// cohort is a generation as it is seen from outside.
type cohort struct {
	number  int
	state   State
	began   time.Time
	since   time.Time // trial: its start; serving: since when it is whole
	units   []*unit   // by slot
	refill  []time.Time
	broken  bool // a candidate that has lost a worker
	refused bool

	probeRuns bool
	probedAt  time.Time // when the last probe was started
	probed    bool      // with success
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
}

// A violation is a rule and how it was broken.
type violation struct{ rule, text string }

func (v violation) Error() string { return v.rule + ": " + v.text }

func broken(rule, format string, args ...any) {
	panic(violation{rule, fmt.Sprintf(format, args...)})
}

func newJudge(p Policy) *judge {
	p.Slots = max(p.Slots, 1)
	return &judge{policy: p, timing: p.Timing, mark: func(string) {}, loggers: make([]keeper, p.Loggers)}
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
	j.forwards, j.announces, j.hung, j.ended, j.attempted, j.rested = nil, nil, nil, false, false, false
	j.serves = 0
	if g := j.serving(); g != nil {
		j.serves = g.number
		if g.whole() && !g.since.Before(j.failedAt) && now.Sub(g.since) >= j.settled() {
			j.failures = 0
		}
	}
	j.note(event)
	j.ripen()
	if j.phase == lingering && (j.alive() == 0 || !now.Before(j.stopAt)) {
		j.mark(map[bool]string{true: "stop-delay cut short", false: "stop-delay over"}[now.Before(j.stopAt)])
		j.terminate()
	}
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
		j.wanted = j.wanted || j.number == 0
		for i := range j.loggers {
			if j.number == 0 {
				j.loggers[i].at = j.now
			}
		}
	case Signaled:
		j.noteSignal(e.Signal)
	case Prepared:
		if g := j.cohort(e.Generation); g != nil && g.state == Preparing && j.phase == operating {
			j.timing = e.Timing
			j.expect(g, Starting, 0)
		}
	case Refused:
		j.noteRefusal(e.Generation)
	case Forked:
		if u := j.slot(e.Generation, e.Slot); u != nil && u.pid == 0 && e.PID > 0 {
			u.pid, u.started = e.PID, j.now
			if j.phase != operating {
				j.mark("forked after a stop")
			}
			if u.cohort.state == Failed || u.cohort.state == Retiring {
				j.mark("forked into a generation that is " + u.cohort.state.String())
			}
		}
	case ForkFailed:
		if u := j.slot(e.Generation, e.Slot); u != nil && u.pid == 0 {
			u.started = j.now
			if e.Status != setupFailed && j.phase == operating && j.first() && j.policy.Respawn != Never {
				j.mark("too large at the first start")
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
		if u := j.unit(e.PID); u != nil && j.policy.Watchdog > 0 && u.cohort.state != Retiring && j.phase == operating && !u.killed {
			j.hung = u
		}
	case Probed:
		if g := j.cohort(e.Generation); g != nil && g.probeRuns {
			g.probeRuns = false
			g.probed = e.Status.Success() && g.whole()
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
		if 0 <= e.Logger && e.Logger < len(j.loggers) && j.loggers[e.Logger].runs {
			k := &j.loggers[e.Logger]
			k.runs = false
			k.failures++
			if j.now.Sub(k.started) >= j.settled() {
				k.failures = 1
			}
			k.at = k.started.Add(j.wait(k.failures))
			j.mark(fmt.Sprintf("a logger ends in phase %d", j.phase))
		}
	}
}

func (j *judge) noteSignal(s Signal) {
	if other, ok := j.policy.SignalMap[s]; ok {
		s = other
	} else if s == TSTP || s == TTIN || s == TTOU {
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
			} else if j.wanted {
				j.mark("HUP during back-off")
			}
			j.wanted = true
		}
	case s != TERM && s != INT && s != QUIT:
		j.forward(s)
	case j.phase == operating:
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

func (j *judge) noteRefusal(number int) {
	g := j.cohort(number)
	switch {
	case g == nil || g.state != Preparing:
	case j.phase != operating:
		j.remove(g)
	case j.serving() != nil:
		j.attempted = true
		j.mark("refused, the old one stays")
		j.swappedAt, j.gaveUp = j.now, number
		j.remove(g)
		j.announces = append(j.announces, Announce{Generation: number, State: Declined})
	case j.first():
		j.mark("refused at the first start")
		j.remove(g)
		j.halt(setupFailed)
	default:
		j.mark("refused with nothing that serves")
		g.refused = true
	}
}

func (j *judge) forward(s Signal) {
	sent := false
	for _, g := range j.cohorts {
		for _, u := range g.live() {
			// One that was asked to end is past its start, whether it knows or not.
			if (u.executed || u.pid > 0 && !u.untouched()) && !u.killed {
				j.forwards = append(j.forwards, Forward{g.number, u.slot, u.pid, s})
				sent = true
			}
		}
	}
	if !sent && j.policy.Respawn == Never && !slices.Contains(j.early, s) {
		j.early = append(j.early, s)
	}
}

// bury takes note of a worker's end and of what has to follow.
func (j *judge) bury(u *unit, status Status) {
	g := u.cohort
	g.units[u.slot] = nil
	vacant := len(g.live()) == 0
	switch {
	case j.phase != operating, g.state == Retiring, g.state == Failed:
		if vacant {
			j.expect(g, Gone, 0)
		}
	case j.policy.Respawn == Never, j.policy.Respawn == OnFailure && status.Success() && (g.state == Serving || j.serving() == nil):
		j.mark(map[bool]string{true: "the command of a plain init has ended", false: "a worker has succeeded"}[j.policy.Respawn == Never])
		if vacant {
			j.expect(g, Gone, 0)
		}
		j.halt(j.policy.exitStatus(status))
	case g.state < Serving:
		g.broken = true
	default:
		j.lost(g, u, status, vacant)
	}
}

// lost is what follows from the end of a worker of the serving generation.
func (j *judge) lost(g *cohort, u *unit, status Status, vacant bool) {
	next := j.now
	if u.ready.IsZero() || j.now.Sub(u.ready) < j.settled() {
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
	if !vacant {
		j.mark("loss of some workers")
		g.refill[u.slot] = next
		j.expect(g, Serving, next.Sub(j.now))
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
		j.wanted, j.notBefore, wait = true, next, next.Sub(j.now)
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
		for _, u := range g.live() {
			if j.ripens(u) && !j.now.Before(u.started.Add(j.settling())) {
				j.ready(u)
			}
		}
	}
}

func (j *judge) ripens(u *unit) bool {
	return u.executed && u.ready.IsZero() && u.untouched() && u != j.hung && (u.cohort.state == Starting || u.cohort.state == Serving)
}

func (j *judge) ready(u *unit) {
	u.ready, u.heard = j.now, j.now
	if u.cohort.whole() {
		u.cohort.since = j.now
	}
}

func (j *judge) halt(status int) {
	j.status, j.stopSignal = status, j.policy.SignalOnTerm
	j.terminate()
}

func (j *judge) terminate() {
	j.phase, j.ended, j.killAt = terminating, true, j.limit(j.now, j.policy.StopTimeout)
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
	case Report:
		if a == j.reported || j.policy.Respawn == Never {
			broken("I18", "%v says nothing new", a)
		}
		j.reported = a
	case Rest:
		if j.rested {
			broken("I19", "rest comes twice")
		}
		j.rested = true
		j.mark("rest")
	case Publish:
		if a == j.published || !j.policy.Publish {
			broken("I20", "%v says nothing new", a)
		}
		j.published = a
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
	if !j.wanted && !j.restarts() {
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
	j.number, j.wanted = a.Generation, false
	j.cohorts = append(j.cohorts, &cohort{
		number: a.Generation, began: j.now,
		units: make([]*unit, j.policy.Slots), refill: make([]time.Time, j.policy.Slots),
	})
}

func (j *judge) judgeStart(a Start) {
	if j.phase != operating {
		broken("I8", "%v after a stop", a)
	}
	g := j.cohort(a.Generation)
	if g == nil || a.Slot < 0 || a.Slot >= len(g.units) || g.units[a.Slot] != nil {
		broken("I3", "%v: there is no such vacancy", a)
	}
	switch g.state {
	case Starting:
		if e, ok := j.event.(Prepared); !ok || e.Generation != g.number {
			broken("I3", "%v in a generation that has started before", a)
		}
	case Serving:
		if j.now.Before(g.refill[a.Slot]) {
			broken("I13", "%v %v too early", a, g.refill[a.Slot].Sub(j.now))
		}
		j.mark("vacant slot filled")
	default:
		broken("I3", "%v in a generation that is %v", a, g.state)
	}
	g.units[a.Slot] = &unit{cohort: g, slot: a.Slot, started: j.now}
}

func (j *judge) judgeStop(a Stop) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if u.killed {
		broken("I6", "%v after its kill", a)
	}
	swap := j.phase < terminating ||
		j.ended && u.cohort.state == Retiring && u.stopped.IsZero() && a.Signal == j.policy.SignalOnHup // said just before the phase changed
	if swap {
		if u.cohort.state != Retiring {
			broken("I4", "%v while its generation is %v", a, u.cohort.state)
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
	u.killed = true
}

// cause is why a worker may be killed.
func (j *judge) cause(u *unit) string {
	g := u.cohort
	newer := 0 // retiring generations that are newer
	for _, other := range j.cohorts {
		if other.number > g.number && other.state == Retiring && slices.ContainsFunc(other.live(), func(u *unit) bool { return !u.killed }) {
			newer++
		}
	}
	switch {
	case g.state == Failed:
		return "its attempt has failed"
	case !u.stopped.IsZero() && j.past(j.limit(u.stopped, j.policy.DrainTimeout)):
		return "drain-timeout"
	case j.phase == operating && !u.ready.IsZero() && u.untouched() && j.past(j.limit(u.heard, j.policy.Watchdog)):
		return "watchdog"
	case u == j.hung:
		return "trigger"
	case j.phase == operating && g.state == Serving && u.ready.IsZero() && j.past(j.startLimit(u.started)):
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
	if g == nil || g.state != Probing || g.probeRuns || !g.whole() {
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
		case a.State == Starting:
			g.state = Starting
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
	case a.State == Probing && g.state == Starting && g.whole() && j.policy.Probe:
	case a.State == Trial && j.proved(g) && old != nil && j.timing.KillOldDelay > 0:
		g.since = j.now
	case a.State == Serving && (g.state == Trial || j.proved(g)):
		switch over := g.state == Trial && !j.now.Before(g.since.Add(j.timing.KillOldDelay)); {
		case !g.whole():
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
		g.since, j.swappedAt = j.now, j.now
		if old != nil {
			j.expect(old, Retiring, 0)
			old.state = Retiring
		}
	case a.State == Failed && g.state < Serving:
		j.judgeFailure(g, a)
	default:
		broken("I4", "%v while it is %v", a, g.state)
	}
	if a.State == Failed && g.state == Trial {
		a.State = Retiring // clients may be with it
	}
	if g.state = a.State; len(g.live()) == 0 {
		j.remove(g)
	}
}

// proved reports whether a candidate has done all but its trial.
func (j *judge) proved(g *cohort) bool {
	return g.whole() && (g.state == Starting && !j.policy.Probe || g.state == Probing && g.probed)
}

func (j *judge) judgeFailure(g *cohort, a Announce) {
	switch {
	case g.refused, g.broken:
		j.mark("attempt failed while " + g.state.String())
	case (g.state == Starting && !g.whole() || g.state == Probing) && j.past(j.startLimit(g.began)):
		j.mark("start-timeout while " + g.state.String())
	default:
		broken("I5", "%v without a cause", a)
	}
	j.attempted = true
	j.failures++
	j.failedAt = j.now
	next := g.began.Add(j.backoff())
	want := time.Duration(0)
	switch {
	case j.policy.MaxFailures == 0 || j.failures < j.policy.MaxFailures:
		j.wanted, j.notBefore, want = true, next, max(0, next.Sub(j.now))
	case j.serving() != nil:
		j.mark("given up, the old one stays")
		j.failures, j.notBefore, j.swappedAt, j.gaveUp = 0, time.Time{}, j.now, g.number
	default:
		j.mark("given up with nothing that serves")
		// The status of a worker that was lost is known where it was lost.
		if g.broken || g.refused {
			j.halt(j.lastStatus())
		} else {
			j.halt(j.policy.exitStatus(Status{Signal: KILL}))
		}
	}
	if a.Next != want {
		broken("I13", "%v, and %d failures in a row make it %v", a, j.failures, want)
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
	j.mark(map[bool]string{true: "orphans left alone", false: "orphans ended"}[left])
	j.phase, j.cohorts = exited, nil
}

// named is the worker an action names.
func (j *judge) named(a Action, generation, slot, pid int) *unit {
	u := j.slot(generation, slot)
	if u == nil || u.pid != pid || pid <= 0 {
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
	if len(j.announces) > 0 {
		broken("I13", "%v is missing", j.announces[0])
	}
	if len(j.early) > 64 {
		broken("I9", "%d signals are kept", len(j.early))
	}
	if j.hung != nil && !j.hung.killed {
		broken("I7", "a worker says that it hangs and is not killed")
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
	j.concludeReport(candidate, serving)
	j.concludePublish()
	switch j.phase {
	case operating:
		if candidate == nil && serving == nil && !j.wanted && j.number > 0 {
			broken("I12", "nothing serves and nothing is under way")
		}
		if candidate == nil && j.restarts() {
			j.wanted = true
		}
		if candidate == nil && j.wanted && !j.now.Before(j.notBefore) {
			broken("I16", "an attempt is due and does not begin")
		}
		if serving != nil {
			if n := slices.IndexFunc(serving.units, func(u *unit) bool { return u == nil }); n >= 0 && serving.refill[n].IsZero() {
				broken("I12", "slot %d is never filled", n)
			}
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
		if g.state == Retiring && slices.ContainsFunc(g.live(), func(u *unit) bool { return !u.killed && u.pid > 0 }) {
			old++
		}
	}
	if j.phase == operating && j.policy.MaxOldGenerations > 0 && old > j.policy.MaxOldGenerations {
		broken("I9", "%d old generations are alive", old)
	}
	j.concludeRest(serving)
	j.concludeDeadline(deadline, candidate, serving)
}

func (j *judge) concludeReport(candidate, serving *cohort) {
	if j.policy.Respawn == Never {
		return
	}
	want := Report{}
	if serving != nil {
		want = Report{IsReady, serving.number}
		if candidate != nil {
			want.Readiness = Reloading
		}
	}
	if j.phase != operating {
		want = Report{Readiness: Stopping}
	}
	if j.reported != want {
		broken("I18", "what is reported is %v and not %v", j.reported, want)
	}
}

func (j *judge) concludePublish() {
	if !j.policy.Publish {
		return
	}
	want := Publish{Attempt: j.number, GivenUp: j.gaveUp}
	for _, g := range j.cohorts {
		if g.state == Trial || g.state == Serving || g.state == Retiring {
			for _, u := range g.live() {
				if u.pid > 0 {
					want.Workers += fmt.Sprintln(fmt.Sprint(g.number) + ":" + fmt.Sprint(u.pid))
				}
			}
		}
	}
	if j.published != want {
		broken("I20", "what is published is %v and not %v", j.published, want)
	}
}

func (j *judge) concludeRest(serving *cohort) {
	calm := j.phase == operating && j.policy.Respawn != Never && !j.wanted &&
		len(j.cohorts) == 1 && serving != nil && serving.whole()
	if j.rested != (calm && !j.calm) {
		broken("I19", "calm: %v, before: %v, rest was said: %v", calm, j.calm, j.rested)
	}
	j.calm = calm
}

func (j *judge) concludeCohort(g, serving *cohort) {
	live := g.live()
	if len(live) == 0 && g.state != Preparing {
		broken("I9", "generation %d has no worker and is still %v", g.number, g.state)
	}
	if g.probeRuns && (g.state != Probing || j.phase != operating) {
		broken("I8", "a probe runs of generation %d, for nothing", g.number)
	}
	if j.phase == operating {
		whole := g.whole()
		switch {
		case (g.broken || g.refused) && g.state < Serving:
			broken("I12", "generation %d can no more succeed and is still %v", g.number, g.state)
		case g.state == Starting && whole, g.state == Probing && whole && g.probed, g.state == Trial && whole && serving == nil:
			broken("I12", "generation %d has all it needs and is still %v", g.number, g.state)
		case g.state == Serving && g != serving:
			broken("I4", "two generations serve")
		}
	}
	for _, u := range live {
		switch {
		case u.pid == 0, u.killed:
		case g.state == Failed:
			broken("I7", "generation %d has failed and slot %d is not killed", g.number, u.slot)
		case j.phase == terminating && u.ended.IsZero():
			broken("I12", "generation %d slot %d was not asked to end", g.number, u.slot)
		case g.state == Retiring && u.stopped.IsZero() && u.ended.IsZero():
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
	for _, g := range j.cohorts {
		for _, u := range g.live() {
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
			if t := j.startLimit(u.started); g.state == Serving && u.ready.IsZero() && (u.pid > 0 || j.now.Before(t)) {
				limit(t, "start-timeout of pid %d", u.pid)
			}
		}
	}
	switch j.phase {
	case operating:
		if candidate != nil && (candidate.state == Starting || candidate.state == Probing) {
			limit(j.startLimit(candidate.began), "start-timeout of generation %d", candidate.number)
		}
		switch {
		case candidate == nil && j.wanted:
			limit(j.notBefore, "back-off")
		case candidate == nil && serving != nil:
			limit(j.restartAt(), "auto-restart")
		case candidate == nil:
		case candidate.state == Probing && candidate.probeRuns:
			limit(j.limit(candidate.probedAt, j.policy.ProbeTimeout), "probe-timeout")
		case candidate.state == Probing && candidate.whole():
			limit(j.nextProbe(candidate), "the next probe")
		case candidate.state == Trial && candidate.whole():
			limit(candidate.since.Add(j.timing.KillOldDelay), "kill-old-delay")
		}
		if serving != nil {
			for slot, u := range serving.units {
				if u == nil {
					limit(serving.refill[slot], "back-off of slot %d", slot)
				}
			}
		}
	case lingering:
		limit(j.stopAt, "stop-delay")
	case terminating:
		if j.now.Before(j.killAt) || slices.ContainsFunc(j.cohorts, func(g *cohort) bool {
			return slices.ContainsFunc(g.live(), func(u *unit) bool { return u.pid > 0 && !u.killed })
		}) {
			limit(j.killAt, "stop-timeout")
		}
	case orphaned:
		limit(j.killAt, "grace of the orphans")
	}
	if !deadline.Equal(earliest) {
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
	if j.wanted || j.candidate() != nil || j.serving() == nil || !j.past(j.restartAt()) {
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

func (j *judge) slot(generation, slot int) *unit {
	g := j.cohort(generation)
	if g == nil || slot < 0 || slot >= len(g.units) {
		return nil
	}
	return g.units[slot]
}

func (j *judge) unit(pid int) *unit {
	for _, g := range j.cohorts {
		for _, u := range g.units {
			if u != nil && u.pid == pid && pid > 0 {
				return u
			}
		}
	}
	return nil
}

func (j *judge) alive() (n int) {
	for _, g := range j.cohorts {
		n += len(g.live())
	}
	return n
}

// live returns the workers that are there or were asked for.
func (g *cohort) live() []*unit {
	for _, u := range g.units {
		if u == nil {
			return slices.DeleteFunc(slices.Clone(g.units), func(u *unit) bool { return u == nil })
		}
	}
	return g.units
}

// whole reports whether every slot has a worker that is ready and goes on.
func (g *cohort) whole() bool {
	for _, u := range g.units {
		if u == nil || u.ready.IsZero() || !u.untouched() {
			return false
		}
	}
	return true
}

// untouched reports whether nothing was done to end the worker.
func (u *unit) untouched() bool { return u.stopped.IsZero() && u.ended.IsZero() && !u.killed }
