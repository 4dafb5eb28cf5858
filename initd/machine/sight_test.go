package machine

import (
	"slices"
	"time"
)

// sees is what a process shows to who looks at it.
type sees struct {
	acceptsAt time.Time // from when on it waits for connections
	before    Sight     // what is seen until then
}

// open draws when a process that runs begins to wait for connections.
func (w *world) open(p *process) {
	p.acceptsAt = w.now
	if w.calm || !w.policy.Looks {
		return
	}
	p.before = one(w, NotAccepting, NotAccepting, Undecided, Unknown)
	p.acceptsAt = w.now.Add(one(w, 0, 20*time.Millisecond, 700*time.Millisecond, 3*time.Second, time.Hour))
}

// lookAt looks at workers, now or later, or never where something else is to judge them.
func (w *world) lookAt(pids []int) {
	if w.looking != nil {
		w.fail("I45", "two looks at once")
	}
	w.looking = &pids
	d := w.soon()
	if !w.calm && w.chance(8) {
		if d += one(w, time.Second, 5*time.Second); w.policy.Ready == Auto && w.chance(4) {
			return
		}
	}
	w.in(d, func() { w.looked(&pids) })
}

// looked answers a look, unless it has been answered.
func (w *world) looked(pids *[]int) {
	if w.looking == pids {
		w.looking = nil
		w.step(w.glances(*pids))
	}
}

// glances is what a look sees.
func (w *world) glances(pids []int) Looked {
	var e Looked
	if !w.calm && w.chance(10) {
		e.Workers = append(e.Workers, Glance{PID: one(w, 0, -1, 99999), Sight: Accepting})
	}
	for _, pid := range pids {
		p := w.process(pid)
		switch {
		case p == nil || !w.calm && w.chance(20): // it has ended, or that is what it seems to have
		case w.calm || !w.now.Before(p.acceptsAt):
			e.Workers = append(e.Workers, Glance{PID: pid, Sight: Accepting})
		default:
			e.Workers = append(e.Workers, Glance{pid, p.before, "does not accept connections on 80"})
		}
	}
	slices.SortFunc(e.Workers, func(g, other Glance) int { return g.PID - other.PID })
	return e
}
