package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// office is what the judge knows of tickets, of commands and of the companion.
type office struct {
	lastTicket      int
	waiting, trying ticket    // the one that an attempt is to be made for, and is made for
	outcomes        []Outcome // that are due in this step
	answers         []Answer  // likewise
	companion       kept
	everReady       bool
}

// ticket is a request as it is seen from outside; the number 0: there is none.
type ticket struct {
	number  int
	trigger Trigger
	failed  bool // an attempt for it has
}

// Tickets.

func (j *judge) wanted() bool { return j.waiting.number > 0 }

// request takes note of a request for a swap.
func (j *judge) request(t Trigger) {
	j.mark("a request by " + t.String())
	if j.trying.number > 0 {
		j.mark("a request during an attempt")
	}
	old := j.waiting
	if old.number > 0 && !old.failed {
		j.mark("a ticket shared")
		if t == OnLoss {
			j.mark("a ticket shared by a loss")
		} else if old.trigger == OnLoss {
			j.mark("the ticket of a loss shared")
		}
		return
	}
	j.lastTicket++
	j.waiting = ticket{number: j.lastTicket, trigger: t}
	if old.number > 0 {
		j.mark("a retry superseded by " + t.String())
		j.owe(old, Outcome{Result: OutcomeSuperseded, By: j.lastTicket})
	}
}

// elapse takes note of the requests that the clock makes.
func (j *judge) elapse() {
	if j.phase != operating {
		return
	}
	if j.restarts() {
		j.request(OnClock)
	}
	if j.changes() {
		j.request(OnWatch)
		j.changedFirst = time.Time{}
	}
}

// owe has an outcome of a ticket be told in this step.
func (j *judge) owe(t ticket, o Outcome) {
	if t.number > 0 {
		o.Ticket = t.number
		j.outcomes = append(j.outcomes, o)
	}
}

// attemptEnds takes note of what became of an attempt.
func (j *judge) attemptEnds(r Result, next time.Duration) {
	j.owe(j.trying, Outcome{Result: r, Generation: j.number, Next: next})
	switch {
	case r != OutcomeFailed:
	case j.waiting.number > 0:
		j.mark("a failed attempt superseded")
		j.owe(j.trying, Outcome{Result: OutcomeSuperseded, By: j.waiting.number})
	default:
		j.waiting = j.trying
		j.waiting.failed = true
	}
	j.trying = ticket{}
}

// ticketsStop takes note that initd stops.
func (j *judge) ticketsStop() {
	if j.trying.number > 0 {
		j.mark("a stop drops an attempt")
	}
	if j.waiting.number > 0 {
		j.mark(map[bool]string{true: "a stop drops a retry", false: "a stop drops a request"}[j.waiting.failed])
	}
	j.owe(j.trying, Outcome{Result: OutcomeStopped, Generation: j.number})
	j.owe(j.waiting, Outcome{Result: OutcomeStopped})
	j.trying, j.waiting = ticket{}, ticket{}
}

// judgeAttempt judges whose attempt is made.
func (j *judge) judgeAttempt(a Prepare) {
	if a.Ticket != j.waiting.number || a.Trigger != j.waiting.trigger {
		broken("I34", "%v, and what waits is ticket %d by %v", a, j.waiting.number, j.waiting.trigger)
	}
	j.trying, j.waiting = j.waiting, ticket{}
	j.mark("an attempt by " + a.Trigger.String())
	if j.trying.failed {
		j.mark("a ticket tried again")
	}
	j.owe(j.trying, Outcome{Result: OutcomeBegun, Generation: a.Generation})
}

func (j *judge) judgeOutcome(a Outcome) {
	known := a
	known.Reason = ""
	i := slices.Index(j.outcomes, known)
	if i < 0 {
		j.elapse() // what the clock has asked for may supersede it
		i = slices.Index(j.outcomes, known)
	}
	if i < 0 {
		broken("I35", "%v is not due", a)
	}
	if len(j.answers) > 0 && a.Result == OutcomeBegun {
		broken("I36", "%v before %v", a, j.answers[0])
	}
	failure := a.Result == OutcomeFailed || a.Result == OutcomeGivenUp || a.Result == OutcomeRefused
	if a.Reason == "" && failure || a.Reason != "" && !failure && a.Result != OutcomeStopped {
		broken("I35", "%v: the reason is %q", a, a.Reason)
	}
	j.outcomes = slices.Delete(j.outcomes, i, i+1)
	j.mark("outcome " + a.Result.String())
}

