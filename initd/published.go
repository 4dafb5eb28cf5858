package initd

import (
	"fmt"
	"slices"
	"strings"

	"server-starter/initd/machine"
)

// shown is what was last made visible of the machine: to initd's own
// supervisor, in the status file and in the pid file. It is compared with what
// the machine's view is after each step.
type shown struct {
	readiness        machine.Readiness
	serving          int
	attempt, givenUp int
	workers, spare   []shownWorker // spare is for the next to be collected in
	idle             bool
}

type shownWorker struct{ generation, pid int }

// publishChanges makes visible what a step has changed. A plain init has no
// readiness of its own.
func (l *loop) publishChanges() {
	if l.exit != nil {
		return
	}
	v, p := l.machine.Outline(), &l.shown
	if v.Readiness == machine.NotReady || v.Readiness == machine.Stopping {
		v.Serving = 0 // whichever it is makes no difference
	}
	if l.report != nil && (v.Readiness != p.readiness || v.Serving != p.serving) {
		p.readiness, p.serving = v.Readiness, v.Serving
		l.report(supervisorState(v))
	}
	l.publishFiles()
	if v.Idle && !p.idle && l.rest != nil {
		l.rest()
	}
	p.idle = v.Idle
}

// publishFiles writes to the files what has changed. It is called before an
// environment is read, too: whoever waits for an attempt that is later than their
// change of it must not take one for that which has begun before.
func (l *loop) publishFiles() {
	if l.publish == nil {
		return
	}
	v, p := l.machine.Outline(), &l.shown
	workers := p.spare[:0]
	for generation, pid := range l.machine.Published {
		workers = append(workers, shownWorker{generation, pid})
	}
	if v.Attempt == p.attempt && v.GivenUp == p.givenUp && slices.Equal(workers, p.workers) {
		p.spare = workers
		return
	}
	p.attempt, p.givenUp, p.workers, p.spare = v.Attempt, v.GivenUp, workers, p.workers
	var text strings.Builder
	for _, w := range workers {
		fmt.Fprintf(&text, "%d:%d\n", w.generation, w.pid)
	}
	l.publish(v.Attempt, v.GivenUp, text.String())
}
