package initd

import (
	"log/slog"
	"os"
	"syscall"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
)

// changed is called when a worker was suspended by a signal, or was continued; wait(2),
// WUNTRACED and WCONTINUED.
func (w *worker) changed(l *loop, c *child, status syscall.WaitStatus) {
	if status.Continued() {
		if w.suspended != 0 {
			l.logCaused(w, c.pid, slog.LevelInfo, eventlog.Continued, "worker was continued")
		}
		w.suspended = 0
		l.then(machine.Continued{PID: c.pid})
		return
	}
	w.suspended = status.StopSignal()
	if l.lendTerminal(c.pid, w) {
		return
	}
	name := machine.Signal(w.suspended).String()
	text := "worker was suspended by " + name
	if w.wantsTerminal() {
		text += ": it used the terminal from the background"
	}
	l.logCaused(w, c.pid, slog.LevelWarn, eventlog.Suspended, text, "signal", name)
	l.then(machine.Suspended{PID: c.pid})
	if l.followsCommand(c.pid, w) {
		l.terminal.Suspend(c.pid)
	}
}

// followsCommand reports whether initd is suspended together with a worker that has the
// terminal, so that a shell sees the job stop: always if it is a plain init, else by
// Ctrl-Z only. PID 1 cannot be suspended.
func (l *loop) followsCommand(pid int, w *worker) bool {
	return os.Getpid() != 1 && l.terminal.IsCommand(pid) && (l.programs.plain() || w.suspended == syscall.SIGTSTP)
}

// wantsTerminal reports whether a worker was suspended because it used the terminal from
// the background; tty(4).
func (w *worker) wantsTerminal() bool {
	return w.suspended == syscall.SIGTTIN || w.suspended == syscall.SIGTTOU
}

// lendTerminal gives the terminal to a worker that was suspended for using it, and
// continues the worker, if the pool has only one: several would compete for the input.
// A worker does not get the terminal earlier, because Ctrl-C would then end the worker,
// which is started again, instead of initd.
func (l *loop) lendTerminal(pid int, w *worker) bool {
	return !l.programs.plain() && w.wantsTerminal() && l.machine.Outline().Workers == 1 && l.terminal.Lend(pid)
}

// takeTerminal takes the terminal back from a worker that has ended, and lends it to
// the next one that waits for it.
func (l *loop) takeTerminal(pid int) {
	if l.programs.plain() || !l.terminal.IsCommand(pid) {
		return // a plain init ends with its command
	}
	l.terminal.Restore()
	l.terminal.SetCommand(0)
	for next, w := range l.children.workers {
		if l.lendTerminal(next, w) {
			return
		}
	}
}
