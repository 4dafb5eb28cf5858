package initd

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"server-starter/initd/bindfilter"
	"server-starter/initd/daemon"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// programs makes the command of each process that initd starts: its arguments, its
// environment, its files and its rights.
type programs struct {
	settings    *settings.Settings
	base        environ                                                     // of workers, before the envdir and what initd adds
	dir         string                                                      // of workers; empty: initd's own
	started     string                                                      // the directory that initd was started in
	envdir      string                                                      // its path from the root; empty: none
	credential  *launch.Credential                                          // of workers; nil: initd's own
	deathSignal syscall.Signal                                              // of workers; 0: none
	background  bool                                                        // initd goes to the background: a terminal is to be let go
	read        func(dir string) (assignments, ignored []string, err error) // envdir.Read
	gate        gate                                                        // for that
	*resources                                                              // the instance's, which set-up fills
}

// plain reports whether initd is a plain init: of one command, which it does not
// swap.
func (p *programs) plain() bool { return p.settings.Respawn.Value == machine.Never }

// prepare makes the environment of a generation from what the envdir has. It is the
// same for all its workers but for their slot.
func (p *programs) prepare(generation int, read envdirContent) (environ, machine.Timing, error) {
	if read.err != nil {
		return nil, machine.Timing{}, read.err
	}
	env := p.base.with(read.assignments...).without("LISTEN_PID").with(p.sockets.Environ(p.settings.Export)...)
	env = env.with("SERVER_STARTER_GENERATION=" + strconv.Itoa(generation))
	if !p.plain() {
		address, err := p.notify.Open(generation)
		if err != nil {
			return nil, machine.Timing{}, err
		}
		env = env.without("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
		if address != "" {
			env = env.with("NOTIFY_SOCKET=" + address)
		}
		if p.settings.Watchdog > 0 {
			env = env.with("WATCHDOG_USEC=" + strconv.FormatInt(time.Duration(p.settings.Watchdog).Microseconds(), 10))
		}
	}
	return env, timing(read.settings), nil
}

// worker is the command of a worker: the program itself.
func (p *programs) worker(w *worker, env environ) *launch.Command {
	c := p.common(env.with("SERVER_STARTER_WORKER=" + strconv.Itoa(w.slot)))
	c.Argv = p.settings.Command
	streams := c.Files
	c.Files = p.sockets.Files(w.slot)
	c.Files[1], c.Files[2] = streams[1], streams[2]
	if fd, environ, ok := p.board.Hand(w.row, len(c.Files)); ok { // after the listeners
		c.Environ, c.Files = append(c.Environ, environ...), append(c.Files, uintptr(fd))
	}
	c.ListenPID = env.value("LISTEN_FDS") != ""
	c.Foreground, c.Terminal = p.plain() && p.terminal.IsForeground(), p.terminal.FD()
	c.Direct = p.plain()
	c.Binds = p.binds()
	return c
}

// binds is which calls of a worker are answered. Without a listener there is nothing to
// give it, and without a path nothing that it must not remove.
func (p *programs) binds() launch.Binds {
	bindable := p.sockets.Bindable()
	switch {
	case !p.settings.Binds() || len(bindable) == 0:
		return launch.NoBinds
	case slices.ContainsFunc(bindable, func(l bindfilter.Listener) bool { return l.Node != "" }):
		return launch.AllBinds
	}
	return launch.OnlyBinds
}

// probe is the command of the probe. It gets no listener: it has to connect as a
// client would.
func (p *programs) probe(env environ) *launch.Command {
	c := p.common(outsider(env))
	c.Argv = p.settings.Probe
	return c
}

// hook is the command of a hook. It is the operator's, so it runs as initd's own
// user and with initd's own environment, and variables for the event: another user
// may write to the envdir, and would run what PATH and LD_PRELOAD name (ld.so(8)).
// It gets no listener.
func (p *programs) hook(a machine.RunHook) *launch.Command {
	result := "success"
	if a.Failure != "" {
		result = "failure"
	}
	env := outsider(p.base)
	if a.Generation > 0 {
		env = env.with("SERVER_STARTER_GENERATION=" + strconv.Itoa(a.Generation))
	}
	env = env.with("SERVER_STARTER_EVENT="+a.Hook.String(), "SERVER_STARTER_RESULT="+result, "SERVER_STARTER_REASON="+a.Failure)
	if a.PID != 0 {
		env = env.with("SERVER_STARTER_WORKER="+strconv.Itoa(a.Slot), "SERVER_STARTER_PID="+strconv.Itoa(a.PID))
	}
	c := p.common(env)
	c.Credential, c.NoNewPrivs = nil, false
	c.Argv = hooks(p.settings)[a.Hook]
	return c
}

// hooks are the commands of all hooks; that of a hook that is not set is empty.
func hooks(s *settings.Settings) map[machine.Hook][]string {
	return map[machine.Hook][]string{
		machine.AfterInit: s.HookAfterInit, machine.BeforeSwap: s.HookBeforeSwap,
		machine.AfterSwap: s.HookAfterSwap, machine.BeforeShutdown: s.HookBeforeShutdown,
		machine.OnDisconnect: s.HookOnDisconnect,
	}
}

// logCommand is the log command of a number, which reads from the pipe of that
// number. It has the rights of initd, not those of the workers.
func (p *programs) logCommand(number int) *launch.Command {
	argv, stdin := p.logs.Command(number)
	files := []uintptr{uintptr(stdin), 1, 2}
	if p.background { // a terminal is to be let go
		files[1], files[2] = daemon.Null, daemon.Null
	}
	return &launch.Command{Argv: argv, Environ: p.base, Dir: p.started, Umask: -1, Files: files}
}

// http is the command of the HTTP process. It has the user of a worker and no groups,
// so that no worker can trace it, the listener, and a connection to initd on which it
// may only read.
func (p *programs) http(path string, listener, conn int) *launch.Command {
	env := environ{"SERVER_STARTER_HTTP_FD=3", "SERVER_STARTER_CONTROL_FD=4"}
	if names := p.settings.HttpHost; len(names) > 0 {
		env = append(env, "SERVER_STARTER_HTTP_HOST="+names.String())
	}
	for _, name := range []string{"PATH", "TZ", "NO_COLOR"} {
		if p.base.has(name) {
			env = append(env, name+"="+p.base.value(name))
		}
	}
	c := p.common(env)
	c.Argv, c.Dir, c.NoNewPrivs = []string{path, "serve"}, "/", true
	if c.Credential != nil && p.uid() != os.Geteuid() {
		c.Credential = c.Credential.Apart()
	}
	c.Files[1] = c.Files[2]
	c.Files = append(c.Files, uintptr(listener), uintptr(conn))
	return c
}

// outsider is the environment of a command that is no worker and is given no
// listener.
func outsider(env environ) environ {
	return env.without("LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC")
}

// common is what the commands of workers, probes and hooks have in common: the
// standard streams, and the rights of a worker.
func (p *programs) common(env environ) *launch.Command {
	stdout, stderr := p.logs.Workers()
	return &launch.Command{
		Files:       []uintptr{0, uintptr(stdout), uintptr(stderr)},
		Environ:     env,
		Dir:         p.dir,
		Umask:       int(p.settings.Umask),
		Credential:  p.credential,
		DeathSignal: p.deathSignal,
		NoNewPrivs:  bool(p.settings.NoNewPrivs),
	}
}

// uid is the user that workers run as.
func (p *programs) uid() int {
	if p.credential != nil {
		return int(p.credential.UID)
	}
	return os.Geteuid()
}

// explain adds to the error of a start the setting that it is due to, if it is.
func (p *programs) explain(err error) error {
	var failure *launch.Failure
	if !errors.As(err, &failure) {
		return err
	}
	name := map[string]string{
		"chdir": "dir", "setgroups": "user", "setresgid": "user", "setresuid": "user",
		"session_keyring": "user", "capabilities": "user", "no_new_privs": "no-new-privs", "binds": "export",
	}[failure.Stage]
	if name == "" || !p.settings.Given(name) {
		return err
	}
	return settingError(name, err)
}
