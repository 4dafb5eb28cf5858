package initd

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

// hook is a command of the operator's, so it runs as initd's own user, but with
// the environment of the generation it is about, and with what it is told. It
// is given no listener.
func (in *instance) hook(a machine.RunHook, env environ) *launch.Command {
	if env == nil { // there is no generation
		if env, _, _ = in.read(); env == nil {
			env = in.base
		}
	}
	result := "success"
	if a.Failure != "" {
		result = "failure"
	}
	if a.Generation > 0 { // whose environment may be gone by now, or could not be read
		env = env.with("SERVER_STARTER_GENERATION=" + strconv.Itoa(a.Generation))
	}
	env = visitor(env).with("SERVER_STARTER_EVENT="+a.Hook.String(), "SERVER_STARTER_RESULT="+result, "SERVER_STARTER_REASON="+a.Failure)
	if a.PID != 0 {
		env = env.with("SERVER_STARTER_WORKER="+strconv.Itoa(a.Slot), "SERVER_STARTER_PID="+strconv.Itoa(a.PID))
	}
	c := in.surroundings(env)
	c.Credential, c.NoNewPrivs = nil, false
	c.Argv = hooks(in.settings)[a.Hook]
	c.Files = []uintptr{0, in.logs.stdout, in.logs.stderr}
	return c
}

func hooks(s *settings.Settings) map[machine.Hook][]string {
	return map[machine.Hook][]string{
		machine.AfterInit: s.HookAfterInit, machine.BeforeSwap: s.HookBeforeSwap,
		machine.AfterSwap: s.HookAfterSwap, machine.BeforeShutdown: s.HookBeforeShutdown,
		machine.OnDisconnect: s.HookOnDisconnect,
	}
}

// beforeDaemonize runs the hook that comes before there is an initd.
func beforeDaemonize(s *settings.Settings) error {
	if len(s.HookBeforeDaemonize) == 0 {
		return nil
	}
	env := environ(settings.Scrub(socket.Scrub(os.Environ()))).with(s.Handed...).with("SERVER_STARTER_EVENT=before-daemonize")
	pid, outcome, err := launch.Start(&launch.Command{
		Argv: s.HookBeforeDaemonize, Environ: env, Dir: s.Dir, Umask: int(s.Umask), DeathSignal: syscall.Signal(s.DeathSignal), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return settingError("hook-before-daemonize", err)
	}
	limit := time.AfterFunc(time.Duration(cmp.Or(s.HookTimeout, math.MaxInt64)), func() { syscall.Kill(-pid, syscall.SIGKILL) })
	// It stays a zombie, and its pid its own, until nobody may kill it any more.
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	timely := limit.Stop()
	var ended syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &ended, 0, nil); err != syscall.EINTR {
			break
		}
	}
	switch err := <-outcome; {
	case err != nil:
		return settingError("hook-before-daemonize", err)
	case !timely:
		return settingError("hook-before-daemonize", fmt.Errorf("it has not ended within hook-timeout=%v", time.Duration(s.HookTimeout)))
	case ended != 0:
		return settingError("hook-before-daemonize", fmt.Errorf("it ended with %v", statusOf(reaper.Exit{PID: pid, Status: ended})))
	}
	return nil
}
