package initd

import (
	"log/slog"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
)

// hook is the role of a command of the operator that runs at an event.
type hook struct {
	machine.RunHook
	env environ
}

// runHook starts a hook. Before there is a generation its environment has to be read.
func (l *loop) runHook(a machine.RunHook) {
	h := &hook{a, l.environmentFor(a.Generation)}
	if h.env != nil {
		l.start(h)
		return
	}
	l.environments.hooks[a.Hook] = h
	l.readEnvdir(nil, func(read envdirContent) {
		if l.environments.hooks[a.Hook] != h {
			return // cancelled
		}
		delete(l.environments.hooks, a.Hook)
		if h.env = l.programs.environment(read); read.err != nil {
			l.log.Warn(eventlog.Hook, "hook-"+a.Hook.String()+" runs without the envdir: "+read.err.Error(), "hook", a.Hook.String())
		}
		l.start(h)
	})
}

// cancelHook kills a hook, or does not start it.
func (l *loop) cancelHook(h machine.Hook) {
	l.log.Warn(eventlog.Hook, "cancelling hook-"+h.String(), "hook", h.String())
	delete(l.environments.hooks, h)
	l.cancel(func(r role) bool { running, ok := r.(*hook); return ok && running.Hook == h })
}

func (h *hook) command(l *loop, c *child) (*launch.Command, error) {
	command := l.programs.hook(h.RunHook, h.env)
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
