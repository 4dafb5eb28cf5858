package initd

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"time"

	"server-starter/initd/envdir"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// prepare reads the environment of a generation. It is the same for all its
// workers but for their slot.
func (in *instance) prepare(generation int) (environ, machine.Timing, error) {
	env, now, err := in.read()
	if err != nil {
		return nil, machine.Timing{}, err
	}
	env = env.with("SERVER_STARTER_GENERATION=" + strconv.Itoa(generation))
	if !in.plain {
		address, err := in.hear(generation)
		if err != nil {
			return nil, machine.Timing{}, err
		}
		env = env.without("WATCHDOG_PID", "WATCHDOG_USEC").with("NOTIFY_SOCKET=" + address)
		if in.settings.Watchdog > 0 {
			env = env.with("WATCHDOG_USEC=" + strconv.FormatInt(time.Duration(in.settings.Watchdog).Microseconds(), 10))
		}
	}
	return env, timing(now), nil
}

// read reads the environment and the settings as the envdir has them now.
func (in *instance) read() (environ, *settings.Settings, error) {
	env, now := in.base, in.settings
	if in.envdir != "" {
		assignments, err := envdir.Read(in.envdir)
		if err != nil {
			return nil, nil, settingError("envdir", err)
		}
		overrides, err := settings.Reload(assignments)
		if err != nil {
			return nil, nil, settingError("envdir", err)
		}
		now = in.settings.With(overrides)
		env = env.with(assignments...)
	}
	return env.without("LISTEN_PID").with(in.sockets.Environ(in.settings.Export)...), now, nil
}

// command is a worker.
func (in *instance) command(slot, row int, env environ) *launch.Command {
	c := in.surroundings(env.with("SERVER_STARTER_WORKER=" + strconv.Itoa(slot)))
	c.Argv = in.settings.Command
	in.widen(slot)
	c.Files = slices.Clone(in.sockets.Files(slot))
	c.Files[1], c.Files[2] = in.logs.stdout, in.logs.stderr
	in.score(c, row)
	c.ListenPID = env.value("LISTEN_FDS") != ""
	c.Foreground = in.terminal.isOurs()
	c.Direct = in.plain
	return c
}

// probe is a command that judges a generation. It is given no listener: it
// has to come to them as a client would.
func (in *instance) probe(env environ) *launch.Command {
	c := in.surroundings(visitor(env))
	c.Argv = in.settings.Probe
	c.Files = []uintptr{0, in.logs.stdout, in.logs.stderr}
	return c
}

// visitor is the environment of a command that is given no listener, and is no
// worker.
func visitor(env environ) environ {
	return env.without("LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC")
}

func (in *instance) surroundings(env environ) *launch.Command {
	return &launch.Command{
		Environ:     env,
		Dir:         in.dir,
		Umask:       int(in.settings.Umask),
		Credential:  in.credential,
		DeathSignal: syscall.Signal(in.settings.DeathSignal),
		NoNewPrivs:  bool(in.settings.NoNewPrivs),
	}
}

// explain names the setting that a step of a start was taken for.
func (in *instance) explain(err error) error {
	var failure *launch.Failure
	if !errors.As(err, &failure) {
		return err
	}
	name := map[string]string{
		"chdir": "dir", "setgroups": "user", "setresgid": "user", "setresuid": "user", "no_new_privs": "no-new-privs",
	}[failure.Stage]
	if name == "" || !in.settings.Given(name) {
		return err
	}
	return settingError(name, err)
}
