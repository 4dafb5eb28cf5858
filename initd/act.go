package initd

import (
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
)

// do carries out what the machine has decided.
func (l *loop) do(action machine.Action) {
	switch a := action.(type) {
	case machine.Prepare:
		l.prepare(a)
	case machine.Start:
		l.start(&worker{generation: a.Generation, slot: a.Slot})
	case machine.Probe:
		l.start(&probe{generation: a.Generation})
	case machine.CancelProbe:
		l.cancel(func(r role) bool { p, ok := r.(*probe); return ok && p.generation == a.Generation })
	case machine.RunHook:
		l.start(&hook{a})
	case machine.CancelHook:
		l.log.Warn(eventlog.Hook, "cancelling hook-"+a.Hook.String(), "hook", a.Hook.String())
		l.cancel(func(r role) bool { h, ok := r.(*hook); return ok && h.Hook == a.Hook })
	case machine.StartLogCommand:
		l.start(&logCommand{number: a.Number})
	case machine.StartHTTP:
		l.start(&httpProcess{})
	case machine.StopHTTP:
		l.stopHTTP()
	case machine.Survey:
		l.takeSurvey()
	case machine.Steer:
		l.steer(a.Slots)
	case machine.Resize:
		l.log.Info(eventlog.Resize, fmt.Sprintf("the pool size is %d: %s", a.Workers, a.Reason), "workers", a.Workers)
	case machine.Recycle:
		l.history.counters.Recycled++
		l.log.Info(eventlog.Recycle, "replacing worker: "+a.Reason, "generation", a.Generation, "slot", a.Slot, "pid", a.PID)
	case machine.Stop:
		l.log.Info(eventlog.Stop, "stopping worker", "generation", a.Generation, "slot", a.Slot, "pid", a.PID, "signal", a.Signal.String())
		l.children.asked(a.PID)
		l.signal(a.PID, syscall.Signal(a.Signal))
	case machine.Kill:
		l.killWorker(a)
	case machine.Forward:
		l.signal(a.PID, syscall.Signal(a.Signal))
	case machine.Reopen:
		l.log.Info(eventlog.Reopen, "reopening the log files")
		l.logs.Reopen()
	case machine.Answer:
		l.answer(a)
	case machine.Outcome:
		l.concluded(a)
	case machine.Transition:
		l.entered(a)
	case machine.EndOrphans:
		l.endOrphans()
	case machine.KillOrphans:
		l.killOrphans(time.Second)
	case machine.Exit:
		l.exit = &a
	default:
		panic(fmt.Sprintf("initd: unknown action %T", action))
	}
}

// killWorker kills a worker, or its process group.
func (l *loop) killWorker(a machine.Kill) {
	l.history.counters.Killed++
	l.log.Warn(eventlog.Kill, "killing worker: "+a.Reason, "generation", a.Generation, "slot", a.Slot, "pid", a.PID, "signal", "KILL")
	target := a.PID
	if a.Group {
		target = -a.PID
	}
	l.children.asked(a.PID)
	l.signal(target, syscall.SIGKILL)
}

// prepare puts the environment of an attempt together. That there is one is
// published first: whoever waits for a later one may have changed what is read.
func (l *loop) prepare(a machine.Prepare) {
	l.published.attempt(a.Generation)
	l.history.begun(l.now(), a)
	env, timing, err := l.programs.prepare(a.Generation)
	if err != nil {
		l.then(machine.Refused{Generation: a.Generation, Reason: err.Error()})
		return
	}
	if before := l.environments[l.newest()]; before != nil {
		l.history.differs(a.Generation, difference(before, env))
	}
	l.environments[a.Generation] = env
	l.then(machine.Prepared{Generation: a.Generation, Timing: timing})
}

// states are the events of a generation that enters one.
var states = map[machine.State]eventlog.Kind{
	machine.Checking: eventlog.Checking, machine.Starting: eventlog.Starting, machine.Probing: eventlog.Probing,
	machine.Trial: eventlog.Trial, machine.Serving: eventlog.Serving, machine.Partial: eventlog.Partial,
	machine.Retiring: eventlog.Retiring, machine.Failed: eventlog.Failed, machine.Declined: eventlog.Refused,
	machine.Lost: eventlog.Lost, machine.Gone: eventlog.Gone,
}

// entered is for a generation that has entered a state: it logs that, and releases
// what the generation does not need any more.
func (l *loop) entered(a machine.Transition) {
	attrs := []any{"generation", a.Generation}
	level, text := slog.LevelInfo, fmt.Sprintf("generation %d %s", a.Generation, l.sentence(a))
	if a.Reason != "" {
		level, text = slog.LevelWarn, text+": "+a.Reason
	}
	if a.State == machine.Failed {
		if hint := l.hint(); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
	}
	if a.Next > 0 {
		attrs = append(attrs, "next_attempt", a.Next)
	}
	l.log.Log(level, states[a.State], text, attrs...)
	switch a.State {
	case machine.Serving:
		l.parent.Ready()
	case machine.Failed:
		if l.settings.MaxFailures != 1 { // else initd itself ends, and the parent gets that
			l.parent.Failed(eventlog.Printable(text))
		}
	}
	switch a.State {
	case machine.Failed, machine.Declined, machine.Lost, machine.Gone:
		// Of one that has failed, some of the workers may go on.
		if !l.children.hasWorker(a.Generation) {
			l.notify.Close(a.Generation)
		}
		delete(l.environments, a.Generation)
	case machine.Retiring:
		delete(l.environments, a.Generation)
	}
}

// sentence is the rest of the log line that begins with the generation's number.
// With a reason the generation has stayed in its state and lost a worker.
func (l *loop) sentence(a machine.Transition) string {
	switch a.State {
	case machine.Checking:
		return "is waiting for hook-before-swap"
	case machine.Probing:
		return "is being probed"
	case machine.Trial:
		return "is on trial"
	case machine.Partial:
		return "is serving in some slots only"
	case machine.Failed:
		return "failed"
	case machine.Declined:
		return "was refused"
	case machine.Lost:
		return "has lost its last worker"
	case machine.Gone:
		return "is gone"
	}
	if a.Reason != "" {
		return "has lost a worker"
	}
	if a.State == machine.Starting && l.children.hasWorker(a.Generation) {
		return "has taken over a batch of slots and is starting the next"
	}
	return "is " + a.State.String()
}

// concluded is for the outcome of a request for a swap. Of an attempt that fails
// although its workers live, one that is not ready is what it failed by.
func (l *loop) concluded(o machine.Outcome) {
	if o.Result == machine.OutcomeFailed || o.Result == machine.OutcomeGivenUp {
		for _, g := range l.machine.View().Generations {
			for _, w := range g.Workers {
				if c := l.children[w.PID]; c != nil && g.Number == o.Generation && w.Ready.IsZero() {
					l.history.late(o.Generation, w.Slot, c.lines)
				}
			}
		}
	}
	l.history.concluded(l.now(), o)
	l.server.PublishOutcome(outcomeOf(o))
}
