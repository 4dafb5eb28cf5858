package machine

import (
	"slices"
	"time"
)

// fate is what becomes of a worker that is started.
type fate int

const (
	healthy       fate = iota
	silent             // it runs and never sends a notification
	diesEarly          // before it is ready, or nearly so
	readyThenDies      // sooner or later
	hangs              // it is ready and pings no more, or sends WATCHDOG=trigger
	cannotFork         // it does not become a process
	cannotExecute      // it does not become the program
	stuck              // it neither becomes the program nor ends
	fates
)

func (f fate) String() string {
	return [...]string{"healthy", "silent", "dies early", "ready, then dies", "hangs", "cannot fork", "cannot execute", "stuck"}[f]
}

// process is a worker in the world.
type process struct {
	pid, generation, slot int
	fate                  fate
	obeys                 bool // it ends when it is asked to
	immune                bool // it cannot be signalled
	suspended             bool
	executed, notified    bool
	asked                 bool // to end
	orphan                bool // of a worker
	dying, dead           bool
	pings                 int // that are left; negative: for ever
	doing
	sees
}

func (w *world) fork(a Start, f fate) {
	w.answering--
	if w.calm {
		f = healthy
	}
	if f == cannotFork {
		w.seen.end(w.machine, a.Generation, f)
		if w.chance(4) {
			w.step(ForkFailed{a.Generation, a.Slot, 126, "exec: argument list too long"})
		} else {
			w.step(ForkFailed{a.Generation, a.Slot, 125, "fork: resource temporarily unavailable"})
		}
		return
	}
	p := &process{pid: w.freePID(), generation: a.Generation, slot: a.Slot, fate: f, obeys: w.calm || !w.chance(4), immune: !w.calm && w.chance(12), pings: -1}
	if f == hangs {
		p.pings = w.pick(3)
	}
	i, _ := slices.BinarySearchFunc(w.living, p.pid, func(p *process, pid int) int { return p.pid - pid })
	w.living = slices.Insert(w.living, i, p)
	w.step(Forked{a.Generation, a.Slot, p.pid})
	d := w.soon()
	if w.chance(8) && !w.calm {
		d += time.Second
	}
	switch f {
	case stuck:
	case cannotExecute:
		status := one(w, 127, 126, 125)
		w.in(d, func() {
			if !p.dead {
				w.reap(p)
				w.step(NotExecuted{p.pid, status, "exec: no such file or directory"})
			}
		})
	default:
		w.in(d, func() { w.run(p) })
	}
}

// run makes a process the program, and lets it live its fate.
func (w *world) run(p *process) {
	if p.dead || p.executed {
		return
	}
	const s, ms = time.Second, time.Millisecond
	p.executed = true
	w.open(p)
	w.step(Executed{p.pid})
	if p.fate != silent && p.fate != diesEarly && (w.policy.Ready == Notify || w.calm || w.chance(2)) {
		w.in(w.soon(), func() { w.sendReady(p) })
	}
	if p.fate != silent && w.policy.Watchdog > 0 {
		w.in(w.policy.Watchdog/2, func() { w.ping(p) })
	}
	if !w.calm && w.chance(5) {
		w.in(one(w, w.soon(), time.Second, 4*time.Second), func() { w.extend(p, 3) })
	}
	if !w.calm && w.chance(8) {
		w.in(one(w, w.soon(), 2*time.Second), func() { w.handOver(p) })
	}
	status := one(w, Status{Code: 1}, Status{Signal: 11}, Status{})
	switch p.fate {
	case diesEarly:
		w.in(one(w, 0, ms, 90*ms), func() { w.endByItself(p, status) })
	case healthy:
		if !w.calm && w.chance(8) {
			w.in(one(w, 0, 2*ms, 1100*ms, 3*s), func() { w.suspend(p) })
		}
	case readyThenDies:
		w.in(one(w, 400*ms, 1100*ms, 2500*ms, 7*s, 20*s), func() { w.endByItself(p, status) })
	}
}

func (w *world) sendReady(p *process) {
	if !p.dead {
		p.notified = true
		w.step(Notified{p.pid})
	}
}

