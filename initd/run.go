// Package initd is the PID 1 of a container: it binds the listeners, starts
// the program as generations of workers, reaps every process that ends, and
// puts a new generation in place of the old one without losing a connection.
//
// Events change facts, the machine decides, the shell obeys:
//
//	environment, flags ─▶ settings ─┬─▶ sockets (bound once) ─────────────────┐
//	                                └─▶ policy ─▶ machine (pure)              │
//	                                                                          ▼
//	signals · reaped children · readiness · clock ─▶ event ─▶ Step(now, event) ─▶ actions ─▶ loop
//	                                                              ▲                           │
//	                                                              └── results are events too ─┘
//
// [Run] is the whole program. Before the first worker it may fail; after it
// nothing is fatal: every failure is an event or a line of the log.
package initd

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/addresses"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
)

// The exit statuses that are initd's own. 126 and 127 come from package launch.
const (
	exitFailed = 1   // of a request, or of daemonize: it has failed
	exitUsage  = 64  // wrong usage or settings
	exitDefect = 70  // a defect in initd
	exitSetup  = 125 // initd could not set itself up
)

// Run is initd from its arguments to its exit status. Under the name
// start_server it reads them as that does.
func Run(argv []string) (status int) {
	// The death signal of workers belongs to the thread that started them, so
	// there is only one, and it lasts as long as initd: prctl(2).
	runtime.LockOSThread()

	load := settings.Load
	if filepath.Base(argv[0]) == settings.StartServer {
		load = settings.LoadStartServer
	}
	s, err := load(argv[1:])
	if s.Request == settings.Check {
		return fatal(exitUsage, errors.New("--check has moved: run initctl check [settings] -- command"))
	}
	where, err := addresses.Parse(s, err)
	if err != nil {
		if errors.As(err, new(settings.Problems)) {
			return fatal(exitUsage, err)
		}
		return fatal(exitSetup, err)
	}
	if s.Answer != "" {
		fmt.Print(s.Answer)
		return 0
	}
	switch s.Request {
	case settings.Restart:
		signals.Release() // who asks may lose patience
		return answer(restart(s.PidFile, s.StatusFile))
	case settings.Stop:
		signals.Release()
		return answer(stop(s.PidFile))
	}
	parent := inherit()
	if s.Daemonize && parent == nil {
		if err := beforeDaemonize(s); err != nil {
			return fatal(exitSetup, err)
		}
		return daemonize(argv)
	}
	closeOnExec()
	in, err := setUp(s, where, parent)
	if err != nil {
		return fatal(exitSetup, err)
	}
	return in.run()
}

// fatal says why initd cannot go on, also where Kubernetes looks.
func fatal(status int, err error) int {
	text := "initd: " + err.Error() + "\n"
	terminationLog(text)
	stderr := newLogWriter(2)
	stderr.Write([]byte(text))
	stderr.Close(time.Second)
	return status
}

// terminationLog is where a container says why it ended. Where nobody made the
// file, nobody reads it. What the program wrote there itself stays.
func terminationLog(text string) {
	if f, err := os.OpenFile("/dev/termination-log", os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0); err == nil {
		f.WriteString(text)
		f.Close()
	}
}

// closeOnExec keeps what initd was started with from its workers. Sockets that
// are adopted are among it and are handed on by their own way.
func closeOnExec() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// Before Linux 5.11, or under a seccomp filter of that age.
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

func settingError(name string, err error) error {
	variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return fmt.Errorf("SERVER_STARTER_%s (--%s): %w", variable, name, err)
}
