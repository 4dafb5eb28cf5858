package initd

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/output"
	"server-starter/reaper"
)

// child is a process that initd has started.
type child struct {
	role
	pid     int
	started time.Time
	tail    *output.Tail // what it writes to stderr; nil: that does not pass through initd

	outcome outcome
	known   chan struct{} // closed when it is known whether the program was executed
	failure error         // why it was not; to be read once known is closed
	handled bool          // the loop has recorded it
	refused bool          // the kernel has refused a signal to it, and that was logged
}

// role is what a child was started for: it knows its command, and what each
// thing that may become of the child means.
type role interface {
	// command is what is to be started.
	command(*loop, *child) (*launch.Command, error)
	// begun: the child is there as a process.
	begun(*loop, *child)
	// unstarted: there is no child, and why.
	unstarted(*loop, error)
	// executed: the child has become the program.
	executed(*loop, *child)
	// ended: the child has ended and been reaped.
	ended(*loop, *child, machine.Status)
}

// children are those that initd has started and not yet reaped, by pid, less
// those that nobody waits for any more.
type children map[int]*child

// workers yields the workers by pid.
func (c children) workers(yield func(int, *worker) bool) {
	for pid, child := range c {
		if w, ok := child.role.(*worker); ok && !yield(pid, w) {
			return
		}
	}
}

// worker returns the worker of that pid, nil where it is none.
func (c children) worker(pid int) *worker {
	if child := c[pid]; child != nil {
		w, _ := child.role.(*worker)
		return w
	}
	return nil
}

// isLogCommand reports whether a pid is that of a log command.
func (c children) isLogCommand(pid int) bool {
	child := c[pid]
	if child == nil {
		return false
	}
	_, is := child.role.(*logCommand)
	return is
}

// anyLogCommand reports whether a log command runs.
func (c children) anyLogCommand() bool {
	for pid := range c {
		if c.isLogCommand(pid) {
			return true
		}
	}
	return false
}

// start starts a process for a role.
func (l *loop) start(r role) {
	c := &child{role: r, known: make(chan struct{})}
	command, err := r.command(l, c)
	if err == nil {
		c.pid, c.outcome, err = l.kernel.start(command)
	}
	if c.tail != nil {
		c.tail.CloseWrite() // that end is the process's alone
	}
	if err != nil {
		r.unstarted(l, err)
		return
	}
	c.started = l.now()
	l.children[c.pid] = c
	r.begun(l, c)
	if c.outcome.wait == nil {
		close(c.known)
		l.awaitExec(c)
		return
	}
	l.inbox.start(func() {
		c.failure = c.outcome.wait()
		l.serveBinds(c)
		close(c.known)
		l.inbox.post(launched{c})
	})
}

// awaitExec records whether a child has become its program. It does not block: the loop
// calls it when that is known, or when the child has been reaped and the outcome was
// told so.
func (l *loop) awaitExec(c *child) {
	if c.handled {
		return
	}
	<-c.known
	if c.handled = true; c.failure != nil {
		c.failure = l.programs.explain(c.failure)
	} else {
		c.executed(l, c)
	}
}

// reaped is called when a child has ended, was suspended or was continued. The end of an
// orphan that belongs to no worker changes nothing.
func (l *loop) reaped(e reaper.Exit) {
	c := l.children[e.PID]
	if !hasEnded(e) {
		l.paused(c, e.Status)
		return
	}
	delete(l.orphans.asked, e.PID) // the pid may be given again
	switch {
	case c == nil:
		l.history.counters.Orphans++
		l.log.Debug(eventlog.Orphan, "orphan reaped", append([]any{"pid", e.PID}, statusAttr(statusOf(e))...)...)
		l.orphanEnded(e)
	default:
		if c.outcome.ended != nil {
			c.outcome.ended()
		}
		l.awaitExec(c)
		delete(l.children, e.PID)
		c.ended(l, c, statusOf(e))
	}
}

// hasEnded reports whether a child has ended, as opposed to suspended or continued.
func hasEnded(e reaper.Exit) bool { return e.Status.Exited() || e.Status.Signaled() }

// paused is called when a child was suspended or continued. Nobody is meant to suspend
// the HTTP process, which then answers no check: it is started again.
func (l *loop) paused(c *child, status syscall.WaitStatus) {
	if c == nil {
		return
	}
	switch r := c.role.(type) {
	case *worker:
		r.changed(l, c, status)
	case *httpProcess:
		if status.Stopped() {
			l.killHTTP(c, "it was suspended by a signal")
		}
	}
}

// cancel kills children that nobody waits for any more, with their process groups, which
// they may have left, and forgets them.
func (l *loop) cancel(is func(role) bool) {
	for pid, c := range l.children {
		if is(c.role) {
			l.signal(-pid, syscall.SIGKILL)
			delete(l.children, pid)
		}
	}
}

// signal sends a signal to a child or an orphan of a worker that has not been reaped, and
// to its process group if pid is negative. The error is that of the process, which may
// have left the group. Only the first error of a child is logged at level error, as there
// may be many.
func (l *loop) signal(pid int, s syscall.Signal) error {
	group := pid < 0
	pid = max(pid, -pid)
	c := l.children[pid]
	if c == nil && l.orphans.worker[pid] == nil {
		return nil
	}
	if group {
		l.kernel.kill(-pid, s)
	}
	err := l.kernel.kill(pid, s)
	if err == nil {
		return nil
	}
	level := slog.LevelError
	if c != nil {
		if c.refused {
			level = slog.LevelDebug
		}
		c.refused = true
	}
	name := machine.Signal(s).String()
	l.log.Log(level, eventlog.KillFailed, fmt.Sprintf("cannot send %s to %d: %v", name, pid, explainRefusal(err)), "pid", pid, "signal", name)
	return err
}

// lines are the last that a child has written to stderr, as far as they are kept.
func (c *child) lines() []string {
	if c.tail == nil {
		return nil
	}
	return c.tail.Lines()
}

// logEnd logs how a child ended, with what is known of every child.
func (l *loop) logEnd(level slog.Level, kind eventlog.Kind, text string, c *child, status machine.Status, attrs ...any) {
	attrs = append(attrs, "pid", c.pid, "duration", l.now().Sub(c.started))
	l.log.Log(level, kind, text, append(attrs, statusAttr(status)...)...)
}

// exitStatus is initd's own for a start that failed.
func exitStatus(err error) int {
	if failure := (*launch.Failure)(nil); errors.As(err, &failure) {
		return failure.ExitStatus()
	}
	return exitSetup
}

// statusOf is an exit in the terms of the machine.
func statusOf(e reaper.Exit) machine.Status {
	if e.Status.Signaled() {
		return machine.Status{Signal: machine.Signal(e.Status.Signal())}
	}
	return machine.Status{Code: e.Status.ExitStatus()}
}

// statusAttr is a status as an attribute of a log line.
func statusAttr(s machine.Status) []any {
	if s.Signal != 0 {
		return []any{"signal", s.Signal.String()}
	}
	return []any{"exit_status", s.Code}
}