func (w *world) ping(p *process) {
	switch {
	case p.dead:
		return
	case p.suspended:
		w.in(w.policy.Watchdog*9/10, func() { w.ping(p) })
	case p.pings != 0:
		p.pings--
		w.step(Pinged{p.pid})
		w.in(w.policy.Watchdog*9/10, func() { w.ping(p) })
	case w.chance(2):
		w.step(Hung{p.pid})
	}
}

func (w *world) endByItself(p *process, status Status) {
	if !w.calm && !p.dying && !p.suspended {
		w.end(p, 0, status)
	}
}

// suspend has a process be suspended, until it is continued or, perhaps, somebody does
// so.
func (w *world) suspend(p *process) {
	if p.dead || p.dying || p.suspended || w.calm {
		return
	}
	p.suspended = true
	w.step(Suspended{p.pid})
	if w.chance(2) {
		w.in(one(w, time.Millisecond, 400*time.Millisecond, 7*time.Second), func() { w.resume(p) })
	}
}

func (w *world) resume(p *process) {
	if p.dead || !p.suspended {
		return
	}
	p.suspended = false
	w.step(Continued{p.pid})
	if p.asked && p.obeys && !p.dying {
		w.end(p, w.soon(), Status{Signal: TERM})
	}
}

// end has a process end, and be reaped at once.
func (w *world) end(p *process, d time.Duration, status Status) {
	p.dying = true
	w.in(d, func() {
		if !p.dead {
			orphans := w.orphansOf(p) // whose pids are none that it leaves
			w.reap(p)
			for _, o := range orphans {
				w.step(Orphaned{p.pid, o})
			}
			w.step(Exited{p.pid, status})
		}
	})
}

// long is how long a process takes to end that sleeps and cannot be woken.
func (w *world) long() time.Duration {
	if w.calm {
		return 0
	}
	return time.Minute
}

func (w *world) reap(p *process) {
	p.dead = true
	w.dead = append(w.dead, p.pid)
	w.living = slices.DeleteFunc(w.living, func(other *process) bool { return other == p })
	w.seen.end(w.machine, p.generation, p.fate)
}

func (w *world) process(pid int) *process {
	for _, p := range w.living {
		if p.pid == pid {
			return p
		}
	}
	return nil
}

func (w *world) freePID() int {
	if !w.reuse {
		return 2 + len(w.dead) + len(w.living)
	}
	for pid := 2; ; pid++ {
		if w.process(pid) == nil {
			if slices.Contains(w.dead, pid) {
				w.seen.mark("pid used again")
			}
			return pid
		}
	}
}

// orphansOf has a process that ends leave some of its own, and returns their pids.
func (w *world) orphansOf(p *process) (pids []int) {
	if w.calm || !p.executed || !w.policy.EndsOrphans() || w.endsOrphans || !w.chance(6) {
		return nil
	}
	for range 1 + w.pick(2) {
		o := &process{pid: w.freePID(), generation: p.generation, slot: p.slot, obeys: !w.chance(4), executed: true, notified: true, orphan: true}
		i, _ := slices.BinarySearchFunc(w.living, o.pid, func(p *process, pid int) int { return p.pid - pid })
		w.living = slices.Insert(w.living, i, o)
		pids = append(pids, o.pid)
	}
	return pids
}

// extend has a process ask for more time, some times.
func (w *world) extend(p *process, times int) {
	if p.dead || w.calm || times == 0 {
		return
	}
	by := one(w, time.Second, 100*time.Millisecond, 10*time.Second)
	w.step(Extended{p.pid, by})
	w.in(by*9/10, func() { w.extend(p, times-1) })
}

// handOver has a process hand over to another, which goes on with its fate.
func (w *world) handOver(p *process) {
	if p.dead || p.dying || p.asked || w.calm {
		return
	}
	old, pid := p.pid, w.freePID()
	w.living = slices.DeleteFunc(w.living, func(other *process) bool { return other == p })
	w.dead = append(w.dead, old)
	p.pid = pid
	i, _ := slices.BinarySearchFunc(w.living, p.pid, func(p *process, pid int) int { return p.pid - pid })
	w.living = slices.Insert(w.living, i, p)
	w.step(HandedOver{old, pid})
}
