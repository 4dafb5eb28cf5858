package machine

import (
	"fmt"
	"time"
)

// Action is something to be done, in the order given. What comes of those that
// have a result comes back as the event named.
type Action interface{ fmt.Stringer }

// Prepare: read the environment for a generation, which is an attempt for a
// ticket. Prepared or Refused. Where the numbers of attempts are published, this
// one has to be published before anything is read: whoever waits for an attempt
// that is later than a change of theirs must not take this one for it.
type Prepare struct {
	Generation, Ticket int
	Trigger            Trigger // that the ticket was given for
}

// Start: start a worker. Forked, then Executed or NotExecuted; or ForkFailed.
type Start struct{ Generation, Slot int }

// Stop: ask a worker to end. Exited, if it obeys.
type Stop struct {
	Generation, Slot, PID int
	Signal                Signal
}

// Kill: end a worker, with its process group where Group is set. Exited.
type Kill struct {
	Generation, Slot, PID int
	Group                 bool
	Reason                string
}

// Forward: pass a signal on to a worker.
type Forward struct {
	Generation, Slot, PID int
	Signal                Signal
}

// Probe: run the probe of a generation. Probed.
type Probe struct{ Generation int }

// CancelProbe: end the running probe of a generation. No Probed is to follow,
// for it would be taken for that of the next probe.
type CancelProbe struct{ Generation int }

// Announce: a generation has come to a state, or has failed, been refused or
// is gone. Next is the time from now to the next attempt, where one follows.
type Announce struct {
	Generation int
	State      State
	Reason     string
	Next       time.Duration
}

// StartLogger: start the logger of this number, from 0. LoggerEnded, once.
type StartLogger struct{ Logger int }

// StartCompanion: start the companion. CompanionEnded, once.
type StartCompanion struct{}

// StopCompanion: end the companion, for the exit comes and no orphan is ended.
type StopCompanion struct{}

// Reopen: open the logs anew.
type Reopen struct{}

// EndOrphans: ask every child that is left to end. Childless, when none is.
type EndOrphans struct{}

// KillOrphans: kill every child that is left.
type KillOrphans struct{}

// Exit: end initd with a status. It comes once, last.
type Exit struct {
	Status int
	Reason string
}

func (a Prepare) String() string {
	return fmt.Sprintf("prepare generation=%d ticket=%d trigger=%v", a.Generation, a.Ticket, a.Trigger)
}
func (a Start) String() string {
	return fmt.Sprintf("start generation=%d slot=%d", a.Generation, a.Slot)
}
func (a Probe) String() string        { return fmt.Sprintf("probe generation=%d", a.Generation) }
func (a CancelProbe) String() string  { return fmt.Sprintf("cancel-probe generation=%d", a.Generation) }
func (a EndOrphans) String() string   { return "end-orphans" }
func (a KillOrphans) String() string  { return "kill-orphans" }
func (a Reopen) String() string       { return "reopen" }
func (StartCompanion) String() string { return "start-companion" }
func (StopCompanion) String() string  { return "stop-companion" }
func (a StartLogger) String() string  { return fmt.Sprintf("start-logger logger=%d", a.Logger) }
func (a Stop) String() string {
	return fmt.Sprintf("stop %s signal=%v", worker3(a.Generation, a.Slot, a.PID), a.Signal)
}
func (a Forward) String() string {
	return fmt.Sprintf("forward %s signal=%v", worker3(a.Generation, a.Slot, a.PID), a.Signal)
}
func (a Kill) String() string {
	s := "kill " + worker3(a.Generation, a.Slot, a.PID)
	if a.Group {
		s += " group=true"
	}
	return s + fmt.Sprintf(" reason=%q", a.Reason)
}
func (a Announce) String() string {
	s := fmt.Sprintf("announce generation=%d state=%v", a.Generation, a.State)
	if a.Reason != "" {
		s += fmt.Sprintf(" reason=%q", a.Reason)
	}
	if a.Next != 0 {
		s += fmt.Sprintf(" next=%v", a.Next)
	}
	return s
}
func (a Exit) String() string {
	s := fmt.Sprintf("exit exit_status=%d", a.Status)
	if a.Reason != "" {
		s += fmt.Sprintf(" reason=%q", a.Reason)
	}
	return s
}

// Readiness is the state that initd's own supervisor is told; sd_notify(3).
type Readiness int

const (
	NotReady  Readiness = iota // no generation has been ready yet, or none is any more
	IsReady                    // a generation serves
	Reloading                  // one serves, and a new one is being tried
	Stopping                   // initd stops
)

func (r Readiness) String() string {
	return [...]string{"not-ready", "ready", "reloading", "stopping"}[r]
}

// Resize: the pool has another size now, or keeps its own although it was
// asked to change. There is nothing to be done about it but to say so.
type Resize struct {
	Workers int
	Reason  string
}

// Recycle: a worker is worn out, and its successor is started. There is nothing
// to be done about it but to say so.
type Recycle struct {
	Generation, Slot, PID int
	Reason                string
}

// Steer: new connections are to go to the sockets of these slots alone, which
// are in ascending order.
type Steer struct{ Slots []int }

func (a Resize) String() string {
	return fmt.Sprintf("resize workers=%d reason=%q", a.Workers, a.Reason)
}
func (a Recycle) String() string {
	return fmt.Sprintf("recycle %s reason=%q", worker3(a.Generation, a.Slot, a.PID), a.Reason)
}
func (a Steer) String() string { return fmt.Sprintf("steer slots=%q", list(a.Slots)) }
