package initd

import (
	"os"
	"slices"
	"syscall"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/reaper"
)

// orphans is what initd remembers of orphans: whether they have been asked to end,
// and which signals each was sent.
type orphans struct {
	asked bool
	sent  map[delivery]bool
}

// delivery is a signal that a process was sent.
type delivery struct {
	pid    int
	signal syscall.Signal
}

// orphansLeft gives the machine an event if no child is left but log commands.
func (l *loop) orphansLeft(children bool) {
	if !children || !l.anyOther() {
		l.then(machine.Childless{})
	} else if l.orphans.asked {
		l.signalOrphans(syscall.SIGTERM) // those that the ended have left behind
	}
}

// endOrphans asks every child that is left to end. As PID 1 that includes a client that another container, or docker
// exec, has started here: it is to know before.
func (l *loop) endOrphans() {
	l.orphans.asked = true
	l.log.Info(eventlog.Orphans, "stopping what the workers have left")
	l.signalOrphans(syscall.SIGTERM)
	// Where none is left, no end of one will lead to this event.
	if !l.kernel.reap(l.reaped) || !l.anyOther() {
		l.then(machine.Childless{})
	}
}

// killOrphans kills every child there is, and what these leave behind, until none
// is left or the limit is over. Log commands are no orphans: they are to take what
// was written.
func (l *loop) killOrphans(limit time.Duration) {
	ended := func(e reaper.Exit) {
		if l.children.isLogCommand(e.PID) {
			l.reaped(e)
		}
	}
	l.reapUntil(limit, ended, func(children bool) bool {
		if !children || !l.anyOther() {
			return true
		}
		l.signalOrphans(syscall.SIGKILL)
		return false
	})
}

// anyOther reports whether there is any child but the log commands.
func (l *loop) anyOther() bool {
	if !l.children.anyLogCommand() {
		return true // and the caller knows that there are children
	}
	pids, err := l.kernel.children()
	return err != nil || slices.ContainsFunc(pids, func(pid int) bool { return !l.children.isLogCommand(pid) })
}

// signalOrphans sends a signal to every child there is but the log commands, once
// to each. Only PID 1 may mean every process by that, kill(2): elsewhere it would
// be the whole machine.
func (l *loop) signalOrphans(signal syscall.Signal) {
	pids := []int{-1}
	if os.Getpid() != 1 || l.children.anyLogCommand() {
		pids, _ = l.kernel.children()
	}
	if l.orphans.sent == nil {
		l.orphans.sent = map[delivery]bool{}
	}
	for _, pid := range pids {
		if d := (delivery{pid, signal}); !l.orphans.sent[d] && !l.children.isLogCommand(pid) {
			l.orphans.sent[d] = true
			l.kernel.kill(pid, signal)
		}
	}
}
