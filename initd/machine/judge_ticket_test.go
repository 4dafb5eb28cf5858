package machine

import (
	"slices"
	"time"
)

// seenRequests is what the judge knows of tickets, of commands and of the HTTP process.
type seenRequests struct {
	lastTicket       int
	waiting, current seenTicket // the one that an attempt is to be made for, and is made for
	outcomes         []Outcome  // that are due in this step
	answers          []Answer   // likewise
	clockAtHalt      bool       // the clock may have asked for a swap in the step in which initd decides to end
	http             seenService
	everReady        bool
}

// seenTicket is a request as it is seen from outside; the number 0: there is none.
type seenTicket struct {
	number  int
	trigger Trigger
	failed  bool // an attempt for it has
}

func (j *judge) requested() bool { return j.waiting.number > 0 }

// request takes note of a request for a swap.
func (j *judge) request(t Trigger) {
	j.mark("a request by " + t.String())
	if j.current.number > 0 {
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
	j.waiting = seenTicket{number: j.lastTicket, trigger: t}
	if old.number > 0 {
		j.mark("a retry superseded by " + t.String())
		j.expectOutcome(old, Outcome{Result: OutcomeSuperseded, By: j.lastTicket})
	}
}

// noteClock takes note of the requests that the clock makes.
func (j *judge) noteClock() {
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

// expectOutcome has an outcome of a ticket be due in this step.
func (j *judge) expectOutcome(t seenTicket, o Outcome) {
	if t.number > 0 {
		o.Ticket = t.number
		j.outcomes = append(j.outcomes, o)
	}
}

// attemptEnds takes note of what became of an attempt.
func (j *judge) attemptEnds(r Result, next time.Duration) {
	j.expectOutcome(j.current, Outcome{Result: r, Generation: j.number, Next: next})
	switch {
	case r != OutcomeFailed:
	case j.waiting.number > 0:
		j.mark("a failed attempt superseded")
		j.expectOutcome(j.current, Outcome{Result: OutcomeSuperseded, By: j.waiting.number})
	default:
		j.waiting = j.current
		j.waiting.failed = true
	}
	j.current = seenTicket{}
}

// ticketsStop takes note that initd stops.
func (j *judge) ticketsStop() {
	if j.current.number > 0 {
		j.mark("a stop drops an attempt")
	}
	if j.waiting.number > 0 {
		j.mark(map[bool]string{true: "a stop drops a retry", false: "a stop drops a request"}[j.waiting.failed])
	}
	j.expectOutcome(j.current, Outcome{Result: OutcomeStopped, Generation: j.number})
	j.expectOutcome(j.waiting, Outcome{Result: OutcomeStopped})
	j.current, j.waiting = seenTicket{}, seenTicket{}
}

// judgeAttempt judges whose attempt is made.
func (j *judge) judgeAttempt(a Prepare) {
	if a.Ticket != j.waiting.number || a.Trigger != j.waiting.trigger {
		broken("I34", "%v, and what waits is ticket %d by %v", a, j.waiting.number, j.waiting.trigger)
	}
	j.current, j.waiting = j.waiting, seenTicket{}
	j.mark("an attempt by " + a.Trigger.String())
	if j.current.failed {
		j.mark("a ticket tried again")
	}
	j.expectOutcome(j.current, Outcome{Result: OutcomeBegun, Generation: a.Generation})
}

func (j *judge) judgeOutcome(a Outcome) {
	known := a
	known.Reason = ""
	i := slices.Index(j.outcomes, known)
	if i < 0 {
		j.noteClock() // what the clock has asked for may supersede it
		i = slices.Index(j.outcomes, known)
	}
	if i < 0 && j.clockAtHalt && known == (Outcome{Ticket: j.lastTicket + 1, Result: OutcomeStopped}) {
		j.mark("a request by the clock and the end of initd together")
		j.lastTicket, j.clockAtHalt = j.lastTicket+1, false
		j.outcomes, i = append(j.outcomes, known), len(j.outcomes)
	}
	if i < 0 {
		broken("I35", "%v is not due", a)
	}
	if len(j.answers) > 0 && a.Result == OutcomeBegun {
		broken("I36", "%v before %v", a, j.answers[0])
	}
	failure := a.Result == OutcomeFailed || a.Result == OutcomeGivenUp || a.Result == OutcomeRefused || a.Result == OutcomeLost
	if a.Reason == "" && failure || a.Reason != "" && !failure && a.Result != OutcomeStopped {
		broken("I35", "%v: the reason is %q", a, a.Reason)
	}
	j.outcomes = slices.Delete(j.outcomes, i, i+1)
	j.mark("outcome " + a.Result.String())
}
