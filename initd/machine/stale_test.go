package machine

import (
	"reflect"
	"slices"
	"time"
)

// command gives the machine a command. One that is refused must not change
// anything.
func (w *world) command() {
	w.step(Tick{}) // so that nothing is due any more
	if !w.goes() {
		return
	}
	before := snapshot(w.machine)
	event := w.drawCommand()
	w.step(event)
	last := w.steps[len(w.steps)-1]
	if slices.ContainsFunc(last.actions, func(a Action) bool { answer, ok := a.(Answer); return ok && answer.Refusal != "" }) &&
		(len(last.actions) > 1 || !reflect.DeepEqual(before, snapshot(w.machine))) {
		w.fail("I36", "%v was refused and has changed something", event)
	}
}

func (w *world) drawCommand() Event {
	client := 1 + w.pick(3)
	switch w.pick(8) {
	case 3, 4:
		return ScaleAsked{client, w.pick(w.policy.Workers+5) - 1}
	case 5, 6:
		return SignalAsked{
			Client:     client,
			Signal:     one(w, 10, TERM, KILL, STOP, CHLD, 0, REOPEN, 65, 64, HUP),
			Generation: one(w, 0, w.machine.number, w.machine.number-1, 99999),
			Slot:       one(w, -1, 0, 1, -2, 99999),
		}
	case 7:
		if w.stops() || w.chance(8) {
			return StopAsked{client, one(w, TERM, INT, QUIT)}
		}
		return StopAsked{client, one[Signal](w, HUP, KILL, 0, 10)}
	}
	return SwapAsked{client}
}

// stale gives the machine an event that must not change anything.
func (w *world) stale() {
	w.step(Tick{}) // so that nothing is due any more
	if !w.goes() {
		return
	}
	event := w.drawStale()
	if event == nil {
		return
	}
	before := snapshot(w.machine)
	w.step(event)
	w.seen.stale(event)
	if last := w.steps[len(w.steps)-1]; len(last.actions) > 0 || !reflect.DeepEqual(before, snapshot(w.machine)) {
		w.fail("I14", "%v has changed something", event)
	}
}

func (w *world) drawStale() Event {
	m := w.machine
	pid := one(w, 0, -1, 1, 99999)
	if n := len(w.dead); n > 0 && !w.chance(3) {
		pid = w.dead[n-1-w.pick(n)]
	}
	unknown := w.process(pid) == nil
	number := w.pick(m.number + 2)
	g := m.generation(number)
	slot := w.pick(w.policy.Workers+2) - 1
	forking := g != nil && g.forking(slot) != nil
	switch w.pick(22) {
	case 0:
		return Tick{}
	case 1:
		return Begin{}
	case 2:
		if unknown {
			return one[Event](w, Exited{pid, Status{Code: 1}}, Orphaned{pid, 77777}, HandedOver{pid, 77777}, Extended{pid, time.Hour})
		}
	case 3:
		if unknown {
			return Notified{pid}
		}
	case 4:
		if unknown {
			return one[Event](w, Pinged{pid}, Hung{pid})
		}
	case 5:
		if unknown {
			return one[Event](w, Executed{pid}, NotExecuted{pid, 127, "exec: no such file or directory"})
		}
	case 6:
		if g == nil || g.state != Preparing || w.stops() {
			return Prepared{number, Timing{KillOldDelay: time.Hour}}
		}
	case 7:
		if g == nil || g.state != Preparing {
			return Refused{number, "late"}
		}
	case 8:
		if !forking {
			return Forked{number, slot, 77777}
		}
	case 9:
		if !forking {
			return ForkFailed{number, slot, 125, "late"}
		}
	case 10:
		if g == nil || !g.probeRuns {
			return Probed{number, one(w, Status{}, Status{Code: 1})}
		}
	case 11:
		if m.phase != orphaned {
			return Childless{}
		}
	case 12:
		if w.stops() && w.policy.Respawn != Never {
			return Signaled{one(w, HUP, QUIT, TTIN, TTOU)}
		}
	case 13:
		if n := w.pick(4) - 1; n < 0 || n >= len(m.logCommands) || !m.logCommands[n].runs {
			return LogCommandEnded{n}
		}
	case 14:
		if !w.policy.EndsOrphans() || w.chance(2) {
			for _, p := range w.living {
				if _, worker := m.worker(p.pid); worker != nil {
					return Orphaned{p.pid, one(w, 0, p.pid)}
				}
			}
		}
		for _, p := range w.living {
			_, worker := m.worker(p.pid)
			if worker.state >= stopping && w.chance(2) {
				return HandedOver{p.pid, 77777} // it was asked to end, and so will be the other
			} else if *worker.before() >= running && len(m.early) == 0 {
				if worker.state >= ready {
					return one[Event](w, Executed{p.pid}, Notified{p.pid})
				}
				return Executed{p.pid}
			}
		}
	case 21:
		if w.looking == nil {
			return Looked{[]Glance{{pid, Accepting, ""}}}
		}
	case 15:
		if !w.surveying {
			return Surveyed{Queue: 7, Queues: []int{7, 7}, Workers: []Sample{{PID: pid, Activity: Busy}}}
		}
	case 16:
		if h := Hook(w.pick(int(hooks))); w.running[h] == 0 {
			return Hooked{h, Status{Code: 1}}
		}
	case 17:
		if w.stops() || w.policy.Respawn == Never {
			return Changed{"envdir"}
		}
	case 20:
		if p := w.process(pid); p == nil {
			return one[Event](w, Suspended{pid}, Continued{pid})
		} else if p.suspended {
			return Suspended{pid}
		}
		return Continued{pid}
	case 19:
		if _, worker := m.worker(pid); worker == nil || worker.state < stopping {
			return SignalRefused{pid, w.chance(2)}
		}
	case 18:
		if w.http == 0 {
			return HTTPEnded{}
		}
	}
	return nil
}

// snapshot is a copy of all that a machine knows.
func snapshot(m *Machine) *Machine {
	known := *m
	known.policy, known.actions = Policy{}, nil
	known.early = slices.Clone(m.early)
	known.logCommands = slices.Clone(m.logCommands)
	known.generations = slices.Clone(m.generations)
	known.pool.slots = slices.Clone(m.pool.slots)
	for i, g := range m.generations {
		shape := *g
		copied := func(w *worker) *worker {
			if w == nil {
				return nil
			}
			is := *w
			return &is
		}
		shape.places = slices.Clone(g.places)
		for slot := range shape.places {
			p := &shape.places[slot]
			p.worker, p.replacement = copied(p.worker), copied(p.replacement)
		}
		shape.leaving = slices.Clone(g.leaving)
		for i, w := range g.leaving {
			shape.leaving[i] = copied(w)
		}
		known.generations[i] = &shape
	}
	return &known
}
