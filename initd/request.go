package initd

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/pidfile"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
	"server-starter/initd/statusfile"
)

// What is asked of an initd that runs already, by another process.

// request asks an initd that runs already, and returns the exit status.
func request(s *settings.Settings) int {
	signals.Release() // so that whoever asks can interrupt it
	ask := map[settings.Request]func() error{
		settings.Restart: func() error { return restart(s.PidFile, s.StatusFile) },
		settings.Stop:    func() error { return stop(s.PidFile) },
	}
	if err := ask[s.Request](); err != nil {
		fmt.Fprintln(os.Stderr, "initd: "+eventlog.PrintableLines(err.Error()))
		return exitFailed
	}
	return 0
}

// restart asks for a swap and waits until a generation is left alone that was
// begun later than now: one that is under way may know the old program.
func restart(pidFile, statusFile string) error {
	initd, err := pidfile.Find(pidFile)
	if err != nil {
		return err
	}
	defer initd.Close()
	generations, err := statusfile.Generations(statusFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	last, _, ok := initd.Attempts() // else the status file of start_server has to do
	switch {
	case !ok && len(generations) == 0:
		return fmt.Errorf("status-file %s: it names no generation", statusFile)
	case !ok:
		last = generations[len(generations)-1]
	case err != nil:
		fmt.Fprintln(os.Stderr, "initd: waiting for the first generation to be ready: "+eventlog.Printable(err.Error()))
	}
	if err := initd.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	for look := firstLook; ; look.wait() {
		alive := initd.Alive() // before the files are looked at: they go first
		generations, err := statusfile.Generations(statusFile)
		attempt, givenUp, ok := initd.Attempts()
		switch {
		case !alive:
			return fmt.Errorf("initd (process %d) has ended", initd.PID)
		case err == nil && len(generations) == 1 && generations[0] > last && (!ok || generations[0] <= attempt):
			return nil // and it is not what one that was killed has left behind
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		case ok && givenUp > last:
			return fmt.Errorf("generation %d was refused or given up, and the old one is still serving; initd's log has the reason", givenUp)
		}
	}
}

// stop asks initd to stop and waits until it has gone.
func stop(pidFile string) error {
	initd, err := pidfile.Find(pidFile)
	if err != nil {
		return err
	}
	defer initd.Close()
	if err := initd.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	for look := firstLook; initd.Alive(); look.wait() {
	}
	return nil
}

// interval is the time from one look at the files to the next. What takes
// longer may be seen a little later.
type interval time.Duration

const (
	firstLook = interval(time.Millisecond)
	lastLook  = interval(50 * time.Millisecond)
)

func (i *interval) wait() {
	time.Sleep(time.Duration(*i))
	*i = min(*i*5/4, lastLook)
}
