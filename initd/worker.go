package initd

import (
	"log/slog"
	"syscall"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/scoreboard"
)

// worker is the role of a worker of a generation.
type worker struct {
	generation, slot int
	pid              int
	start            uint64         // when it was started, in ticks since the boot
	groups           []int          // process groups of its own, whose members belong to it
	over             bool           // it has ended
	main             int            // the process that it hands over to; 0: none
	mainStart        uint64         // of that, in ticks since the boot
	row              int            // of the scoreboard; scoreboard.NoRow: none
	requests         int64          // the most that its row has shown
	asked            bool           // to end, so that its end is no surprise
	suspended        syscall.Signal // that has stopped it; 0: it is not
	status           string         // the last STATUS= that it has sent
	lines            allowance      // of the log for what it causes
	binds            *binds         // what it binds itself; nil: that is left to it
}

func (w *worker) command(l *loop, c *child) (*launch.Command, error) {
	var err error
	if w.row, err = l.board.Claim(w.generation, w.slot); err != nil {
		l.log.Warn(eventlog.Scoreboard, "a worker runs without a row of the scoreboard: "+err.Error(),
			"generation", w.generation, "slot", w.slot)
	}
	if err := l.sockets.Grow(w.slot + 1); err != nil {
		l.log.Error(eventlog.Listen, err.Error(), "slot", w.slot)
	}
	command := l.programs.worker(w, l.environments[w.generation])
	if command.Binds != launch.NoBinds {
		w.binds = &binds{listeners: l.sockets.Bindable(), inodes: l.sockets.Inodes()}
	}
	c.tail = l.openTail(command)
	return command, nil
}

func (w *worker) begun(l *loop, c *child) {
	w.pid, w.groups = c.pid, []int{c.pid} // the leader of its own, launch.Start
	if s, err := l.kernel.stat(c.pid); err == nil {
		w.start = s.Start
	}
	l.board.Assign(w.row, c.pid)
	if l.programs.plain() {
		l.terminal.SetCommand(c.pid)
	}
	l.history.counters.Started++
	l.log.Info(eventlog.Start, "worker started", "generation", w.generation, "slot", w.slot, "pid", c.pid)
	l.then(machine.Forked{Generation: w.generation, Slot: w.slot, PID: c.pid})
}

func (w *worker) unstarted(l *loop, err error) {
	l.board.Release(w.row)
	l.log.Error(eventlog.ForkFailed, "cannot start a worker: "+err.Error(), "generation", w.generation, "slot", w.slot)
	l.then(machine.ForkFailed{Generation: w.generation, Slot: w.slot, Status: exitStatus(err), Reason: err.Error()})
}

func (w *worker) executed(l *loop, c *child) { l.then(machine.Executed{PID: c.pid}) }

func (w *worker) ended(l *loop, c *child, status machine.Status) {
	if l.handOver(w, c) {
		return
	}
	if row, ok := l.board.Read(w.row); ok {
		w.count(row)
	}
	l.history.counters.Requests += w.requests
	l.board.Release(w.row)
	l.relisten(w.slot)
	l.takeTerminal(c.pid)
	if !w.asked {
		if status.OOM = status.Signal == machine.KILL && l.oom.claim(l.now()); status.OOM {
			l.history.counters.OOMKilled++
		}
		l.history.ended(w.generation, end{slot: &w.slot, status: &status, lines: c.lines})
	}
	attrs := []any{"generation", w.generation, "slot", w.slot}
	if n := w.lines.dropped; n > 0 {
		attrs = append(attrs, "dropped", n)
	}
	switch {
	case c.failure != nil:
		l.history.counters.Died++
		l.logEnd(slog.LevelWarn, eventlog.Exit, "worker not started: "+c.failure.Error(), c, status, attrs...)
		l.then(machine.NotExecuted{PID: c.pid, Status: exitStatus(c.failure), Reason: c.failure.Error()})
		return
	case w.asked:
		l.history.counters.Exited++
		l.logEnd(slog.LevelInfo, eventlog.Exit, "worker ended", c, status, attrs...)
	default:
		l.history.counters.Died++
		text := "worker ended by itself"
		if status.OOM {
			text = "worker was killed by the kernel, out of memory"
		}
		l.logEnd(slog.LevelWarn, eventlog.Exit, text, c, status, attrs...)
	}
	w.over = true
	l.leave(c.pid, w)
	l.then(machine.Exited{PID: c.pid, Status: status})
}

// count takes note of the requests in the worker's row, and returns how many it has
// finished. Any worker may write to any row, and the number is not to fall.
func (w *worker) count(row scoreboard.Row) int64 {
	w.requests = max(w.requests, int64(row.Requests))
	return w.requests
}

// hasWorker reports whether there is a worker of a generation.
func (c children) hasWorker(generation int) bool {
	for _, w := range c.workers {
		if w.generation == generation {
			return true
		}
	}
	return false
}

// asked records that a worker is asked to end.
func (c children) asked(pid int) {
	if w := c.worker(pid); w != nil {
		w.asked = true
	}
}
