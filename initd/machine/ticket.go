package machine

import (
	"fmt"
	"time"
)

// Trigger is what has requested a swap.
type Trigger int

const (
	OnStart   Trigger = iota // initd is set up
	OnSignal                 // HUP
	OnControl                // SwapAsked
	OnWatch                  // what is watched has changed
	OnClock                  // auto-restart
	OnLoss                   // what served has no worker left
)

func (t Trigger) String() string {
	return [...]string{"start", "signal", "control", "watch", "clock", "loss"}[t]
}

// request is a request for a swap. Its ticket is a number that only grows; 0: there
// is no request.
type request struct {
	ticket  int
	trigger Trigger
	failed  bool // an attempt for it has, and it waits for the next
}

// Result is what became of a ticket, or of an attempt for it.
type Result int

const (
	OutcomeBegun      Result = iota // an attempt
	OutcomeFailed                   // an attempt, and there will be another after Next
	OutcomeGivenUp                  // an attempt, and it was the last
	OutcomeRefused                  // an attempt, which is not made again
	OutcomeReady                    // its generation serves
	OutcomeSuperseded               // a newer ticket has taken its place
	OutcomeStopped                  // initd stops
	OutcomeLost                     // its generation served, and was lost too soon: it has failed after all
)

func (r Result) String() string {
	return [...]string{"begun", "failed", "given-up", "refused", "ready", "superseded", "stopped", "lost"}[r]
}

// Final reports whether it is the last outcome of the ticket.
func (r Result) Final() bool { return r != OutcomeBegun && r != OutcomeFailed }

// Outcome: publish what became of a ticket to those who wait for it. An attempt is
// begun, and then has one outcome more with its Generation; a ticket has one that
// is final, with Generation 0 where no attempt for it was under way. Ready is taken
// back by lost, if it is.
type Outcome struct {
	Ticket     int
	Result     Result
	Generation int
	Reason     string
	By         int           // superseded: the ticket that has taken its place
	Next       time.Duration // failed: time from now to the next attempt
}

func (a Outcome) String() string {
	s := fmt.Sprintf("outcome ticket=%d result=%v", a.Ticket, a.Result)
	if a.Generation != 0 {
		s += fmt.Sprintf(" generation=%d", a.Generation)
	}
	if a.Reason != "" {
		s += fmt.Sprintf(" reason=%q", a.Reason)
	}
	if a.By != 0 {
		s += fmt.Sprintf(" by=%d", a.By)
	}
	if a.Next != 0 {
		s += fmt.Sprintf(" next=%v", a.Next)
	}
	return s
}

// request makes a request for a swap and returns its ticket: that of the request
// which waits already, or a new one. A new one takes the place of a request whose
// attempt has failed and that waits for the next. Once initd stops nothing is
// requested, and the ticket is 0.
func (m *Machine) request(t Trigger) int {
	if m.phase != operating {
		return 0
	}
	if m.waiting.ticket != 0 && !m.waiting.failed {
		return m.waiting.ticket
	}
	retry := m.waiting
	m.ticket++
	m.waiting = request{ticket: m.ticket, trigger: t}
	m.changed = true
	m.supersede(&retry)
	return m.ticket
}

// retry has the request of a failed attempt wait for the next attempt, unless a
// newer one waits.
func (m *Machine) retry() {
	if m.waiting.ticket != 0 {
		m.supersede(&m.current)
		return
	}
	m.waiting, m.current = m.current, request{}
	m.waiting.failed = true
}

// supersede ends a request that a newer one takes the place of.
func (m *Machine) supersede(r *request) {
	m.conclude(r, Outcome{Result: OutcomeSuperseded, By: m.waiting.ticket})
}

// conclude publishes the outcome of a request, if there is one, and forgets the
// request if the outcome is final.
func (m *Machine) conclude(r *request, o Outcome) {
	if r.ticket == 0 {
		return
	}
	o.Ticket = r.ticket
	m.do(o)
	if o.Result.Final() {
		*r = request{}
	}
}

// stopTickets ends the requests that are open when initd begins to stop.
func (m *Machine) stopTickets(reason string) {
	m.conclude(&m.current, Outcome{Result: OutcomeStopped, Generation: m.number, Reason: reason})
	m.conclude(&m.waiting, Outcome{Result: OutcomeStopped, Reason: reason})
}
