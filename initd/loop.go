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
	events       []machine.Event // not yet given to the machine
	timer        *time.Timer
	exit         *machine.Exit
}

// signalChannels are where signals arrive. Tests have channels of their own.
type signalChannels struct{ child, hangup, stop, other <-chan os.Signal }

func caughtSignals() signalChannels {
	return signalChannels{signals.Child, signals.Hangup, signals.Stop, signals.Other}
}

func newLoop(k kernel, in *instance, m *machine.Machine, s signalChannels) *loop {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &loop{
		kernel: k, instance: in, machine: m, signals: s, timer: timer,
		children:     children{},
		environments: environments{},
		clients:      clients{asking: map[int]control.Call{}},
		history:      newHistory(),
	}
}

// run runs the loop until the machine has decided to exit.
func (l *loop) run() machine.Exit {
	defer l.inbox.close()
	l.then(machine.Begin{})
	l.turn()
	for l.exit == nil {
		select {
		case <-l.signals.child:
			l.reapAll()
		case s := <-l.signals.hangup:
			l.signaled(s)
		case s := <-l.signals.stop:
			l.signaled(s)
		case s := <-l.signals.other:
			l.signaled(s)
		case m := <-l.inbox.messages:
			m.handle(l)
		case <-l.timer.C:
			l.then(machine.Tick{})
		}
		l.turn()
	}
	return *l.exit
}

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
		for _, action := range l.machine.Step(l.now(), event) {
			l.transcribe(action)
			l.do(action)
		}
		if l.exit == nil && l.published.update(l.machine) {
			freeHeap()
		}
	}
	if deadline := l.machine.Deadline(); deadline.IsZero() {
		l.timer.Stop()
	} else {
		l.timer.Reset(deadline.Sub(l.now()))
	}
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
			l.terminal.SetForeground(pid)
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
	l.orphansLeft(children)
}

// reapUntil reaps until done returns true, and reports whether it did so within the
// limit. Done is asked after all that have ended were reaped.
func (l *loop) reapUntil(limit time.Duration, each func(reaper.Exit), done func(children bool) bool) bool {
	over := time.After(limit)
	for !done(l.kernel.reap(each)) {
		select {
		case <-l.signals.child:
		case <-over:
			return false
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
	for pid := range l.children.workers {
		workers[pid] = true
		l.kernel.kill(pid, signal)
	}
	ended := func(e reaper.Exit) {
		if e.Status.Stopped() {
			return
		}
		delete(workers, e.PID)
		delete(l.children, e.PID)
	}
	l.reapUntil(rescueGrace, ended, func(bool) bool { return len(workers) == 0 })
	l.killOrphans(time.Second)
}
