package initd

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"strconv"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/initd/proc"
)

// notified is for a message that came in on a notification socket; sd_notify(3).
func (l *loop) notified(n notification) {
	pid := l.author(n)
	if pid == 0 {
		l.log.Debug(eventlog.NotifyDropped, "ignoring a notification from a process that does not belong to a worker, or is another user's", "pid", n.PID)
		return
	}
	w, orphan := l.children.worker(pid), l.orphans.worker[pid]
	if n.HasStatus && w != nil {
		w.status = n.Status
		l.logCaused(w, pid, slog.LevelInfo, eventlog.Status, "status: "+n.Status)
	}
	if n.Ready {
		l.then(machine.Notified{PID: pid})
	}
	if n.Watchdog {
		l.then(machine.Pinged{PID: pid})
	}
	if n.WatchdogTrigger {
		l.then(machine.Hung{PID: pid})
	}
	if n.Extend > 0 {
		l.logCaused(cmp.Or(w, orphan), pid, slog.LevelInfo, eventlog.Extend, "more time requested: "+n.Extend.String())
		l.then(machine.Extended{PID: pid, By: n.Extend})
	}
	if n.MainPID != 0 && w != nil && n.PID == pid {
		l.named(w, n.MainPID)
	}
}

// named takes note of the process that a worker hands over to by MAINPID=, which has to
// descend from it; sd_notify(3). It takes the worker's place when that ends by itself.
func (l *loop) named(w *worker, pid int) {
	s, err := l.kernel.stat(pid)
	line := proc.Ancestors(pid, w.pid, func(pid int) int {
		s, _ := l.kernel.stat(pid)
		return s.Parent
	})
	if err != nil || line[len(line)-1] != w.pid {
		l.logCaused(w, w.pid, slog.LevelWarn, eventlog.NotifyDropped, "ignoring MAINPID="+strconv.Itoa(pid)+": the process does not descend from the worker")
		return
	}
	if w.main, w.mainStart = pid, s.Start; pid == w.pid {
		w.main = 0
	}
}

// handOver has the process that a worker has named take its place, and reports whether
// there is one: a child of initd by now, unless somebody between them lives.
func (l *loop) handOver(w *worker, c *child) bool {
	if w.asked || w.main == 0 {
		return false
	}
	pids, _ := l.kernel.children()
	s, err := l.kernel.stat(w.main)
	if err != nil || s.State == 'Z' || s.Start != w.mainStart || !slices.Contains(pids, w.main) {
		return false
	}
	l.logCaused(w, w.pid, slog.LevelInfo, eventlog.HandedOver, "worker ended; its MAINPID takes its place", "main_pid", w.main)
	l.then(machine.HandedOver{PID: w.pid, To: w.main})
	if s.Group == w.main {
		w.groups = append(w.groups, s.Group)
	}
	c.pid, w.pid, w.main, w.start = w.main, w.main, 0, s.Start
	l.children[c.pid] = c
	delete(l.orphans.worker, c.pid)
	l.board.Assign(w.row, c.pid)
	return true
}

// author is the pid of the worker, or the orphan of one, that a notification counts for,
// 0 for none: the sender, its nearest ancestor or the leader of its group. A sender that
// was gone before it could be looked at is taken for a process of the only worker that
// knows the socket. Only the worker itself may have become any user: a process of another
// user can join a group (setpgid(2)), or be what a worker has left.
func (l *loop) author(n notification) int {
	for _, pid := range append(n.Lineage, n.Group) {
		if w := l.children.worker(pid); w != nil && w.generation == n.Generation {
			if pid != n.PID && !l.trusts(n.UID, pid) {
				return 0
			}
			return pid
		}
		if w := l.orphans.worker[pid]; w != nil && w.generation == n.Generation {
			if !l.isOwn(n.UID) {
				return 0
			}
			return pid
		}
	}
	var own []int
	for pid, w := range l.children.workers {
		if w.generation == n.Generation {
			own = append(own, pid)
		}
	}
	if gone := n.Group == 0 && len(n.Lineage) == 1; gone && len(own) == 1 && l.trusts(n.UID, own[0]) {
		return own[0]
	}
	return 0
}

// trusts reports whether a user may notify for a worker: root, initd's own, the workers',
// and the one that the worker has become.
func (l *loop) trusts(uid, worker int) bool {
	if l.isOwn(uid) {
		return true
	}
	user, err := l.kernel.owner(worker)
	return err == nil && uid == user
}

// isOwn reports whether a user is root, initd's own or the workers'.
func (l *loop) isOwn(uid int) bool { return uid == 0 || uid == os.Geteuid() || uid == l.programs.uid() }
