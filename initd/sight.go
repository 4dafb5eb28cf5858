package initd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"server-starter/initd/accepting"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
)

// sight is what the loop knows of which listeners workers wait for.
type sight struct {
	gate
	looker accepting.Looker // of the goroutine in the gate
	wanted []bool           // the listeners that what serves waits for; nil: that is not known
	warned bool             // that it cannot be told of some worker
}

// seesWorkers reports whether there are listeners on which workers can be seen to accept.
// What a plain init runs is not judged.
func (in *instance) seesWorkers() bool {
	return !in.programs.plain() && len(accepting.Listeners(in.sockets, 0)) > 0
}

// sightLimit is how long a look at workers may take: what it waits for in the kernel, such
// as a program that is being read from a file server, concerns none but itself.
const sightLimit = 10 * time.Second

// servingSeen is how many of the workers that serve are looked at for the listeners that
// they wait for: they are all alike.
const servingSeen = 4

// looked: workers were looked at.
type looked struct {
	machine.Looked
	wanted []bool
}

func (m looked) handle(l *loop) {
	if l.sight.wanted == nil {
		l.sight.wanted = m.wanted
	}
	l.then(m.Looked)
}

// lookAt looks in a goroutine whether workers wait for connections. The machine asks for
// one look at a time.
func (l *loop) lookAt(pids []int) {
	workers, wanted := l.seeable(pids), l.sight.wanted
	var serving []accepting.Worker
	if wanted == nil {
		serving = l.seeable(l.served(pids))
	}
	known := slices.Collect(maps.Keys(l.children))
	s := &l.sight
	l.inbox.start(func() {
		result := make(chan looked, 1)
		late := func() looked {
			return blind(pids, fmt.Sprintf("may or may not accept connections: initd could not look at it within %v", sightLimit))
		}
		if s.occupied() || !s.pass(sightLimit, func() { result <- s.look(workers, serving, wanted, known) }) {
			l.inbox.post(late())
			return
		}
		l.inbox.post(<-result)
	})
}

// look looks at workers, and before at those that serve if it is not known which listeners
// are wanted.
func (s *sight) look(workers, serving []accepting.Worker, wanted []bool, known []int) looked {
	s.looker.Deadline = time.Now().Add(sightLimit)
	s.looker.Find(slices.Concat(workers, serving), known)
	if len(serving) > 0 {
		var seen []accepting.Seen
		for _, w := range serving {
			seen = append(seen, s.looker.Look(w))
		}
		if all := accepting.Wanted(seen); slices.Contains(all, true) {
			wanted = all
		}
	}
	answer := looked{wanted: wanted}
	for _, w := range workers {
		sight, reason := s.looker.Look(w).Judge(w.Listeners, wanted)
		answer.Workers = append(answer.Workers, machine.Glance{PID: w.PID, Sight: sight, Reason: reason})
	}
	return answer
}

// blind is the answer where workers cannot be looked at.
func blind(pids []int, reason string) (answer looked) {
	for _, pid := range pids {
		answer.Workers = append(answer.Workers, machine.Glance{PID: pid, Sight: machine.Unknown, Reason: reason})
	}
	return answer
}

// seeable are workers as they are looked at.
func (l *loop) seeable(pids []int) (all []accepting.Worker) {
	listeners := map[int][]accepting.Listener{}
	for _, pid := range pids {
		w := l.children.worker(pid)
		if w == nil {
			continue
		}
		slot := w.slot
		if !bool(l.settings.ReusePort) {
			slot = 0 // all have the same
		}
		if listeners[slot] == nil {
			listeners[slot] = accepting.Listeners(l.sockets, slot)
		}
		all = append(all, accepting.Worker{PID: pid, Generation: w.generation, Slot: w.slot, Listeners: listeners[slot]})
	}
	return all
}

// served are some of the workers that serve, without those that are looked at anyway.
func (l *loop) served(without []int) (pids []int) {
	if l.machine.Outline().Serving == 0 {
		return nil
	}
	for _, g := range l.machine.View().Generations {
		for _, w := range g.Workers {
			if w.Holds && w.State == "ready" && len(pids) < servingSeen && !slices.Contains(without, w.PID) {
				pids = append(pids, w.PID)
			}
		}
	}
	return pids
}

// unverified is for a worker that counts as ready although it could not be told whether it
// accepts connections. That is logged once: it will be so for the next as well.
func (l *loop) unverified(a machine.Unverified) {
	if l.sight.warned {
		return
	}
	l.sight.warned = true
	reason := a.Reason
	if reason == "" {
		reason = "may or may not accept connections: initd could not look at it in time"
	}
	l.log.Warn(eventlog.Unverified, fmt.Sprintf("worker is ready only because it has lived for interval=%v: it %s; "+
		"let it send READY=1 to NOTIFY_SOCKET, set probe, or set ready=alive if time is enough", time.Duration(l.settings.Interval), reason),
		"generation", a.Generation, "slot", a.Slot, "pid", a.PID)
}

// provedBy is by what a generation counts as ready.
func (l *loop) provedBy(generation int) string {
	for _, g := range l.machine.View().Generations {
		if g.Number == generation {
			return g.ReadyBy.String()
		}
	}
	return ""
}
