package initd

import (
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/reaper"
)

// logCommand is the role of a command that log-file=| or its like has started.
type logCommand struct {
	number int
	line   string // for the log
}

func (r *logCommand) command(l *loop, _ *child) (*launch.Command, error) {
	command := l.programs.logCommand(r.number)
	r.line = command.Argv[len(command.Argv)-1] // of a line for the shell, the line
	return command, nil
}

func (r *logCommand) begun(*loop, *child)    {}
func (r *logCommand) executed(*loop, *child) {}

func (r *logCommand) unstarted(l *loop, err error) {
	l.warnOfLogs(eventlog.LogCommand, "cannot start the log command: "+err.Error())
	l.then(machine.LogCommandEnded{Number: r.number})
}

func (r *logCommand) ended(l *loop, c *child, status machine.Status) {
	text := "log command ended: " + r.line
	if c.failure != nil {
		text = "log command not started: " + c.failure.Error()
	}
	l.warnOfLogs(eventlog.LogCommand, text, append([]any{"pid", c.pid, "duration", l.now().Sub(c.started)}, statusAttr(status)...)...)
	l.then(machine.LogCommandEnded{Number: r.number})
}

// awaitLogCommands waits until the log commands have ended, which they do at the end
// of their input, or the limit is over. It returns the numbers of those that still
// run. It logs nothing: the log is closed by then.
func (l *loop) awaitLogCommands(limit time.Duration) (running map[int]bool) {
	ended := func(e reaper.Exit) {
		if !e.Status.Stopped() {
			delete(l.children, e.PID)
		}
	}
	l.reapUntil(limit, ended, func(bool) bool { return !l.children.anyLogCommand() })
	running = map[int]bool{}
	for _, c := range l.children {
		if r, ok := c.role.(*logCommand); ok {
			running[r.number] = true
		}
	}
	return running
}