// Commands.

// refusal stands for any.
const refusal = "refused"

func (j *judge) noteCommand(event Event) {
	a := Answer{}
	plain := j.policy.Respawn == Never
	switch e := event.(type) {
	case SwapAsked:
		a.Client = e.Client
		switch {
		case plain, j.phase != operating:
			a.Refusal = refusal
		default:
			j.request(OnControl)
			a.Ticket = j.waiting.number
		}
	case StopAsked:
		a.Client = e.Client
		switch {
		case !slices.Contains([]Signal{TERM, INT, QUIT}, e.Signal):
			a.Refusal = refusal
		case plain && j.phase == operating:
			j.forward(e.Signal)
		default:
			j.mark(fmt.Sprintf("stop asked in phase %d", j.phase))
			j.noteStop(e.Signal)
		}
	case ScaleAsked:
		a.Client = e.Client
		if plain || j.phase != operating || e.Workers < 1 || j.policy.MaxWorkers > 0 && e.Workers > j.policy.MaxWorkers {
			a.Refusal = refusal
			break
		}
		a.Workers = e.Workers
		j.noteScale(e.Workers)
	case SignalAsked:
		a.Client = e.Client
		if e.Signal < 1 || e.Signal > 64 || slices.Contains([]Signal{KILL, STOP, CHLD}, e.Signal) {
			a.Refusal = refusal
			break
		}
		a.Workers = j.forwardTo(e.Signal, func(u *unit) bool {
			return (e.Generation == 0 || u.cohort.number == e.Generation) && (e.Slot == -1 || u.slot == e.Slot)
		})
		switch named := e.Generation != 0 || e.Slot != -1; {
		case a.Workers == 0 && named:
			a.Refusal, a.Missing = refusal, true
			j.mark("a signal to what is missing")
		case named:
			j.mark("a signal to some")
		default:
			j.mark(map[bool]string{true: "a signal to nobody", false: "a signal to all"}[a.Workers == 0])
		}
	default: // it is no command
		return
	}
	name, _, _ := strings.Cut(event.String(), " ")
	j.mark(name + map[bool]string{true: " granted", false: " refused"}[a.Refusal == ""])
	j.answers = append(j.answers, a)
}

// noteScale has the pool have so many workers at rest, as by so many signals.
func (j *judge) noteScale(workers int) {
	if workers == j.base {
		j.mark("scaled to what it is")
		return
	}
	more := 1
	if workers < j.base {
		more = -1
	}
	j.mark(map[int]string{+1: "scaled up", -1: "scaled down"}[more])
	for j.base != workers && j.restsAt(more) {
	}
	j.resizes = append(j.resizes, j.size)
}

func (j *judge) judgeAnswer(a Answer) {
	known := a
	if known.Refusal != "" {
		known.Refusal = refusal
	}
	if len(j.answers) == 0 || j.answers[0] != known {
		broken("I36", "%v, and what is due is %v", a, j.answers)
	}
	j.answers = j.answers[1:]
}

// The companion.

func (j *judge) judgeCompanion(action Action) {
	k := &j.companion
	switch action.(type) {
	case StartCompanion:
		if k.runs || k.at.IsZero() || j.now.Before(k.at) || j.phase >= orphaned {
			broken("I37", "%v is not due", action)
		}
		if k.failures > 0 {
			j.mark("the companion started again")
		}
		k.runs, k.started = true, j.now
	case StopCompanion:
		if !k.runs || !j.policy.LeaveOrphans || j.phase != terminating || j.alive() > 0 {
			broken("I37", "%v is not due", action)
		}
		j.mark("the companion stopped")
		k.runs = false
	}
}

// The view.

