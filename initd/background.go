package initd

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/daemon"
	"server-starter/initd/eintr"
	"server-starter/initd/environment"
	"server-starter/initd/launch"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

// goToBackground starts initd again as a daemon, and returns the exit status.
func goToBackground(argv []string) int {
	status, err := daemon.Start(argv, signals.Stop)
	switch {
	case errors.Is(err, daemon.ErrPID1):
		return fatal(exitSetup, settingError("daemonize", err))
	case err != nil:
		return fatal(exitSetup, err)
	}
	return status
}

// beforeDaemonize runs the hook that comes before initd goes to the background,
// when there is no loop yet.
func beforeDaemonize(s *settings.Settings) error {
	if len(s.HookBeforeDaemonize) == 0 {
		return nil
	}
	env := environ(settings.Scrub(socket.Scrub(environment.Environ()))).with(s.Handed...).with("SERVER_STARTER_EVENT=before-daemonize")
	death, _ := deathSignal(s) // the initd in the background reports the error
	pid, outcome, err := launch.Start(&launch.Command{
		Argv: s.HookBeforeDaemonize, Environ: env, Dir: s.Dir, Umask: int(s.Umask), DeathSignal: death, Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return settingError("hook-before-daemonize", err)
	}
	limit := time.AfterFunc(time.Duration(cmp.Or(s.HookTimeout, math.MaxInt64)), func() { syscall.Kill(-pid, syscall.SIGKILL) })
	// It stays a zombie, and its pid its own, until nobody may kill it any more.
	eintr.Retry(func() error { return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) })
	timely := limit.Stop()
	var ended unix.WaitStatus
	eintr.Retry(func() error { _, err := unix.Wait4(pid, &ended, 0, nil); return err })
	outcome.Ended()
	switch err := outcome.Wait(); {
	case err != nil:
		return settingError("hook-before-daemonize", err)
	case !timely:
		return settingError("hook-before-daemonize", fmt.Errorf("not finished within hook-timeout=%v", time.Duration(s.HookTimeout)))
	case ended != 0:
		return settingError("hook-before-daemonize", errors.New(statusOf(reaper.Exit{PID: pid, Status: syscall.WaitStatus(ended)}).Words()))
	}
	return nil
}
