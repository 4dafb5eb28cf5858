package machine

import (
	"slices"
	"time"
)

// endFaults ends all faults: what hangs goes on, or ends, and what was asked to
// end and would not, does.
func (w *world) endFaults() {
	w.calm, w.late = true, 0
	w.wave, w.number, w.strays = 0, 0, false
	for _, p := range w.living {
		p.obeys = true
		if p.suspended {
			w.in(w.soon(), func() { w.resume(p) })
		}
		switch {
		case p.dying:
			w.end(p, w.soon(), Status{Signal: KILL})
		case p.immune:
			w.end(p, w.soon(), Status{Code: 1})
		case p.asked && p.suspended: // it ends when it goes on
		case p.asked, !p.executed && p.fate == stuck && w.chance(2):
			w.end(p, w.soon(), Status{Code: 1})
		case !p.executed && p.fate == stuck:
			w.in(w.soon(), func() { w.run(p); w.sendReady(p) })
		case !p.notified:
			w.in(2*time.Second, func() { w.sendReady(p) })
		}
	}
	for h, number := range w.running {
		if number != 0 {
			w.in(w.soon(), func() { w.hooked(Hook(h), number, Status{}) })
		}
	}
	if pids := w.looking; pids != nil && w.policy.Ready == Seen {
		w.in(w.soon(), func() { w.looked(pids) })
	}
	if number := w.probing; number != 0 {
		if g := w.machine.candidate(); g != nil {
			w.in(w.soon(), func() { w.probed(number, g.number, Status{}) })
		}
	}
}

// until lets things happen until something is so, at most for a time.
func (w *world) until(rule string, limit time.Duration, so func() bool) {
	end := w.now.Add(limit)
	for w.goes() && !so() {
		if w.now.After(end) {
			w.fail(rule, "it has not come about within %v", limit)
			return
		}
		w.proceed(false)
	}
}

// checkSwap waits until nothing is under way, requests a swap and waits again.
func (w *world) checkSwap() {
	alone := func() bool {
		g := w.machine.serving()
		return w.stops() || g != nil && len(w.machine.generations) == 1 && w.machine.allReady(g) && w.machine.waiting.ticket == 0 &&
			(w.judge.idle || w.policy.Respawn == Never)
	}
	// What a swap in turns has left behind when it was given up stays until the
	// next request.
	divided := func() bool {
		return w.machine.serving() != nil && w.machine.candidate() == nil && w.machine.waiting.ticket == 0 && !slices.ContainsFunc(w.machine.generations, func(g *generation) bool {
			return g.state != Serving && g.state != Partial || !w.machine.allReady(g)
		})
	}
	// The longest wait there may be is for a back-off.
	backoff := 2*w.policy.backoff(w.machine.failures+1) + max(0, w.machine.notBefore.Sub(w.now))
	w.until("L2", 10*time.Minute+backoff, func() bool { return alone() || divided() })
	if !w.goes() || w.stops() || w.policy.Respawn == Never {
		return
	}
	old := w.machine.serving().number
	w.step(one[Event](w, Signaled{HUP}, SwapAsked{1}))
	swap := 2*time.Minute + time.Duration(w.machine.pool.size)*(w.policy.Interval+10*time.Second) // in turns
	w.until("L1", swap, func() bool {
		g := w.machine.serving()
		return w.stops() || g != nil && g.number > old
	})
	w.until("L2", swap, alone)
}

// checkStop stops initd, unless it stops already, and waits for its exit.
func (w *world) checkStop() {
	if !w.goes() {
		return
	}
	grace := w.policy.StopTimeout
	if !w.stops() {
		if grace > 0 && w.policy.Respawn != Never && w.chance(2) {
			// Workers that ignore it make no difference then.
			for _, p := range w.living {
				p.obeys = !w.chance(2)
			}
		}
		by := one(w, TERM, INT, QUIT)
		w.step(one[Event](w, Signaled{by}, StopAsked{1, by}))
		if w.chance(4) && w.goes() {
			w.step(Signaled{one(w, HUP, 10, QUIT)})
		}
		for n := w.pick(4); n > 0 && w.goes() && w.chance(2); n-- {
			w.now = w.now.Add(one(w, 0, 0, time.Millisecond, 499*time.Millisecond, 500*time.Millisecond))
			w.step(Signaled{one(w, TERM, INT)})
		}
	}
	const (
		forking = 5 * time.Second // what a fork may take
		dying   = 2 * time.Second // what an end may take, or a kill
	)
	orphans := time.Duration(0) // they get what workers have left
	if grace == 0 {
		orphans = orphanGrace
	}
	w.until("L3", w.policy.StopDelay+w.policy.HookTimeout+forking+grace+2*dying+orphans+time.Second, func() bool { return false })
}

// checkReplay gives the same events to another machine.
func (w *world) checkReplay() {
	if w.err != nil {
		return
	}
	m := New(w.policy)
	for _, s := range w.steps {
		if actions := m.Step(s.at, s.event); !slices.EqualFunc(actions, s.actions, same) || !m.Deadline().Equal(s.deadline) {
			w.fail("I15", "%v gives %v and then %v", s.event, s.actions, actions)
			return
		}
	}
	if m.Step(w.now, Tick{}) != nil || !m.Deadline().IsZero() {
		w.fail("I10", "there is something after the exit")
	}
}
