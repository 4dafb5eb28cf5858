package initd

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/reaper"
)

// orphans is what initd remembers of orphans: which belong to a worker, and which
// processes have been asked to end, including those that are not children yet.
type orphans struct {
	worker map[int]*worker // that has ended, by the pid of what it has left
	unseen bool            // what orphans that have ended have left is to be looked for
	asked  map[int]bool    // nil until the last worker has ended
}

// some is the pid of an orphan of a worker, 0 where none is left.
func (o *orphans) some(w *worker) int {
	for pid, other := range o.worker {
		if other == w {
			return pid
		}
	}
	return 0
}

// orphansLeft gives the machine an event if no child is left except log commands, and
// workers that cannot be ended, for which PID 1 does not wait, once orphans were asked to
// end: before that it does not want to know.
func (l *loop) orphansLeft(children bool) {
	if l.orphans.asked == nil {
		return
	}
	if !children || !l.anyOther() {
		l.then(machine.Childless{})
	} else {
		pids, _ := l.kernel.children() // those that the ended have left behind
		l.askOrphans(pids)
	}
}

// endOrphans asks every process that is left to end. As PID 1 that includes a client that
// docker exec or another container has started here: it is told before.
func (l *loop) endOrphans() {
	l.orphans.asked = map[int]bool{}
	l.log.Info(eventlog.Orphans, "stopping what the workers have left")
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
	over := l.reapUntil(limit, ended, func(children bool) bool {
		if !children || !l.anyOther() {
			return true
		}
		pids := []int{-1} // in one step, so that no process can fork in between
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
	if !over {
		l.log.Warn(eventlog.Stuck, fmt.Sprintf("orphans did not end within %v after they were killed", limit))
	}
}

// anyOther reports whether there is any child that initd waits for; the caller knows
// that there are children.
func (l *loop) anyOther() bool {
	exempt := func(pid int) bool {
		// A worker that is left when orphans are asked to end is one that PID 1 cannot
		// end and does not wait for.
		return l.children.isLogCommand(pid) ||
			l.orphans.asked != nil && (l.children.worker(pid) != nil || l.orphans.worker[pid] != nil)
	}
	known := l.orphans.asked != nil && len(l.orphans.worker) > 0
	for pid := range l.children {
		known = known || exempt(pid)
	}
	if !known {
		return true
	}
	pids, err := l.kernel.children()
	return err != nil || slices.ContainsFunc(pids, func(pid int) bool { return !exempt(pid) })
}

// askOrphans asks each process to end, once, except the log commands. A suspended one is
// continued, because it could not end otherwise; systemd.kill(5).
func (l *loop) askOrphans(pids []int) {
	for _, pid := range pids {
		if !l.orphans.asked[pid] && !l.children.isLogCommand(pid) && l.kernel.kill(pid, syscall.SIGTERM) == nil {
			l.orphans.asked[pid] = true
			l.continueOrphan(pid)
		}
	}
}

// continueOrphan continues a process that was asked to end and is suspended, of which
// initd is not told; proc_pid_stat(5).
func (l *loop) continueOrphan(pid int) {
	if s, err := l.kernel.stat(pid); pid < 0 || err == nil && s.State == 'T' {
		l.kernel.kill(pid, syscall.SIGCONT)
	}
}

// others returns the pids of the processes that are left, as kill(2) takes them: the
// children and, as PID 1, all other processes of the namespace, because a child may wait
// for its own children.
func (l *loop) others() ([]int, error) {
	pids, err := l.kernel.children()
	switch {
	case !l.meansEverything():
		return pids, err
	case err != nil:
		return []int{-1}, nil // /proc does not show this namespace
	}
	all, err := l.kernel.processes() // with hidepid some are missing, but no children; proc(5)
	all = slices.DeleteFunc(all, func(pid int) bool { return pid == os.Getpid() })
	return append(pids, all...), err
}

// meansEverything reports whether initd may signal all processes by -1, kill(2). Only
// PID 1 may: otherwise they would be those of the whole machine. It may not while a log
// command runs, which may have processes of its own.
func (l *loop) meansEverything() bool { return os.Getpid() == 1 && !l.children.anyLogCommand() }
