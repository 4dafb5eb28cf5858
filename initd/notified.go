package initd

import (
	"os"
	"slices"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
)

// notified is for a message that came in on a notification socket; sd_notify(3).
func (l *loop) notified(n notification) {
	pid := l.author(n)
	if pid == 0 {
		l.log.Debug(eventlog.NotifyDropped, "ignoring a notification from a process that does not belong to a worker, or is another user's", "pid", n.PID)
		return
	}
	if n.HasStatus {
		w := l.children.worker(pid)
		w.status = n.Status
		if dropped, ok := w.lines.take(l.now()); ok {
			attrs := []any{"generation", w.generation, "slot", w.slot, "pid", pid}
			if dropped > 0 {
				attrs = append(attrs, "dropped", dropped)
			}
			l.log.Info(eventlog.Status, "status: "+n.Status, attrs...)
		}
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
}

// author is the pid of the worker that a notification counts for, 0 for none:
// the sender, its nearest ancestor or the leader of its group. A sender that
// was gone before it could be looked at is taken for a process of the only
// worker that knows the socket. Only the worker itself may have become any
// user: a process of another user can join a group (setpgid(2)).
func (l *loop) author(n notification) int {
	var own []int
	for pid, w := range l.children.workers {
		if w.generation == n.Generation {
			own = append(own, pid)
		}
	}
	for _, pid := range append(n.Lineage, n.Group) {
		if slices.Contains(own, pid) {
			if pid != n.PID && !l.trusts(n.UID, pid) {
				return 0
			}
			return pid
		}
	}
	if gone := n.Group == 0 && len(n.Lineage) == 1; gone && len(own) == 1 && l.trusts(n.UID, own[0]) {
		return own[0]
	}
	return 0
}

// trusts reports whether a user may speak for a worker: root, initd's own, the
// workers', and the one that the worker has become.
func (l *loop) trusts(uid, worker int) bool {
	if uid == 0 || uid == os.Geteuid() || uid == l.programs.uid() {
		return true
	}
	user, err := l.kernel.owner(worker)
	return err == nil && uid == user
}
