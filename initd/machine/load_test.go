package machine

import (
	"slices"
	"time"
)

// load is what the world has for the workers to do.
type load struct {
	number    int           // of clients that want something done
	wave      time.Duration // half the period in which they come and go; 0: they stay
	strays    bool          // connections come to closed slots
	sees      int           // what the survey knows by: the scoreboard, connections, CPU time, or any of them
	surveying bool
}

// doing is what a process does.
type doing struct {
	busy     bool
	since    time.Time // that it is, or is not
	cpu      time.Duration
	requests int64
	memory   int64
}

func (w *world) drawPool(p *Policy) {
	p.Survey = one(w, time.Second, 5*time.Second, 250*time.Millisecond)
	p.MaxWorkers = one(w, p.Workers+3, p.Workers, 0, p.Workers+1, p.Workers+40)
	p.MinIdle = w.pick(3)
	p.MaxIdle = p.MinIdle + w.pick(3)
	p.Steer = w.chance(2)
	p.DisconnectSignal = one[Signal](w, 0, 10)
}

func (w *world) drawLoad() {
	if w.policy.Survey == 0 {
		return
	}
	w.number = w.pick(2 + 2*w.policy.MaxWorkers)
	w.wave = one[time.Duration](w, 0, 4, 20, 60) * time.Second
	w.strays = w.chance(2)
	w.sees = w.pick(4)
}

// clients is the number of those that want something done now.
func (w *world) clients() int {
	if w.wave > 0 && w.now.Sub(epoch)/w.wave%2 > 0 {
		return 0
	}
	return w.number
}

// survey looks at the workers, now or later.
func (w *world) survey() {
	if w.surveying {
		w.fail("I29", "two surveys at once")
	}
	w.surveying = true
	d := w.soon()
	if !w.calm && w.chance(6) {
		d += one(w, time.Second, 5*time.Second)
	}
	w.in(d, func() {
		w.surveying = false
		w.step(w.look())
	})
}

// look is what a survey sees.
func (w *world) look() Surveyed {
	var e Surveyed
	clients := w.clients()
	for _, p := range w.living {
		if !p.executed {
			continue
		}
		busy := clients > 0 && !p.asked
		if busy {
			clients--
		}
		if !w.calm && w.chance(20) {
			continue // it could not be looked at
		}
		e.Workers = append(e.Workers, w.sample(p, busy))
	}
	if !w.calm && w.chance(10) {
		e.Workers = append(e.Workers, Sample{PID: one(w, 0, -1, 99999), Activity: Busy, Requests: -1, Clients: -7, Gone: 1 << 30, CPU: -1, Memory: 1 << 60})
		slices.Reverse(e.Workers)
	}
	e.Queue = clients
	if !w.policy.Steer {
		return e
	}
	slots := w.machine.pool.slots
	if !w.calm && w.chance(10) {
		slots = slots[:w.pick(len(slots))]
	}
	e.Queues = make([]int, len(slots))
	for i, s := range slots {
		if s.open && s.closing.IsZero() && clients > 0 {
			e.Queues[i] = clients
			clients = 0
		} else if !s.closing.IsZero() && !w.calm && w.chance(2) || !s.open && w.strays && w.chance(4) {
			e.Queues[i] = 1
		}
	}
	return e
}

// sample is what a survey sees of a process.
func (w *world) sample(p *process, busy bool) Sample {
	if p.busy {
		p.cpu += w.now.Sub(p.since)
		p.requests += int64(w.pick(4))
		p.memory += int64(w.pick(100))
	}
	p.busy, p.since = busy, w.now
	s := Sample{PID: p.pid, Requests: p.requests, Clients: -1, CPU: p.cpu, Memory: p.memory}
	sees := w.sees
	if sees == 3 {
		sees = w.pick(3)
	}
	if sees == 0 {
		s.Activity = Idle
		if busy {
			s.Activity = Busy
		}
	}
	if sees < 2 {
		s.Clients = 0
		if busy {
			s.Clients = 1 + w.pick(2)
			s.Gone = w.pick(s.Clients + 1)
		}
	}
	return s
}

// runHook runs a hook: it succeeds, fails, or hangs.
func (w *world) runHook(a RunHook) {
	if w.running[a.Hook] != 0 {
		w.fail("I32", "%v twice at once", a.Hook)
	}
	w.ran++
	number := w.ran
	w.running[a.Hook] = number
	status := Status{}
	if !w.calm {
		switch w.pick(6) {
		case 4:
			status.Code = 1
		case 5:
			return
		}
	}
	w.in(w.soon(), func() { w.hooked(a.Hook, number, status) })
}

func (w *world) hooked(h Hook, number int, status Status) {
	if w.running[h] == number {
		w.running[h] = 0
		w.step(Hooked{h, status})
	}
}

// checkPool gives the pool too much to do, and then nothing.
func (w *world) checkPool() {
	p := &w.policy
	// Swaps all the time leave none to do anything else, and workers that are
	// new all the time seem idle.
	if p.Respawn == Never || w.machine.timing.AutoRestart || p.MaxRequests > 0 {
		return
	}
	w.number = w.pick(p.MaxWorkers + 2)
	most := max(p.MaxWorkers, w.judge.base)
	// Nor are those to be recycled so often that one starts whenever they are seen.
	if size := max(w.machine.pool.size, min(most, w.number+p.MinIdle)); p.MaxLifetime > 0 && p.MaxLifetime < time.Duration(size)*minShrinkAfter {
		return
	}
	// Twice in a row seen, and then 1, 2, 4 …; each worker has to start.
	const surveys = 50
	w.until("L4", surveys*(p.Survey+time.Second)+p.stableAfter()+w.wait(), func() bool {
		return w.stops() || w.judge.readySlots() >= min(most, w.number+p.MinIdle)
	})
	if !w.goes() || w.stops() {
		return
	}
	w.seen.mark("the pool has grown to what it needs")
	w.number = 0
	from := w.machine.pool.size
	if w.machine.pool.shrinkAfter > 2*minShrinkAfter {
		return
	}
	rest := max(w.judge.base, min(max(p.MaxIdle, p.MinIdle), from))
	w.until("L4", 4*minShrinkAfter+time.Duration(from)*(time.Second+p.Survey)+10*time.Second, func() bool {
		return w.stops() || w.judge.idle && w.machine.pool.size == rest
	})
	w.seen.mark("the pool has its base size")
}

// wait is for how long failures may keep the pool from growing.
func (w *world) wait() time.Duration { return w.policy.backoff(w.machine.failures + 1) }