// observeView judges what a machine says of itself after a step.
func (j *judge) observeView(m *Machine) error {
	v := m.View()
	candidate, serving := j.candidate(), j.serving()
	number := 0
	if serving != nil {
		number = serving.number
	}
	var next time.Time
	if candidate == nil && j.wanted() && j.now.Before(j.notBefore) {
		next = j.notBefore
	}
	for _, fact := range [...]struct {
		rule, name string
		got, want  any
	}{
		{"I18", "readiness", v.Readiness, j.readiness(candidate, serving)},
		{"I18", "serving", v.Serving, number},
		{"I19", "idle", v.Idle, j.calm},
		{"I20", "attempt", v.Attempt, j.number},
		{"I20", "given up", v.GivenUp, j.gaveUp},
		{"I38", "begun", v.Begun, j.begun},
		{"I38", "stopping", v.Stopping, j.phase != operating},
		{"I38", "ever ready", v.EverReady, j.everReady},
		{"I38", "ticket", v.Ticket, j.lastTicket},
		{"I38", "next attempt", v.NextAttempt, next},
		{"I38", "failures", v.Failures, j.failures},
		{"I38", "workers", v.Workers, j.size},
		{"I38", "rest", v.Rest, j.base},
		{"I38", "max", v.Max, j.policy.MaxWorkers},
		{"I38", "generations", len(v.Generations), len(j.cohorts)},
	} {
		if fact.got != fact.want {
			return violation{fact.rule, fmt.Sprintf("%s is %v and not %v", fact.name, fact.got, fact.want)}
		}
	}
	if err := j.observePublished(m); err != nil {
		return err
	}
	if outline := m.Outline(); len(outline.Generations) > 0 || !sameOutline(outline, v) {
		return violation{"I38", fmt.Sprintf("the outline is %v and not %v", outline, v)}
	}
	for i, g := range j.cohorts {
		got := v.Generations[i]
		n := 0
		for u := range g.live {
			if n == len(got.Workers) || !j.sees(u, got.Workers[n]) {
				return violation{"I38", fmt.Sprintf("generation %d has workers %v, and the next is %v", g.number, got.Workers, j.seen(u))}
			}
			n++
		}
		if got.Number != g.number || got.State != g.state || got.Began != g.attempted || got.Ready != g.served || len(got.Workers) != n {
			return violation{"I38", fmt.Sprintf("generation %d is %v", g.number, got)}
		}
	}
	return nil
}

func (j *judge) readiness(candidate, serving *cohort) Readiness {
	switch {
	case j.phase != operating:
		return Stopping
	case serving == nil:
		return NotReady
	case candidate != nil:
		return Reloading
	}
	return IsReady
}

// observePublished judges which workers a machine says are to be published.
func (j *judge) observePublished(m *Machine) error {
	type line struct{ generation, pid int }
	var want, got []line
	for _, g := range j.cohorts {
		for u := range g.live {
			if g.state == Failed || g.state < Trial && g.seat(u.slot).called {
				continue // it is not ready, nor has it been
			}
			if u.pid > 0 {
				want = append(want, line{g.number, u.pid})
			}
		}
	}
	for generation, pid := range m.Published {
		got = append(got, line{generation, pid})
	}
	if !slices.Equal(got, want) {
		return violation{"I20", fmt.Sprintf("what is to be published is %v and not %v", got, want)}
	}
	if len(want) > 1 {
		for range m.Published {
			break // who has enough may stop
		}
	}
	return nil
}

// sameOutline reports whether two views are the same but for the generations.
func sameOutline(v, other View) bool {
	v.Generations, other.Generations = nil, nil
	return reflect.DeepEqual(v, other)
}

// sees reports whether a view is right about a worker. Whether one has become
// ready that is asked to stop in the same step is nobody's business.
func (j *judge) sees(u *unit, got WorkerView) bool {
	want := j.seen(u)
	if got.Ready.IsZero() && (u.ready == u.stopped || u.ready == u.ended) {
		want.Ready = got.Ready
	}
	return got == want
}

// seen is what a view is to say of a worker.
func (j *judge) seen(u *unit) WorkerView {
	v := WorkerView{Slot: u.slot, PID: u.pid, Started: u.started, Ready: u.ready, Holds: j.holder(u.slot) == u}
	switch {
	case u.pid == 0:
		v.State = "forking"
	case u.killed:
		v.State = "killed"
	case !u.ended.IsZero():
		v.State = "ending"
	case !u.stopped.IsZero():
		v.State = "stopping"
	case !u.ready.IsZero():
		v.State = "ready"
	case u.executed:
		v.State = "running"
	default:
		v.State = "executing"
	}
	switch {
	case u.seen.IsZero():
	case u.idle.IsZero():
		v.Activity = Busy
	default:
		v.Activity = Idle
	}
	return v
}
