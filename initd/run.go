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
//
// The files are layers. Run reads the settings and setUp opens what they ask for
// (run.go, setup.go); an instance owns that (instance.go, resources.go, programs.go,
// journal.go, published.go, api.go); the loop gives events to the machine and carries
// out its actions (loop.go, act.go), which start children in roles (child.go, worker.go,
// probe.go, hook.go, logcommand.go, http.go) by the kernel (kernel.go). Other goroutines
// reach the loop by its inbox alone (inbox.go). docs/DESIGN.md follows the arguments and
// a HUP through them.
package initd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"server-starter/initd/addresses"
	"server-starter/initd/daemon"
	"server-starter/initd/entry"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
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
// start_server it reads the arguments as that does.
func Run(argv []string) (status int) {
	// The death signal of workers belongs to the thread that started them, so
	// there is only one, and it lasts as long as initd: prctl(2).
	runtime.LockOSThread()
	entry.Commit()

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
		return fatal(exitUsage, err)
	}
	if s.Answer != "" {
		signals.Release() // so that a terminal can suspend it (stty tostop); termios(3)
		fmt.Print(s.Answer)
		return 0
	}
	if s.Request != settings.None {
		return request(s)
	}
	parent := daemon.Inherited()
	if s.Daemonize && parent == nil {
		if err := beforeDaemonize(s); err != nil {
			return fatal(exitSetup, err)
		}
		return goToBackground(argv)
	}
	in, err := setUpUnlessStopped(s, where, parent)
	if err != nil {
		return fatal(exitSetup, err)
	}
	if err := reserveThreads(in.programs.plain() && !in.isReachable() && !in.settings.Binds(), in.blocking()); err != nil {
		in.close()
		return fatal(exitSetup, err)
	}
	return in.run()
}

// setUpGrace is how long a set-up may go on after a signal that stops initd, and then
// has to give up.
const setUpGrace = time.Second

// setUpUnlessStopped sets an instance up. That may take long, where a name server does not
// answer or a file system hangs: TERM, INT and QUIT end it then, which PID 1 would not
// notice otherwise; signal(7). One that is about to be set up stops as always.
func setUpUnlessStopped(s *settings.Settings, where addresses.Addresses, parent *daemon.Parent) (*instance, error) {
	type result struct {
		*instance
		error
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan result, 1)
	go func() {
		in, err := setUp(ctx, s, where, parent)
		done <- result{in, err}
	}()
	select {
	case r := <-done:
		return r.instance, r.error
	case stop := <-signals.Stop:
		for range 2 {
			select {
			case r := <-done:
				if r.error == nil {
					select {
					case signals.Stop <- stop: // for the loop
					default: // which has more of them than it needs
					}
				}
				return r.instance, r.error
			case <-time.After(setUpGrace):
				cancel()
			}
		}
		return nil, fmt.Errorf("%v came before initd was set up; does a file system hang?", machine.Signal(stop.(syscall.Signal)))
	}
}

// fatal writes why initd cannot start to its standard error, and to where Kubernetes
// reads it. It returns the status.
func fatal(status int, err error) int {
	text := "initd: " + eventlog.PrintableLines(err.Error()) + "\n"
	terminationLog(text)
	stderr := eventlog.NewWriter(2, func(run func()) { go run() })
	stderr.Write([]byte(text))
	stderr.Close(time.Second)
	return status
}

// settingError names the setting that an error is due to.
func settingError(name string, err error) error {
	variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return fmt.Errorf("SERVER_STARTER_%s (--%s): %w", variable, name, err)
}
