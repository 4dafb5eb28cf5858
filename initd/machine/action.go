package machine

import (
	"fmt"
	"time"
)

// Action is something to be done, in the order given. Its result, if it has one,
// comes back as the event that is named.
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

// Stop: ask a worker to end. Exited, if it obeys; or SignalRefused.
type Stop struct {
	Generation, Slot, PID int
	Signal                Signal
}

// Kill: end a worker, with its process group where Group is set. Exited, or
// SignalRefused.
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

// Transition: a generation has changed its state, is refused, has lost its last
// worker, or is gone. One that keeps its state has lost a worker, or a replacement
// has failed. There is nothing to be done about it but to log and publish it. Next
// is the time from now to the next attempt, where one follows.
type Transition struct {
	Generation int
	State      State
	Reason     string
	Next       time.Duration
	ReadyBy    ReadyBy // serving: what the least proved of its workers counted as ready by
}

// StartLogCommand: start the log command of this number, from 0. LogCommandEnded, once.
type StartLogCommand struct{ Number int }

// StartHTTP: start the HTTP process. HTTPEnded, once.
type StartHTTP struct{}

// StopHTTP: ask the HTTP process to end, for initd exits and leaves orphans alone.
type StopHTTP struct{}

// Reopen: open the log files anew.
type Reopen struct{}

// CloseListeners: close initd's own copies of the listeners. It comes once. From then
// on an address is open only as long as a worker has it open.
type CloseListeners struct{}

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
func (a Probe) String() string           { return fmt.Sprintf("probe generation=%d", a.Generation) }
func (a CancelProbe) String() string     { return fmt.Sprintf("cancel-probe generation=%d", a.Generation) }
func (a CloseListeners) String() string  { return "close-listeners" }
func (a EndOrphans) String() string      { return "end-orphans" }
func (a KillOrphans) String() string     { return "kill-orphans" }
func (a Reopen) String() string          { return "reopen" }
func (StartHTTP) String() string         { return "start-http" }
func (StopHTTP) String() string          { return "stop-http" }
func (a StartLogCommand) String() string { return fmt.Sprintf("start-log-command number=%d", a.Number) }
func (a Stop) String() string {
	return fmt.Sprintf("stop %s signal=%v", workerFields(a.Generation, a.Slot, a.PID), a.Signal)
}
func (a Forward) String() string {
	return fmt.Sprintf("forward %s signal=%v", workerFields(a.Generation, a.Slot, a.PID), a.Signal)
}
func (a Kill) String() string {
	s := "kill " + workerFields(a.Generation, a.Slot, a.PID)
	if a.Group {
		s += " group=true"
	}
	return s + fmt.Sprintf(" reason=%q", a.Reason)
}
func (a Transition) String() string {
	s := fmt.Sprintf("transition generation=%d state=%v", a.Generation, a.State)
	if a.Reason != "" {
		s += fmt.Sprintf(" reason=%q", a.Reason)
	}
	if a.ReadyBy != ByNothing {
		s += fmt.Sprintf(" ready_by=%v", a.ReadyBy)
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

// Readiness is the state of initd for its own supervisor; sd_notify(3).
type Readiness int

const (
	NotReady  Readiness = iota // no generation has been ready yet, or none is any more, or its workers are suspended
	IsReady                    // a generation serves
	Reloading                  // one serves, and a new one is being tried
	Stopping                   // initd stops
)

func (r Readiness) String() string {
	return [...]string{"not-ready", "ready", "reloading", "stopping"}[r]
}

// Resize: the pool has another size now, or keeps its size although it was asked
// to change. There is nothing to be done about it but to log it.
type Resize struct {
	Workers int
	Reason  string
}

// Recycle: a worker has reached a limit, and its replacement is started. There is
// nothing to be done about it but to log it.
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
	return fmt.Sprintf("recycle %s reason=%q", workerFields(a.Generation, a.Slot, a.PID), a.Reason)
}
func (a Steer) String() string { return fmt.Sprintf("steer slots=%q", list(a.Slots)) }
