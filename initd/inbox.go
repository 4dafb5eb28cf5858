package initd

import (
	"fmt"
	"runtime/debug"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
)

// inbox is the way by which other goroutines reach the loop. It holds nothing:
// a goroutine that posts waits until the loop takes its message, or has ended.
type inbox struct {
	messages chan message
	closed   chan struct{} // when nobody reads any more
}

// message is what a goroutine has for the loop, which handles it in a turn of
// its own.
type message interface{ handle(*loop) }

func newInbox() *inbox {
	return &inbox{messages: make(chan message), closed: make(chan struct{})}
}

// post hands a message to the loop.
func (in *inbox) post(m message) { in.postUntil(nil, m) }

// postUntil hands a message to the loop, unless a channel is closed before.
func (in *inbox) postUntil(over <-chan struct{}, m message) {
	select {
	case in.messages <- m:
	case <-over:
	case <-in.closed:
	}
}

// start starts a goroutine. Its panic ends initd as one of the loop does: what
// it was to do is done by nobody any more.
func (in *inbox) start(f func()) {
	go func() {
		defer func() {
			if p := recover(); p != nil {
				in.post(defect{fmt.Errorf("%v\n%s", p, debug.Stack())})
			}
		}()
		f()
	}()
}

// close releases every goroutine that posts, now and later.
func (in *inbox) close() { close(in.closed) }

type (
	// launched: the outcome of a child's start is known.
	launched struct{ *child }
	// notification: a message came in on the notification socket of a generation.
	notification struct{ notify.Note }
	// envdirRead: the envdir has been read, or cannot be.
	envdirRead struct {
		envdirContent
		generation int // that is prepared
	}
	// changed: something that is watched has changed.
	changed struct{ name string }
	// heard: what had arrived when the deadline came has been handled.
	heard struct{}
	// surveyed: a survey has ended.
	surveyed struct {
		machine.Surveyed
		problem string // why it has not seen everything; empty: it has, or that was said before
	}
	// call: a client of the control socket has a request.
	call struct{ control.Call }
	// silent: an HTTP process does not ask any more.
	silent struct{ *child }
	// clientsIdle: no client has had a request for a while.
	clientsIdle struct{}
	// warning: a goroutine has something for the log.
	warning struct {
		kind eventlog.Kind
		text string
	}
	// fileProblem: an output or status file cannot be written, or can be again.
	fileProblem struct{ text string }
	// entered: the status file shows the state that the supervisor may be notified of.
	entered struct{ state }
	// defect: a goroutine has panicked.
	defect struct{ err error }
)

func (m launched) handle(l *loop)     { l.awaitExec(m.child) }
func (m notification) handle(l *loop) { l.notified(m) }
func (m envdirRead) handle(l *loop)   { l.prepared(m.generation, m.envdirContent) }
func (m surveyed) handle(l *loop)     { l.surveyed(m) }
func (m call) handle(l *loop)         { l.called(m.Call) }
func (m silent) handle(l *loop)       { l.killHTTP(m.child, "it does not respond") }
func (clientsIdle) handle(l *loop)    { freeHeap() }
func (m warning) handle(l *loop)      { l.log.Warn(m.kind, m.text) }
func (m fileProblem) handle(l *loop)  { l.warnOfLogs(eventlog.File, m.text) }
func (m entered) handle(l *loop)      { l.published.enter(m.state) }
func (m defect) handle(*loop)         { panic(m.err) }

func (heard) handle(l *loop) {
	l.deadline = judged
	l.then(machine.Tick{})
}

func (m changed) handle(l *loop) {
	l.log.Info(eventlog.Changed, m.name+" has changed", "name", m.name)
	l.then(machine.Changed{Name: m.name})
}
