package machine

import "fmt"

// Event is something that happened. Its String is a line of the log and of
// the transcripts: a name and key=value pairs. An event about a process or a
// generation that is unknown, or known no longer, changes nothing.
type Event interface {
	fmt.Stringer
	apply(*Machine)
}

// Begin: initd is set up. It comes once, first.
type Begin struct{}

// Tick: the deadline may have passed.
type Tick struct{}

// Signaled: initd was sent a signal.
type Signaled struct{ Signal Signal }

// Prepared: the environment of a generation has been read, and what
// is in it about timing.
type Prepared struct {
	Generation int
	Timing     Timing
}

// Refused: a generation cannot be prepared.
type Refused struct {
	Generation int
	Reason     string
}

// Forked: a worker has become a process.
type Forked struct{ Generation, Slot, PID int }

// ForkFailed: no process could be made for a worker. Status is as that of
// NotExecuted: 126 where no retry will help.
type ForkFailed struct {
	Generation, Slot int
	Status           int
	Reason           string
}

// Executed: a process runs the program.
type Executed struct{ PID int }

// NotExecuted: a process has ended and been reaped, and has never run the
// program. Status is initd's own exit status for that: 125, 126 or 127.
type NotExecuted struct {
	PID    int
	Status int
	Reason string
}

// Notified: a worker has sent READY=1; sd_notify(3).
type Notified struct{ PID int }

// Pinged: a worker has sent WATCHDOG=1.
type Pinged struct{ PID int }

// Hung: a worker has sent WATCHDOG=trigger.
type Hung struct{ PID int }

// Probed: a probe of a generation has ended.
type Probed struct {
	Generation int
	Status     Status
}

// Exited: a process has ended and been reaped.
type Exited struct {
	PID    int
	Status Status
}

// LogCommandEnded: a log command has ended and been reaped, or could not
// be started.
type LogCommandEnded struct{ Number int }

// HTTPEnded: the HTTP process has ended and been reaped, or could not be
// started.
type HTTPEnded struct{}

// Childless: initd has no child left but log commands.
type Childless struct{}

func (Begin) String() string      { return "begin" }
func (Tick) String() string       { return "tick" }
func (e Signaled) String() string { return fmt.Sprintf("signaled signal=%v", e.Signal) }
func (e Forked) String() string {
	return fmt.Sprintf("forked %s", workerFields(e.Generation, e.Slot, e.PID))
}
func (e Executed) String() string  { return fmt.Sprintf("executed pid=%d", e.PID) }
func (e Notified) String() string  { return fmt.Sprintf("notified pid=%d", e.PID) }
func (e Pinged) String() string    { return fmt.Sprintf("pinged pid=%d", e.PID) }
func (e Hung) String() string      { return fmt.Sprintf("hung pid=%d", e.PID) }
func (e Exited) String() string    { return fmt.Sprintf("exited pid=%d %v", e.PID, e.Status) }
func (e Childless) String() string { return "childless" }
func (e LogCommandEnded) String() string {
	return fmt.Sprintf("log-command-ended number=%d", e.Number)
}
func (e HTTPEnded) String() string { return "http-ended" }
func (e Probed) String() string {
	return fmt.Sprintf("probed generation=%d %v", e.Generation, e.Status)
}
func (e Refused) String() string {
	return fmt.Sprintf("refused generation=%d reason=%q", e.Generation, e.Reason)
}
func (e ForkFailed) String() string {
	return fmt.Sprintf("fork-failed generation=%d slot=%d exit_status=%d reason=%q", e.Generation, e.Slot, e.Status, e.Reason)
}
func (e NotExecuted) String() string {
	return fmt.Sprintf("not-executed pid=%d exit_status=%d reason=%q", e.PID, e.Status, e.Reason)
}
func (e Prepared) String() string {
	s := fmt.Sprintf("prepared generation=%d", e.Generation)
	if e.Timing.KillOldDelay != 0 {
		s += fmt.Sprintf(" kill_old_delay=%v", e.Timing.KillOldDelay)
	}
	if e.Timing.AutoRestart {
		s += fmt.Sprintf(" auto_restart=%v", e.Timing.AutoRestartInterval)
	}
	return s
}

// workerFields are how a worker is named in the text of events and actions.
func workerFields(generation, slot, pid int) string {
	return fmt.Sprintf("generation=%d slot=%d pid=%d", generation, slot, pid)
}
