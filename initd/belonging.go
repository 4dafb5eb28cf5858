package initd

import (
	"slices"

	"server-starter/initd/accepting"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/reaper"
)

// What belongs to a worker ends with it. Its descendants become children of initd
// when it ends, prctl(2), PR_SET_CHILD_SUBREAPER: that is when they are looked for,
// and when an orphan ends that may have had children. Only children of initd get
// signals: until they are reaped, nobody else can have their pids; wait(2).

// leave takes note of the orphans that the end of a process leaves, before the
// machine has the end itself: w is the worker that the process was or belonged to.
func (l *loop) leave(pid int, w *worker) {
	l.orphans.unseen = false
	if !bool(l.settings.KillGroup) || l.programs.plain() || l.orphans.asked != nil { // then all orphans are asked alike
		return
	}
	pids, err := l.kernel.children()
	if err != nil {
		l.log.Warn(eventlog.Orphan, "cannot look for what a worker has left behind: "+err.Error(), "pid", pid)
	}
	for _, orphan := range pids {
		if l.children[orphan] != nil || l.orphans.worker[orphan] != nil {
			continue
		}
		owner := l.owner(orphan, w)
		if owner == nil || !owner.over {
			continue
		}
		heir := pid
		if owner != w {
			heir = l.orphans.some(owner) // which the machine knows
		}
		l.belongs(orphan, owner)
		l.then(machine.Orphaned{PID: heir, Orphan: orphan})
	}
}

// orphanEnded is for the end of an orphan. If that belonged to a worker, what it leaves
// does so, too. That is looked for now if the worker has no other, and else after all
// that have ended are reaped, for there may be thousands.
func (l *loop) orphanEnded(e reaper.Exit) {
	w := l.orphans.worker[e.PID]
	delete(l.orphans.worker, e.PID)
	switch {
	case w != nil && l.orphans.some(w) == 0:
		l.leave(e.PID, w)
	case len(l.orphans.worker) > 0:
		l.orphans.unseen = true
	}
	if w != nil {
		l.then(machine.Exited{PID: e.PID, Status: statusOf(e)})
	}
}

// belongs records that an orphan belongs to a worker that has ended. What is in its
// process group does so, too.
func (l *loop) belongs(orphan int, w *worker) {
	l.orphans.worker[orphan] = w
	if s, err := l.kernel.stat(orphan); err == nil && s.Group == orphan {
		w.groups = append(w.groups, s.Group)
	}
}

// owner is the worker that an orphan belongs to, nil for none. That is shown by its
// process group, which others join on purpose only; by the variables that tell a worker who
// it is; or by a listener, which it has from the last worker that was started before
// it, if that is not one that lives. What shows nothing may be a daemon of a worker
// that lives.
func (l *loop) owner(orphan int, ended *worker) *worker {
	s, err := l.kernel.stat(orphan)
	if err != nil || s.State == 'Z' || l.children[s.Group] != nil && l.children.worker(s.Group) == nil {
		return nil
	}
	for w := range l.owners(ended) {
		if slices.Contains(w.groups, s.Group) {
			return w
		}
	}
	var named, living *worker
	later := false // one that lives was started between the one that has ended and the orphan
	generation, slot := accepting.Name(l.kernel.environ, orphan)
	for w := range l.owners(ended) {
		if !w.over && w.start >= s.Start {
			continue // it is not old enough: it needs more than a tick to execute its command
		}
		later = later || !w.over && ended != nil && w.start > ended.start
		switch {
		case w.generation != generation || w.slot != slot:
		case w.over:
			named = w
		default:
			living = w
		}
	}
	switch {
	case living != nil:
		return living
	case named != nil:
		return named
	case ended != nil && !later && l.holdsListener(orphan):
		return ended
	}
	return nil
}

// owners yields the workers that an orphan may belong to: one that has just ended, those
// that live, and those that have ended before their orphans.
func (l *loop) owners(ended *worker) func(yield func(*worker) bool) {
	return func(yield func(*worker) bool) {
		if ended != nil && !yield(ended) {
			return
		}
		for _, w := range l.children.workers {
			if w != ended && !yield(w) {
				return
			}
		}
		for _, w := range l.orphans.worker {
			if w != ended && !yield(w) {
				return
			}
		}
	}
}

// holdsListener reports whether a process has one of the listeners open.
func (l *loop) holdsListener(pid int) bool {
	held, err := l.kernel.sockets(pid)
	if err != nil {
		return false
	}
	listeners := l.sockets.Inodes()
	return slices.ContainsFunc(held, func(inode uint32) bool { return slices.Contains(listeners, inode) })
}
