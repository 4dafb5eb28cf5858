package initd

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/initd/signals"
	"server-starter/initd/terminal"
	"server-starter/reaper"
)

// loop is the shell around the machine: the only goroutine that calls Step,
// that starts processes and that waits for them. So a pid it holds belongs to
// the process it means, for nobody else could have reaped it; wait(2). It waits
// for signals, its inbox and its timer, and for nothing else.
type loop struct {
	kernel kernel
	*instance
	machine      *machine.Machine
	signals      signalChannels
	children     children
	orphans      orphans
	environments environments
	clients      clients
	history      *history
	sight        sight
	unsurveyed   string          // by the last survey, and why
	foreign      map[string]bool // addresses that workers bind and that were logged
	events       []machine.Event // not yet given to the machine
	clock        clock
	timer        *time.Timer // for the machine's deadline
	deadline     judging
	exit         *machine.Exit
}

// judging is how far the loop is with the machine's deadline.
type judging int

const (
	awaited judging = iota // it has not come, or nobody has noticed
	hearing                // it has, and what has arrived by then goes first
	judged                 // the machine may act on it
)

// signalChannels are where signals arrive. Tests have channels of their own.
type signalChannels struct{ child, hangup, stop, other <-chan os.Signal }

func caughtSignals() signalChannels {
	return signalChannels{signals.Child, signals.Hangup, signals.Stop, signals.Other}
}

func newLoop(k kernel, in *instance, m *machine.Machine, s signalChannels) *loop {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &loop{
		kernel: k, instance: in, machine: m, signals: s, timer: timer, clock: clock{kernel: k.now},
		children:     children{},
		environments: environments{},
		orphans:      orphans{worker: map[int]*worker{}},
		clients:      clients{asking: map[int]control.Call{}},
		history:      newHistory(),
		sight:        sight{gate: newGate(in.inbox.start)},
	}
}

// run runs the loop until the machine has decided to exit.
func (l *loop) run() machine.Exit {
	defer l.inbox.close()
	l.then(machine.Begin{})
	l.turn()
	for l.exit == nil {
		l.published.updateWorkers(l.machine)
		select {
		case <-l.signals.child:
			l.reapAll()
		case s := <-l.signals.hangup:
			l.signaled(s)
		case s := <-l.signals.stop:
			l.reapAll() // a suspended worker has to be known before it is asked to end
			l.signaled(s)
		case s := <-l.signals.other:
			l.signaled(s)
		case m := <-l.inbox.messages:
			m.handle(l)
		case <-l.timer.C:
			l.hear()
		}
		l.turn()
	}
	return *l.exit
}

// now is the time of the day, for the log and for clients.
func (l *loop) now() time.Time { return l.kernel.now() }

// then queues an event for the machine, which gets it in the current turn or the next.
func (l *loop) then(event machine.Event) { l.events = append(l.events, event) }

// turn gives the events to the machine, one after the other, and does what it
// decides, until no event is left. Results of actions are events too.
func (l *loop) turn() {
	if len(l.events) > 0 {
		l.server.Changed()
	}
	for len(l.events) > 0 && l.exit == nil {
		event := l.events[0]
		l.events = l.events[1:]
		l.transcribe(event)
		l.clients.refusals = nil
		for _, action := range l.machine.Step(l.time(), event) {
			l.transcribe(action)
			l.do(action)
		}
		if l.exit != nil {
			break
		}
		before := l.published.outline.Flapping
		if l.published.update(l.machine) {
			freeHeap()
		}
		l.flapped(before, l.published.outline.Flapping)
	}
	if l.deadline == judged {
		l.deadline = awaited
	}
	deadline := l.machine.Deadline()
	if wait := l.clock.wait(deadline); deadline.IsZero() || l.deadline == hearing {
		l.timer.Stop()
	} else {
		l.timer.Reset(wait)
	}
}

// time is that of the machine. It comes up to the deadline only when what arrived
// before that has been handled: no worker is to be killed for what it did in time.
func (l *loop) time() time.Time {
	now, deadline := l.clock.now(), l.machine.Deadline()
	if l.deadline != judged && !deadline.IsZero() && !now.Before(deadline) {
		return deadline.Add(-1)
	}
	return now
}

// hearLimit is how long the loop waits for what has arrived.
const hearLimit = time.Second

// hear is for a deadline that has come: the ends of children, and what is in the inbox
// and in the notification sockets, are handled before it is judged.
func (l *loop) hear() {
	l.deadline = hearing
	l.reapAll()
	received := l.notify.Flush()
	l.inbox.start(func() {
		received(hearLimit)
		l.inbox.post(heard{})
	})
}

// transcribe logs a step in the words of the machine's transcripts.
func (l *loop) transcribe(line fmt.Stringer) {
	if l.transcript {
		l.log.Debug(eventlog.Step, line.String())
	}
}

// signaled is for a signal that initd has received.
func (l *loop) signaled(s os.Signal) {
	signal := machine.Signal(s.(syscall.Signal))
	l.log.Info(eventlog.Signal, "received "+signal.String(), "signal", signal.String())
	if (signal == machine.TTIN || signal == machine.TTOU) && terminal.Background() {
		return // sent by the terminal driver, to a background process: not a request
	}
	if s == syscall.SIGCONT && os.Getpid() != 1 { // which cannot be suspended
		for pid := range l.children.workers {
			if l.terminal.IsCommand(pid) {
				l.terminal.SetForeground(pid)
			}
		}
	}
	l.then(machine.Signaled{Signal: signal})
}

// reapAll hands each end to the machine before the next process is reaped, so
// that no decision is made about a pid that is free to be given again.
func (l *loop) reapAll() {
	children := l.kernel.reap(func(e reaper.Exit) {
		l.reaped(e)
		l.turn()
	})
	if l.orphans.unseen {
		l.leave(0, nil)
	}
	l.orphansLeft(children)
}

// reapUntil reaps until done returns true, and reports whether it did so within the
// limit. Done is asked after all that have ended were reaped, also at the end.
func (l *loop) reapUntil(limit time.Duration, each func(reaper.Exit), done func(children bool) bool) bool {
	over := time.After(limit)
	for !done(l.kernel.reap(each)) {
		select {
		case <-l.signals.child:
		case <-over:
			return done(l.kernel.reap(each))
		}
	}
	return true
}

// rescueGrace is what workers get to end after a defect of initd.
const rescueGrace = 5 * time.Second

// rescue is all that is left to do after a defect of initd: it stops the workers,
// and kills those that do not end. It relies on nothing but the kernel.
func (l *loop) rescue(signal syscall.Signal) {
	workers := map[int]bool{}
	for pid, w := range l.children.workers {
		workers[pid] = true
		l.kernel.kill(pid, signal)
		if w.suspended != 0 {
			l.kernel.kill(pid, syscall.SIGCONT)
		}
	}
	ended := func(e reaper.Exit) {
		if hasEnded(e) {
			delete(workers, e.PID)
			delete(l.children, e.PID)
		}
	}
	l.reapUntil(rescueGrace, ended, func(bool) bool { return len(workers) == 0 })
	l.killOrphans(time.Second)
}
