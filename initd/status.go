package initd

import (
	"fmt"
	"os"
	"slices"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/machine"
	"server-starter/initd/scoreboard"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/initd/survey"
)

// status is all that the loop knows, for a client of the control socket. What takes
// time to find out, in /proc for one, is added by control.Memory outside the loop.
func (l *loop) status() *control.Status {
	now, v := l.now(), l.machine.View()
	s := &control.Status{
		Time: now, Health: l.health(v), Attempt: v.Attempt, Failures: v.Failures,
		Pool:        control.Pool{Workers: v.Workers, Rest: v.Base, Max: v.Max},
		Generations: []control.Generation{}, Listeners: []control.Listener{},
		Swaps: l.history.latest(now), Counters: l.history.counts(),
	}
	s.NextAttempt = l.moment(v.NextAttempt)
	for _, g := range v.Generations {
		l.describe(g, s)
	}
	l.describeSelf(s)
	l.describeListeners(s)
	return s
}

// describe adds a generation to a status, and its workers to the sums.
func (l *loop) describe(g machine.GenerationView, s *control.Status) {
	d := control.Generation{Number: g.Number, State: g.State.String(), Began: l.clock.real(g.Began), Ready: l.moment(g.Ready), ReadyBy: g.ReadyBy.String(), Workers: []control.Worker{}}
	for _, w := range g.Workers {
		worker := control.Worker{Slot: w.Slot, PID: w.PID, State: w.State, Started: l.clock.real(w.Started), Ready: l.moment(w.Ready), ReadyBy: w.ReadyBy.String(), Orphan: w.Orphan}
		does := w.Activity
		if p := l.children.worker(w.PID); p != nil {
			worker.Message = p.status
			if row, ok := l.board.Read(p.row); ok {
				requests := p.count(row)
				if row.State != scoreboard.Absent {
					worker.Requests, does = &requests, survey.Activity(row.State)
				}
			}
			s.Counters.Requests += p.requests
		}
		if does != machine.Silent {
			worker.Activity = does.String()
		}
		if w.Holds && w.State == "ready" {
			s.Pool.Ready++
			switch does {
			case machine.Busy:
				s.Pool.Busy++
			case machine.Idle:
				s.Pool.Idle++
			}
		}
		d.Workers = append(d.Workers, worker)
	}
	s.Generations = append(s.Generations, d)
}

// moment is a time of the machine as it stands in a status: nil for none.
func (l *loop) moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	real := l.clock.real(t)
	return &real
}

// health is the answer to health checks.
func (l *loop) health(v machine.View) control.Health {
	h := control.Health{
		Live: true, Started: v.EverReady, Generation: v.Serving, State: v.Readiness.String(),
		Ready: v.Readiness == machine.IsReady || v.Readiness == machine.Reloading,
	}
	h.Flapping = l.flapping(v.Flapping)
	switch h.Reason = l.history.complaint(); {
	case v.Readiness == machine.Stopping:
		h.Reason = "initd is stopping"
	case h.Flapping != nil:
		h.Reason = "the workers have been flapping since " + h.Flapping.Since.UTC().Format(time.RFC3339) + ": " + l.losses(v.Flapping)
	case v.Readiness == machine.NotReady && v.Serving > 0:
		h.Reason = fmt.Sprintf("the workers of generation %d are suspended", v.Serving)
	case h.Reason == "" && !h.Ready && h.Started:
		h.Reason = "no generation is serving"
	case h.Reason == "" && !h.Ready:
		h.Reason = "no generation has been ready yet"
	}
	return h
}

// describeSelf adds what concerns initd as a whole.
func (l *loop) describeSelf(s *control.Status) {
	s.Version, s.PID, s.Command, s.Started = settings.Version, os.Getpid(), l.settings.Command, l.started
	s.Counters.Control = l.server.Answered()
	s.Counters.LinesDropped = l.lines.Dropped()
}

// describeListeners adds the listeners, and what waits in their queues.
func (l *loop) describeListeners(s *control.Status) {
	waiting := l.sockets.Waiting()
	for _, listener := range l.sockets.All() {
		d := control.Listener{Key: listener.Key, Network: listener.Network, Address: listener.Address, FD: listener.Number}
		if i := slices.IndexFunc(waiting, func(q socket.Queue) bool { return q.Key == d.Key && q.Network == d.Network }); i >= 0 {
			d.Queue, d.Backlog = waiting[i].Length, waiting[i].Backlog
		}
		s.Listeners = append(s.Listeners, d)
	}
}
