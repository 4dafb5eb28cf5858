package initd

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime/debug"
	"syscall"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
	"server-starter/initd/survey"
	"server-starter/initd/watch"
)

// instance is all that initd owns once it is set up.
type instance struct {
	settings *settings.Settings
	started  time.Time
	inbox    *inbox
	resources
	programs *programs
	journal
	api
	http      endpoint
	published *published
	watch     *watch.Watch // nil: nothing is watched
	survey    *survey.Surveyor
	surveys   gate
	oom       *oomKills // nil: nobody looks
}

// run is initd from the first worker to the last.
func (in *instance) run() (status int) {
	defer func() {
		if p := recover(); p != nil { // after a defect already, or where nothing is left to be stopped
			status = exitDefect
		}
	}()
	defer in.close()
	in.begin()
	l := newLoop(newKernel(in.inbox.start), in, machine.New(in.policy()), caughtSignals())
	defer func() {
		if p := recover(); p != nil {
			in.log.Error(eventlog.Defect, fmt.Sprintf("defect in initd: %v\n%s", p, debug.Stack()))
			l.rescue(syscall.Signal(in.settings.SignalOnTERM))
			status = exitDefect
			l.end(fmt.Sprintf("defect: %v", p))
		}
	}()
	exit := l.run()
	level, reason := slog.LevelInfo, exit.Reason
	if exit.Status == 0 {
		reason = ""
	}
	if reason != "" {
		level = slog.LevelError
	}
	in.log.Log(level, eventlog.Exit, cmp.Or(exit.Reason, "exiting"), "exit_status", exit.Status)
	l.end(reason)
	return exit.Status
}

// begin logs what initd is set up with, and starts the goroutines that watch files
// and serve clients.
func (in *instance) begin() {
	in.logNotes(in.settings.Notes)
	in.logNotes(in.notes)
	in.logNotes(in.sockets.Notes())
	for _, l := range in.sockets.All() {
		in.log.Info(eventlog.Listen, "listening on "+l.Key, "network", l.Network, "address", l.Address, "fd", l.Number)
	}
	if in.sockets.Len() == 0 && !in.programs.plain() {
		in.log.Info(eventlog.Note, "neither port nor path is set: a server that binds its own port cannot be swapped, "+
			"because the next generation finds the port in use; set port, and export=bind if it knows no other way to take the socket")
	}
	in.startWatch()
	in.startControl()
	if in.http.sockets != nil {
		address := in.http.listener.Address
		in.log.Info(eventlog.HTTP, "health, metrics and the dashboard at http://"+address, "address", address)
	}
}

// end writes why initd ends, unless it was asked to, and waits until all that was
// written has arrived.
func (l *loop) end(reason string) {
	l.terminal.Restore()
	if reason != "" {
		l.complain(reason)
		newGate(l.inbox.start).pass(closeGrace, func() { terminationLog("initd: " + reason + "\n") })
	}
	l.server.Close(clientGrace)
	l.closeJournal()
}

// closeGrace is how long removing files may take at the end.
const closeGrace = 2 * time.Second

// close closes and removes what setUp has made outside initd, in the opposite order. What
// is on a file system that hangs stays.
func (in *instance) close() { newGate(in.inbox.start).pass(closeGrace, in.remove) }

func (in *instance) remove() {
	if err := in.board.Close(); err != nil && in.log != nil {
		in.log.Warn(eventlog.Scoreboard, err.Error())
	}
	in.sockets.Close()
	in.http.sockets.Close()
	in.controlSocket.Close()
	in.published.remove()
}

// sink is by what the server of the control socket reaches the loop.
func (in *inbox) sink() control.Sink {
	return control.Sink{
		Call:   func(c control.Call, over <-chan struct{}) { in.postUntil(over, call{c}) },
		Idle:   func(over <-chan struct{}) { in.postUntil(over, clientsIdle{}) },
		Defect: func(err error, over <-chan struct{}) { in.postUntil(over, warning{eventlog.Defect, err.Error()}) },
	}
}
