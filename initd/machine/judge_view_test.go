package machine

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// observeView judges the views of a machine after a step.
func (j *judge) observeView(m *Machine) error {
	v := m.View()
	candidate, serving := j.candidate(), j.serving()
	number := 0
	if serving != nil {
		number = serving.number
	}
	var next time.Time
	if candidate == nil && j.requested() && j.now.Before(j.notBefore) {
		next = j.notBefore
	}
	for _, fact := range [...]struct {
		rule, name string
		got, want  any
	}{
		{"I18", "readiness", v.Readiness, j.readiness(candidate, serving)},
		{"I18", "serving", v.Serving, number},
		{"I19", "idle", v.Idle, j.idle},
		{"I20", "attempt", v.Attempt, j.number},
		{"I20", "given up", v.GivenUp, j.gaveUp},
		{"I38", "begun", v.Begun, j.begun},
		{"I38", "stopping", v.Stopping, j.phase != operating},
		{"I38", "ever ready", v.EverReady, j.everReady},
		{"I38", "ticket", v.Ticket, j.lastTicket},
		{"I38", "next attempt", v.NextAttempt, next},
		{"I38", "failures", v.Failures, j.failures},
		{"I44", "flapping", v.Flapping, j.flappingView()},
		{"I38", "workers", v.Workers, j.size},
		{"I38", "base", v.Base, j.base},
		{"I38", "max", v.Max, j.policy.MaxWorkers},
		{"I38", "generations", len(v.Generations), len(j.generations)},
	} {
		if fact.got != fact.want {
			return violation{fact.rule, fmt.Sprintf("%s is %v and not %v", fact.name, fact.got, fact.want)}
		}
	}
	if err := j.observePublished(m); err != nil {
		return err
	}
	if outline := m.Outline(); len(outline.Generations) > 0 || !sameOutline(outline, v) {
		return violation{"I38", fmt.Sprintf("the outline is %v and not %v", outline, v)}
	}
	for i, g := range j.generations {
		got := v.Generations[i]
		n := 0
		for u := range g.live {
			if n == len(got.Workers) || !j.viewFits(u, got.Workers[n]) {
				return violation{"I38", fmt.Sprintf("generation %d has workers %v, and the next is %v", g.number, got.Workers, j.viewOf(u))}
			}
			n++
		}
		if got.Number != g.number || got.State != g.state || got.Began != g.attempted || got.Ready != g.served || got.ReadyBy != g.provedBy() || len(got.Workers) != n {
			return violation{"I38", fmt.Sprintf("generation %d is %v", g.number, got)}
		}
	}
	return nil
}

func (j *judge) readiness(candidate, serving *seenGeneration) Readiness {
	switch {
	case j.phase != operating:
		return Stopping
	case serving == nil, j.hangs():
		return NotReady
	case candidate != nil:
		return Reloading
	}
	return IsReady
}

// observePublished judges which workers a machine publishes.
func (j *judge) observePublished(m *Machine) error {
	type line struct{ generation, pid int }
	var want, got []line
	for _, g := range j.generations {
		for u := range g.live {
			if g.state == Failed || g.state < Trial && g.place(u.slot).inBatch {
				continue // it is not ready, nor has it been
			}
			if u.pid > 0 {
				want = append(want, line{g.number, u.pid})
			}
		}
	}
	for generation, pid := range m.Published {
		got = append(got, line{generation, pid})
	}
	if !slices.Equal(got, want) {
		return violation{"I20", fmt.Sprintf("what is published is %v and not %v", got, want)}
	}
	if len(want) > 1 {
		for range m.Published {
			break // who has enough may stop
		}
	}
	return nil
}

// sameOutline reports whether two views are the same but for the generations.
func sameOutline(v, other View) bool {
	v.Generations, other.Generations = nil, nil
	return reflect.DeepEqual(v, other)
}

// viewFits reports whether a view is right about a worker. Whether one has become
// ready that is asked to stop in the same step does not matter.
func (j *judge) viewFits(u *seenWorker, got WorkerView) bool {
	if u.vague {
		u.ready, u.readyBy, u.vague = got.Ready, got.ReadyBy, false
	}
	want := j.viewOf(u)
	if got.Ready.IsZero() && (u.ready == u.stopped || u.ready == u.ended) {
		want.Ready, want.ReadyBy, u.readyBy = got.Ready, got.ReadyBy, got.ReadyBy
	}
	return got == want
}

// viewOf is what a view has to have of a worker.
func (j *judge) viewOf(u *seenWorker) WorkerView {
	v := WorkerView{Slot: u.slot, PID: u.pid, Started: u.started, Ready: u.ready, ReadyBy: u.readyBy, Holds: j.holder(u.slot) == u, Orphan: u.orphan}
	switch {
	case u.pid == 0:
		v.State = "forking"
	case u.killed:
		v.State = "killed"
	case u.suspended:
		v.State = "suspended"
	case !u.ended.IsZero():
		v.State = "ending"
	case !u.stopped.IsZero():
		v.State = "stopping"
	case !u.ready.IsZero():
		v.State = "ready"
	case u.executed:
		v.State = "running"
	default:
		v.State = "executing"
	}
	switch {
	case u.seen.IsZero():
	case u.idle.IsZero():
		v.Activity = Busy
	default:
		v.Activity = Idle
	}
	return v
}
