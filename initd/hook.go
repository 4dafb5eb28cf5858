package initd

import (
	"cmp"
	"log/slog"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
)

// hook is the role of a command of the operator that runs at an event.
type hook struct{ machine.RunHook }

// cancelHook kills a hook.
func (l *loop) cancelHook(h machine.Hook) {
	l.log.Warn(eventlog.Hook, "cancelling hook-"+h.String(), "hook", h.String())
	l.cancel(func(r role) bool { running, ok := r.(*hook); return ok && running.Hook == h })
}

func (h *hook) command(l *loop, c *child) (*launch.Command, error) {
	about := h.RunHook
	about.Generation = cmp.Or(about.Generation, l.newest())
	command := l.programs.hook(about)
	c.tail = l.openTail(command)
	return command, nil
}

func (h *hook) begun(*loop, *child)    {}
func (h *hook) executed(*loop, *child) {}

func (h *hook) unstarted(l *loop, err error) {
	l.log.Warn(eventlog.Hook, "cannot start hook-"+h.Hook.String()+": "+err.Error(), "hook", h.Hook.String())
	l.then(machine.Hooked{Hook: h.Hook, Status: machine.Status{Code: exitSetup}})
}

func (h *hook) ended(l *loop, c *child, status machine.Status) {
	level, text := slog.LevelInfo, "hook-"+h.Hook.String()+" ended"
	if !status.Success() {
		if h.Hook == machine.BeforeSwap {
			l.history.ended(h.Generation, end{lines: c.lines})
		}
		l.history.counters.HooksFailed++
		level = slog.LevelWarn
	}
	if c.failure != nil {
		text = "hook-" + h.Hook.String() + " was not started: " + c.failure.Error()
	}
	l.logEnd(level, eventlog.Hook, text, c, status, "hook", h.Hook.String())
	l.then(machine.Hooked{Hook: h.Hook, Status: status})
}
