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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/doctor"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
	"server-starter/initd/socket"
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
	specs, status, err := parseSpecs(s, err)
	if err != nil {
		return fatal(status, err)
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
	case settings.Check:
		closeOnExec()
		return doctor.Examine(s, specs.workers)
	}
	parent := inherit()
	if s.Daemonize && parent == nil {
		if err := beforeDaemonize(s); err != nil {
			return fatal(exitSetup, err)
		}
		return daemonize(argv)
	}
	closeOnExec()
	in, err := setUp(s, specs, parent)
	if err != nil {
		return fatal(exitSetup, err)
	}
	return in.run()
}

// addresses are where there are to be sockets.
type addresses struct {
	workers       []socket.Spec
	http, control []socket.Spec // one each, or none
}

// parseSpecs reads the listeners' grammar, which is no affair of the settings,
// and adds what is wrong with it to what else is. What is well written and yet
// can never be bound is an error of another kind, with another exit status.
func parseSpecs(s *settings.Settings, err error) (specs addresses, status int, _ error) {
	var problems settings.Problems
	if err != nil && !errors.As(err, &problems) {
		return specs, exitUsage, err
	}
	var impossible []error
	parse := func(name, text string, parse func(string) (socket.Spec, error)) (spec socket.Spec) {
		known := func(p settings.Problem) bool { return p.Setting == name && p.Value == text }
		spec, err := parse(text)
		switch {
		case slices.ContainsFunc(problems, known):
		case errors.Is(err, socket.ErrRange):
			impossible = append(impossible, err)
		case err != nil:
			problems = append(problems, settings.Problem{Reason: err.Error()})
		}
		return spec
	}
	for _, text := range s.Port {
		specs.workers = append(specs.workers, parse("port", text, socket.ParsePort))
	}
	for _, text := range s.Path {
		specs.workers = append(specs.workers, parse("path", text, socket.ParsePath))
	}
	if s.HTTP != "" {
		specs.http = []socket.Spec{parse("http", s.HTTP, socket.ParseHTTP)}
	}
	if s.ControlSocket != "" && s.ControlSocket != settings.NoControlSocket {
		specs.control = []socket.Spec{parse("control-socket", string(s.ControlSocket), socket.ParseControl)}
	}
	switch {
	case len(problems) > 0:
		for _, err := range impossible {
			problems = append(problems, settings.Problem{Reason: err.Error()})
		}
		return addresses{}, exitUsage, problems
	case len(impossible) > 0:
		return addresses{}, exitSetup, errors.Join(impossible...)
	}
	return specs, 0, nil
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
