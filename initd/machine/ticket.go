package machine

import (
	"fmt"
	"time"
)

// Trigger is what has asked for a swap.
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

// wish is a request for a swap. Its ticket is a number that only grows; 0:
// there is none.
type wish struct {
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
)

func (r Result) String() string {
	return [...]string{"begun", "failed", "given-up", "refused", "ready", "superseded", "stopped"}[r]
}

// Final reports whether nothing more is said of the ticket.
func (r Result) Final() bool { return r != OutcomeBegun && r != OutcomeFailed }

// Outcome: tell who waits for a ticket what became of it. An attempt is begun,
// and then has one outcome more with its Generation; a ticket has one that is
// final, with Generation 0 where no attempt for it was under way.
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

// request asks for a swap and returns its ticket: that of the request which
// waits already, or a new one, which takes the place of one that has failed and
// waits to be tried again. Once initd stops it does nothing and returns 0.
func (m *Machine) request(t Trigger) int {
	if m.phase != operating {
		return 0
	}
	if m.wish.ticket != 0 && !m.wish.failed {
		return m.wish.ticket
	}
	retry := m.wish
	m.ticket++
	m.wish = wish{ticket: m.ticket, trigger: t}
	m.changed = true
	m.supersede(&retry)
	return m.ticket
}

// retry has the ticket of a failed attempt wait for the next, unless a newer
// one does.
func (m *Machine) retry() {
	if m.wish.ticket != 0 {
		m.supersede(&m.trying)
		return
	}
	m.wish, m.trying = m.trying, wish{}
	m.wish.failed = true
}

func (m *Machine) supersede(w *wish) {
	m.tell(w, Outcome{Result: OutcomeSuperseded, By: m.wish.ticket})
}

// tell says what became of a ticket, if there is one, and forgets it if that
// is final.
func (m *Machine) tell(w *wish, o Outcome) {
	if w.ticket == 0 {
		return
	}
	o.Ticket = w.ticket
	m.do(o)
	if o.Result.Final() {
		*w = wish{}
	}
}

// stopTickets ends those that are open when initd begins to stop.
func (m *Machine) stopTickets(reason string) {
	m.tell(&m.trying, Outcome{Result: OutcomeStopped, Generation: m.number, Reason: reason})
	m.tell(&m.wish, Outcome{Result: OutcomeStopped, Reason: reason})
}
