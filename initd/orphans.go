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

// orphans is what initd remembers of orphans: which have been asked to end, by pid.
// Those are also processes that are no children yet. A nil map: it is not time for
// that.
type orphans struct{ asked map[int]bool }

// orphansLeft gives the machine an event if no child is left but log commands.
func (l *loop) orphansLeft(children bool) {
	if !children || !l.anyOther() {
		l.then(machine.Childless{})
	} else if l.orphans.asked != nil {
		pids, _ := l.kernel.children() // those that the ended have left behind
		l.askOrphans(pids)
	}
}

// endOrphans asks every process that is left to end.
func (l *loop) endOrphans() {
	l.orphans.asked = map[int]bool{}
	pids, err := l.others()
	if err != nil {
		l.log.Warn(eventlog.KillFailed, "cannot ask all orphans to end: "+err.Error())
	}
	l.askOrphans(pids)
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
		pids := []int{-1} // in one step, so that none can start another meanwhile
		if !l.meansEverything() {
			pids, _ = l.kernel.children()
		}
		for _, pid := range pids {
			if !l.children.isLogCommand(pid) {
				l.kernel.kill(pid, syscall.SIGKILL)
			}
		}
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

// askOrphans asks processes to end, each once, and no log command. One that is
// suspended could not obey unless it went on.
func (l *loop) askOrphans(pids []int) {
	for _, pid := range pids {
		if !l.orphans.asked[pid] && !l.children.isLogCommand(pid) && l.kernel.kill(pid, syscall.SIGTERM) == nil {
			l.orphans.asked[pid] = true
			if s, err := l.kernel.stat(pid); pid < 0 || err == nil && s.State == 'T' { // proc_pid_stat(5)
				l.kernel.kill(pid, syscall.SIGCONT)
			}
		}
	}
}

// others are the pids of what is left, for kill(2): the children and, as PID 1, all
// other processes of its namespace, for they may wait for each other.
func (l *loop) others() ([]int, error) {
	pids, err := l.kernel.children()
	switch {
	case !l.meansEverything():
		return pids, err
	case err != nil:
		return []int{-1}, nil // there is no list of this namespace
	}
	all, err := l.kernel.processes() // hidepid may hide some, but no child; proc(5)
	all = slices.DeleteFunc(all, func(pid int) bool { return pid == os.Getpid() })
	return append(pids, all...), err
}

// meansEverything reports whether initd may signal every process there is. Only
// PID 1 may, kill(2): elsewhere it would be the whole machine. Nor may it where log
// commands run, which may have processes of their own.
func (l *loop) meansEverything() bool { return os.Getpid() == 1 && !l.children.anyLogCommand() }
