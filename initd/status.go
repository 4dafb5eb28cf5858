package initd

import (
	"time"

	"server-starter/initd/control"
	"server-starter/initd/machine"
)

// status is all that the loop knows. What takes its time to find out is added
// beside it, by instance.complete.
func (l *loop) status() *control.Status {
	now, v := l.now(), l.machine.View()
	s := &control.Status{
		Time: now, Health: l.health(v), Attempt: v.Attempt, Failures: v.Failures,
		Pool:        control.Pool{Workers: v.Workers, Rest: v.Rest, Max: v.Max},
		Generations: []control.Generation{}, Listeners: []control.Listener{},
		Swaps: l.history.latest(now), Counters: l.history.counts(),
	}
	if !v.NextAttempt.IsZero() {
		s.NextAttempt = &v.NextAttempt
	}
	for _, g := range v.Generations {
		s.Generations = append(s.Generations, l.describe(g, &s.Pool))
	}
	for _, w := range l.workers {
		if row, ok := l.row(w.row); ok {
			s.Counters.Requests += int64(row.Requests)
		}
	}
	l.facts(s)
	return s
}

func (l *loop) describe(g machine.GenerationView, pool *control.Pool) control.Generation {
	d := control.Generation{Number: g.Number, State: g.State.String(), Began: g.Began, Ready: since(g.Ready), Workers: []control.Worker{}}
	for _, w := range g.Workers {
		worker := control.Worker{Slot: w.Slot, PID: w.PID, State: w.State, Started: w.Started, Ready: since(w.Ready)}
		does := w.Activity
		if p := l.workers[w.PID]; p != nil {
			worker.Message = p.message
			if row, ok := l.row(p.row); ok && row.State != 0 {
				requests := int64(row.Requests)
				worker.Requests, does = &requests, activity(row.State)
			}
		}
		ready := w.Holds && w.State == "ready"
		if ready {
			pool.Ready++
		}
		switch does {
		case machine.Busy:
			worker.Activity = does.String()
			if ready {
				pool.Busy++
			}
		case machine.Idle:
			worker.Activity = does.String()
			if ready {
				pool.Idle++
			}
		}
		d.Workers = append(d.Workers, worker)
	}
	return d
}

// since is a time, nil where there is none.
func since(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// health is what checks are told.
func (l *loop) health(v machine.View) control.Health {
	h := control.Health{
		Live: true, Started: v.EverReady, Generation: v.Serving, State: v.Readiness.String(),
		Ready: v.Readiness == machine.IsReady || v.Readiness == machine.Reloading,
	}
	switch h.Reason = l.history.complaint(); {
	case v.Readiness == machine.Stopping:
		h.Reason = "initd is stopping"
	case h.Reason == "" && !h.Ready:
		h.Reason = "no generation has been ready yet"
	}
	return h
}
