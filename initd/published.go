package initd

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/daemon"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/pidfile"
	"server-starter/initd/statusfile"
)

// published is what initd makes visible outside: to its supervisor, in the pid
// file and in the status file. It is derived from the machine after each step, and
// written where it differs from what was written before.
type published struct {
	inbox      *inbox
	notify     func(state string)                         // the supervisor; nil: a plain init sends it nothing
	parent     *daemon.Parent                             // the process that waits until a generation is serving; nil: none
	record     func(attempt, givenUp int) <-chan struct{} // in the pid file, which is done when the channel is closed; nil: there is none
	supervisor *notify.Supervisor
	pidFile    *pidfile.File
	statusFile *statusfile.File

	outline machine.View        // as of the last step
	stale   bool                // the status file has not been looked at since then
	workers []statusfile.Worker // that the status file names; nil: it was never written
	spare   []statusfile.Worker // to collect the next in
	then    []func()            // to be called when it names them
}

func newPublished(in *inbox, parent *daemon.Parent) *published {
	return &published{inbox: in, parent: parent}
}

// update publishes what a step has changed, but for the workers, and reports whether
// initd has become idle by it.
func (p *published) update(m *machine.Machine) (idle bool) {
	before, now := p.outline, m.Outline()
	p.outline = now
	switch is := stateOf(now); {
	case stateOf(before) == is:
	case is.generation > 0 && p.statusFile != nil:
		p.onceShown(func() { p.inbox.post(entered{is}) })
	default:
		p.enter(is)
	}
	if p.record != nil && (before.Attempt != now.Attempt || before.GivenUp != now.GivenUp) {
		p.record(now.Attempt, now.GivenUp)
	}
	p.stale = p.statusFile != nil && now.Attempt > 0
	return now.Idle && !before.Idle
}

// enter notifies those who wait for a state, unless it is over already.
func (p *published) enter(s state) {
	if s != stateOf(p.outline) {
		return
	}
	if s.generation > 0 {
		p.parent.Ready()
	}
	if p.notify != nil {
		p.notify(s.String())
	}
}

// showLimit is how long the status file is waited for: it may be on a file system that
// hangs.
const showLimit = time.Second

// onceShown calls a function once the status file shows what the current step has made
// so, because whoever waits for that may read the file; at once where there is none.
func (p *published) onceShown(do func()) {
	if p.statusFile == nil {
		do()
		return
	}
	shown := make(chan struct{})
	p.then = append(p.then, func() { close(shown) })
	p.inbox.start(func() {
		select {
		case <-shown:
		case <-time.After(showLimit):
		}
		do()
	})
}

// attempt publishes the number of an attempt before its step is over. The channel is
// closed when that is done, and nil where there is nothing to be done.
func (p *published) attempt(number int) <-chan struct{} {
	p.outline.Attempt = number
	if p.record == nil {
		return nil
	}
	return p.record(number, p.outline.GivenUp)
}

// updateWorkers writes the status file, if there was a step since the last time. Of
// thousands of ends that are reaped together it does so once. The first time it does so
// although there is no worker yet, which removes what another process has left there.
func (p *published) updateWorkers(m *machine.Machine) {
	if !p.stale {
		return
	}
	p.stale = false
	next := p.spare[:0]
	if next == nil {
		next = []statusfile.Worker{} // not nil, which stands for never
	}
	for generation, pid := range m.Published {
		next = append(next, statusfile.Worker{Generation: generation, PID: pid})
	}
	if p.workers != nil && slices.Equal(next, p.workers) && p.then == nil {
		p.spare = next
		return
	}
	p.workers, p.spare = next, p.workers
	p.statusFile.Write(next, p.then...)
	p.then = nil
}

// remove removes the files that name this process, and waits until the supervisor has
// been notified of the end.
func (p *published) remove() {
	p.supervisor.Close(time.Second)
	if p.statusFile != nil {
		p.statusFile.Remove(time.Second)
	}
	if p.pidFile != nil {
		p.pidFile.Remove()
	}
}

// state is what the supervisor is notified of.
type state struct {
	readiness  machine.Readiness
	generation int // that serves, where that matters
}

func stateOf(v machine.View) state {
	if v.Readiness == machine.IsReady || v.Readiness == machine.Reloading {
		return state{v.Readiness, v.Serving}
	}
	return state{readiness: v.Readiness}
}

// String is the state as sd_notify(3) has it. For a service that
// was ready and is not any more it has no word, so that only the status shows it.
func (s state) String() string {
	switch s.readiness {
	case machine.IsReady:
		return fmt.Sprintf("READY=1\nSTATUS=generation %d is serving", s.generation)
	case machine.Reloading:
		return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=generation %d is serving, a new one is starting", monotonic().Microseconds(), s.generation)
	case machine.Stopping:
		return "STOPPING=1\nSTATUS=stopping"
	}
	return "STATUS=no generation is ready"
}

// monotonic is the clock that sd_notify(3) wants with RELOADING=1.
func monotonic() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}
