package initd

import (
	"fmt"
	"log/slog"
	"strings"
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
		l.cancelHook(a.Hook)
	case machine.StartLogCommand:
		l.start(&logCommand{number: a.Number})
	case machine.StartHTTP:
		l.start(&httpProcess{})
	case machine.StopHTTP:
		l.stopHTTP()
	case machine.Survey:
		l.takeSurvey()
	case machine.Look:
		l.lookAt(a.PIDs)
	case machine.Unverified:
		l.unverified(a)
	case machine.Steer:
		l.steer(a.Slots)
	case machine.Resize:
		l.log.Info(eventlog.Resize, fmt.Sprintf("the pool size is %d: %s", a.Workers, a.Reason), "workers", a.Workers)
	case machine.Recycle:
		l.history.counters.Recycled++
		l.log.Info(eventlog.Recycle, "replacing worker: "+a.Reason, "generation", a.Generation, "slot", a.Slot, "pid", a.PID)
	case machine.Stop:
		l.stopWorker(a)
	case machine.Stuck:
		l.reportStuck(a)
	case machine.Continue:
		l.signal(a.PID, syscall.SIGCONT)
	case machine.Kill:
		l.killWorker(a)
	case machine.Forward:
		if err := l.signal(a.PID, syscall.Signal(a.Signal)); err != nil {
			l.clients.refusals = append(l.clients.refusals, err)
		}
	case machine.Reopen:
		l.log.Info(eventlog.Reopen, "reopening the log files")
		l.logs.Reopen()
	case machine.Answer:
		l.answer(a)
	case machine.Outcome:
		l.concluded(a)
	case machine.Transition:
		l.entered(a)
	case machine.CloseListeners:
		// A plain init closes them as soon as it has passed them on, but here that is when
		// the command binds them.
		if !l.programs.plain() || !l.settings.Binds() {
			l.sockets.Release()
		}
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

// what names a process that the machine means.
func (l *loop) what(pid int) string {
	if l.orphans.worker[pid] != nil {
		return "orphan of worker"
	}
	return "worker"
}

// stopWorker asks a worker, or an orphan of one, to end.
func (l *loop) stopWorker(a machine.Stop) {
	l.log.Info(eventlog.Stop, "stopping "+l.what(a.PID), "generation", a.Generation, "slot", a.Slot, "pid", a.PID, "signal", a.Signal.String())
	if l.signal(a.PID, syscall.Signal(a.Signal)) != nil {
		l.then(machine.SignalRefused{PID: a.PID})
		return
	}
	l.children.asked(a.PID)
	if l.orphans.worker[a.PID] != nil {
		l.continueOrphan(a.PID)
	}
}

// killWorker kills a worker, or its process group, or an orphan of one.
func (l *loop) killWorker(a machine.Kill) {
	l.log.Warn(eventlog.Kill, "killing "+l.what(a.PID)+": "+a.Reason, "generation", a.Generation, "slot", a.Slot, "pid", a.PID, "signal", "KILL")
	target := a.PID
	if a.Group {
		target = -a.PID
	}
	if l.signal(target, syscall.SIGKILL) != nil {
		l.then(machine.SignalRefused{PID: a.PID, Kill: true})
		return
	}
	if l.children.worker(a.PID) != nil {
		l.history.counters.Killed++
	}
	l.children.asked(a.PID)
}

// reportStuck logs that a worker did not end after it was killed, and its state;
// proc_pid_stat(5).
func (l *loop) reportStuck(a machine.Stuck) {
	text := l.what(a.PID) + " did not end after it was killed"
	if s, err := l.kernel.stat(a.PID); err == nil && s.State == 'D' {
		text += ": it is in uninterruptible sleep (state D), for example because a disk or a network file system does not respond"
	} else if err == nil {
		text += fmt.Sprintf(": it is in state %c", s.State)
	}
	l.log.Error(eventlog.Stuck, text, "generation", a.Generation, "slot", a.Slot, "pid", a.PID)
}

// prepare has the environment of an attempt put together. That there is one is
// published first: whoever waits for a later one may have changed what is read.
func (l *loop) prepare(a machine.Prepare) {
	published := l.published.attempt(a.Generation)
	l.sight.wanted = nil
	l.history.begun(l.now(), a)
	if err := l.checkOld(); err != nil {
		l.then(machine.Refused{Generation: a.Generation, Reason: err.Error()})
		return
	}
	l.relisten(everySlot)
	l.readEnvdir(a.Generation, published)
}

// prepared puts the environment of an attempt together.
func (l *loop) prepared(generation int, read envdirContent) {
	if len(read.ignored) > 0 {
		l.log.Warn(eventlog.Note, fmt.Sprintf("envdir: ignoring %s: a variable is a regular file whose name has only letters, digits and _, and does not begin with a digit", quoted(read.ignored)),
			"generation", generation)
	}
	if len(read.longer) > 0 {
		l.log.Warn(eventlog.Note, "envdir: only the first line of "+strings.Join(read.longer, ", ")+" is its value: use a file for each variable, "+
			"and for what has several lines, such as a certificate, a variable with its path", "generation", generation)
	}
	env, timing, err := l.programs.prepare(generation, read)
	if err != nil {
		l.then(machine.Refused{Generation: generation, Reason: err.Error()})
		return
	}
	if before := l.environments[l.newest()]; before != nil {
		l.history.differs(generation, difference(before, env))
	}
	l.environments[generation] = env
	l.then(machine.Prepared{Generation: generation, Timing: timing})
}

// states are the events of a generation that enters one.
var states = map[machine.State]eventlog.Kind{
	machine.Checking: eventlog.Checking, machine.Starting: eventlog.Starting, machine.Probing: eventlog.Probing,
	machine.Trial: eventlog.Trial, machine.Serving: eventlog.Serving, machine.Partial: eventlog.Partial,
	machine.Retiring: eventlog.Retiring, machine.Failed: eventlog.Failed, machine.Declined: eventlog.Refused,
	machine.Lost: eventlog.Lost, machine.Gone: eventlog.Gone,
}

// quoted is a list of names for a line of the log, of which there may be many.
func quoted(names []string) string {
	const shown = 10
	text := fmt.Sprintf("%q", names[:min(len(names), shown)])
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// checkOld checks, with signal 0 of kill(2), that the workers that a swap is to replace
// can be stopped. Otherwise each swap would leave one more generation that serves.
func (l *loop) checkOld() error {
	if l.machine.Outline().Serving == 0 {
		return nil // nothing serves, and a swap is worth more than that
	}
	for pid, w := range l.children.workers {
		if err := l.kernel.kill(pid, 0); err != nil {
			return fmt.Errorf("worker %d of generation %d cannot be stopped: kill: %w", pid, w.generation, explainRefusal(err))
		}
	}
	return nil
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
		if hint := l.hint(a.Generation); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
	}
	if a.ReadyBy != machine.ByNothing {
		attrs = append(attrs, "ready_by", a.ReadyBy.String())
	}
	if a.Next > 0 {
		attrs = append(attrs, "next_attempt", a.Next)
	}
	l.log.Log(level, states[a.State], text, attrs...)
	if a.State == machine.Failed && l.settings.MaxFailures != 1 { // else initd itself ends, and the parent gets that
		l.parent.Failed(eventlog.Printable(text))
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
	outcome := outcomeOf(o)
	publish := func() { l.server.PublishOutcome(outcome) }
	if o.Result == machine.OutcomeReady {
		outcome.ReadyBy = l.provedBy(o.Generation)
		l.published.onceShown(publish)
	} else {
		publish()
	}
}
