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
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/doctor"
	"server-starter/initd/envdir"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/pidfile"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
	"server-starter/initd/socket"
	"server-starter/initd/statusfile"
	"server-starter/reaper"
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
		return doctor.Examine(s, specs)
	}
	parent := inherit()
	if s.Daemonize && parent == nil {
		return daemonize(argv)
	}
	closeOnExec()
	in, err := setUp(s, specs, parent)
	if err != nil {
		return fatal(exitSetup, err)
	}
	return in.run()
}

// parseSpecs reads the listeners' grammar, which is no affair of the settings,
// and adds what is wrong with it to what else is. What is well written and yet
// can never be bound is an error of another kind, with another exit status.
func parseSpecs(s *settings.Settings, err error) (specs []socket.Spec, status int, _ error) {
	var problems settings.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, exitUsage, err
	}
	var impossible []error
	for i, text := range slices.Concat(s.Port, s.Path) {
		name, parse := "port", socket.ParsePort
		if i >= len(s.Port) {
			name, parse = "path", socket.ParsePath
		}
		known := func(p settings.Problem) bool { return p.Setting == name && p.Value == text }
		spec, err := parse(text)
		switch {
		case slices.ContainsFunc(problems, known):
		case errors.Is(err, socket.ErrRange):
			impossible = append(impossible, err)
		case err != nil:
			problems = append(problems, settings.Problem{Reason: err.Error()})
		}
		specs = append(specs, spec)
	}
	switch {
	case len(problems) > 0:
		for _, err := range impossible {
			problems = append(problems, settings.Problem{Reason: err.Error()})
		}
		return nil, exitUsage, problems
	case len(impossible) > 0:
		return nil, exitSetup, errors.Join(impossible...)
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

// instance is initd once it is set up.
type instance struct {
	settings   *settings.Settings
	plain      bool    // respawn=never
	base       environ // of workers, before the envdir and what initd adds
	dir        string  // of workers
	envdir     string
	credential *launch.Credential
	sockets    *socket.Set
	notify     map[int]*notify.Server // by generation
	notes      chan note
	broken     chan error
	supervisor string // NOTIFY_SOCKET that initd was started with
	terminal   *terminal
	start      string           // the directory that initd was started in
	pidFile    *pidfile.File    // nil: none
	statusFile *statusfile.File // nil: none
	logs       *logs
	parent     *parent // that daemonize left waiting; nil: none
	lines      *logWriter
	stderr     *logWriter // the one initd was started with
	alarms     chan string
	log        *slog.Logger
}

func setUp(s *settings.Settings, specs []socket.Spec, parent *parent) (in *instance, err error) {
	in = &instance{
		settings: s, plain: s.Respawn == settings.Never, parent: parent,
		notify: map[int]*notify.Server{}, notes: make(chan note), broken: make(chan error, 1), alarms: make(chan string, 16),
	}
	if s.RequireRoot && os.Geteuid() != 0 {
		return nil, settingError("require-root", fmt.Errorf("initd runs as uid %d and not as root: start it as root, or do without the setting", os.Geteuid()))
	}
	initial := environ(os.Environ())
	in.supervisor = initial.value("NOTIFY_SOCKET")
	in.base = environ(settings.Scrub(socket.Scrub(initial))).without(parentVariable).with(s.Handed...)
	in.start, _ = os.Getwd()

	// Whatever was given relative means the directory initd was started in.
	if in.dir, err = filepath.Abs(cmp.Or(s.Dir, ".")); err != nil && s.Dir != "" {
		return nil, settingError("dir", err)
	}
	if _, err := os.Readlink("/proc/self/exe"); err != nil {
		return nil, fmt.Errorf("%w; initd starts workers by /proc: mount it (mount -t proc proc /proc)", err)
	}
	if s.Envdir != "" {
		if in.envdir, err = filepath.Abs(s.Envdir); err != nil {
			return nil, err
		}
	}
	if s.User.User != "" {
		if in.credential, err = launch.LookupUser(s.User.String()); err != nil {
			return nil, settingError("user", err)
		}
	}
	options := socket.Options{Backlog: s.Backlog, Mode: s.SocketMode, UID: -1, GID: -1, Environ: initial, Elsewhere: doctor.IsPatient()}
	if s.SocketOwner.User != "" {
		owner, err := launch.LookupUser(s.SocketOwner.String())
		if err != nil {
			return nil, settingError("socket-owner", err)
		}
		options.UID, options.GID = int(owner.UID), int(owner.GID)
	}
	if err := reaper.Subreaper(); err != nil {
		return nil, err
	}
	if err := in.openFiles(); err != nil {
		return nil, err
	}
	if parent != nil {
		parent.once, parent.path = s.MaxFailures == 1, in.logs.path
	}
	if in.sockets, err = socket.Open(specs, options); err != nil {
		in.removeFiles()
		return nil, err
	}
	if in.plain {
		in.terminal = openTerminal()
	}
	if s.Dir != "" {
		os.Chdir("/")
	} else if !leave(in.dir) {
		in.dir = "" // initd's own
	}
	reserveThreads(in.plain, in.writers())

	in.stderr = newLogWriter(2)
	in.lines = in.stderr
	if in.logs.own != 2 {
		in.lines = newLogWriter(in.logs.own)
	}
	level := map[settings.LogLevel]slog.Level{settings.Debug: slog.LevelDebug, settings.Info: slog.LevelInfo,
		settings.Warn: slog.LevelWarn, settings.Error: slog.LevelError}[s.LogLevel]
	if in.plain && !s.Given("log-level") {
		level = slog.LevelError // a plain init has little to tell of its own
	}
	in.log = newLog(in.lines, s.LogFormat == settings.JSON || s.LogFormat == settings.AutoFormat && !isTerminal(in.logs.own), level)
	return in, nil
}

// leave changes to the root directory, so that no file system is kept from
// being unmounted, and reports whether the workers can come back to dir, which
// initd was started in: it may have been removed, or lie beneath one that this
// user may not enter. Then initd stays there, as any other init would.
func leave(dir string) bool {
	here, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(here)
	os.Chdir("/")
	if dir == "" || os.Chdir(dir) != nil {
		unix.Fchdir(here)
		return false
	}
	os.Chdir("/")
	return true
}

func settingError(name string, err error) error {
	variable := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return fmt.Errorf("SERVER_STARTER_%s (--%s): %w", variable, name, err)
}

// run is initd from the first worker to the last.
func (in *instance) run() (status int) {
	defer in.removeFiles()
	defer in.sockets.Close()
	for _, note := range in.settings.Notes {
		in.log.Warn(note, "event", "note")
	}
	for _, l := range in.sockets.All() {
		in.log.Info("listening on "+l.Key, "event", "listen", "network", l.Network, "address", l.Address, "fd", l.Number)
	}
	l := newLoop(in.host(), machine.New(in.policy()), in.log)
	defer func() {
		if p := recover(); p != nil {
			in.log.Error(fmt.Sprintf("defect in initd: %v\n%s", p, debug.Stack()), "event", "defect")
			l.rescue(in.settings.SignalOnTERM)
			status = exitDefect
			in.end(l, fmt.Sprintf("defect: %v", p))
		}
	}()
	exit := l.run()
	level, reason := slog.LevelInfo, exit.Reason
	if exit.Status == 0 {
		reason = ""
	}
	if reason != "" {
		level = slog.LevelError
	}
	in.log.Log(context.Background(), level, cmp.Or(exit.Reason, "exiting"), "event", "exit", "exit_status", exit.Status)
	in.end(l, reason)
	return exit.Status
}

// end says why initd ends, unless it was asked to, and sees that what was
// written arrives.
func (in *instance) end(l *loop, reason string) {
	if in.terminal != nil {
		in.terminal.take()
	}
	if reason != "" {
		in.plead(reason)
		terminationLog("initd: " + reason + "\n")
	}
	until := time.Now().Add(logGrace)
	if in.lines != in.stderr {
		in.lines.Close(logGrace)
	}
	in.logs.close(until, l.outlive, func(text []byte) { in.stderr.Write(text) })
	in.stderr.Close(time.Second)
}

// host is the real world for the loop.
func (in *instance) host() host {
	h := host{
		now:        time.Now,
		start:      launch.Start,
		kill:       syscall.Kill,
		reap:       func(each func(reaper.Exit)) bool { return reaper.Drain(0, each) },
		orphans:    orphans(),
		others:     others,
		prepare:    in.prepare,
		relisten:   in.relisten,
		hint:       in.hint,
		explain:    in.explain,
		report:     in.report,
		announced:  in.parent.told,
		publish:    in.publish,
		reopen:     in.reopen,
		signals:    signalChannels{signals.Child, signals.Hangup, signals.Stop, signals.Other},
		notes:      in.notes,
		trusts:     in.trusts,
		forget:     in.forget,
		broken:     in.broken,
		command:    in.command,
		probe:      in.probe,
		logger:     in.logger,
		alarm:      in.alarm,
		alarms:     in.alarms,
		transcript: in.settings.LogLevel == settings.Debug,
	}
	if !in.plain {
		h.rest = newMemory().giveBack
	}
	if in.terminal != nil {
		h.start = func(c *launch.Command) (pid int, outcome <-chan error, err error) {
			pid, outcome, err = launch.Start(c)
			if c.Direct { // and so no log command
				in.terminal.command = pid
			}
			return pid, outcome, err
		}
	}
	if in.terminal != nil && os.Getpid() != 1 {
		// PID 1 cannot be suspended: its command stays so until it is sent CONT.
		h.reap = func(each func(reaper.Exit)) bool { return reaper.Drain(syscall.WUNTRACED, each) }
		h.suspend = in.terminal.suspend
		h.resume = in.terminal.give
	}
	return h
}

// hear opens the notification socket of a generation and returns its address.
// What it brings goes to the loop, one at a time.
func (in *instance) hear(generation int) (address string, err error) {
	server, err := notify.Listen()
	if err != nil {
		return "", err
	}
	in.notify[generation] = server
	go func() {
		defer func() {
			if p := recover(); p != nil {
				in.broken <- fmt.Errorf("%v\n%s", p, debug.Stack())
			}
		}()
		for {
			message, err := server.Receive()
			if err != nil {
				return // closed
			}
			in.notes <- note{generation, message}
		}
	}()
	return server.Address(), nil
}

// forget closes the notification socket of a generation.
func (in *instance) forget(generation int) {
	if server := in.notify[generation]; server != nil {
		server.Close()
		delete(in.notify, generation)
	}
}

// trusts reports whether a user is the workers', initd's own or root.
func (in *instance) trusts(uid int) bool {
	return uid == 0 || uid == os.Geteuid() || in.credential != nil && uid == int(in.credential.UID)
}

// orphans returns how to send a signal to every child there is, each signal
// once to each child. Only PID 1 may mean every process by that: elsewhere it
// would be the whole machine. Where some are spared it means each by itself.
func orphans() func(syscall.Signal, map[int]*process) {
	type letter struct {
		pid    int
		signal syscall.Signal
	}
	sent := map[letter]bool{}
	return func(signal syscall.Signal, spared map[int]*process) {
		pids := []int{-1}
		if os.Getpid() != 1 || len(spared) > 0 {
			pids, _ = reaper.Children()
		}
		for _, pid := range pids {
			if l := (letter{pid, signal}); !sent[l] && spared[pid] == nil {
				sent[l] = true
				syscall.Kill(pid, signal)
			}
		}
	}
}

// others reports whether there is any child but those.
func others(spared map[int]*process) bool {
	pids, err := reaper.Children()
	return err != nil || slices.ContainsFunc(pids, func(pid int) bool { return spared[pid] == nil })
}

// prepare reads the environment of a generation. It is the same for all its
// workers but for their slot.
func (in *instance) prepare(generation int) (environ, machine.Timing, error) {
	env := in.base
	now := in.settings
	if in.envdir != "" {
		assignments, err := envdir.Read(in.envdir)
		if err != nil {
			return nil, machine.Timing{}, settingError("envdir", err)
		}
		overrides, err := settings.Reload(assignments)
		if err != nil {
			return nil, machine.Timing{}, settingError("envdir", err)
		}
		now = in.settings.With(overrides)
		env = env.with(assignments...)
	}
	env = env.without("LISTEN_PID").with(in.sockets.Environ(in.settings.Export)...)
	env = env.with("SERVER_STARTER_GENERATION=" + strconv.Itoa(generation))
	if !in.plain {
		address, err := in.hear(generation)
		if err != nil {
			return nil, machine.Timing{}, err
		}
		env = env.without("WATCHDOG_PID", "WATCHDOG_USEC").with("NOTIFY_SOCKET=" + address)
		if in.settings.Watchdog > 0 {
			env = env.with("WATCHDOG_USEC=" + strconv.FormatInt(in.settings.Watchdog.Microseconds(), 10))
		}
	}
	return env, timing(now), nil
}

// command is a worker.
func (in *instance) command(slot int, env environ) *launch.Command {
	c := in.surroundings(env.with("SERVER_STARTER_WORKER=" + strconv.Itoa(slot)))
	c.Argv = in.settings.Command
	c.Files = slices.Clone(in.sockets.Files())
	c.Files[1], c.Files[2] = in.logs.stdout, in.logs.stderr
	c.ListenPID = env.value("LISTEN_FDS") != ""
	c.Foreground = in.terminal.isOurs()
	c.Direct = in.plain
	return c
}

// probe is a command that judges a generation. It is given no listener: it
// has to come to them as a client would.
func (in *instance) probe(env environ) *launch.Command {
	c := in.surroundings(env.without("LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC"))
	c.Argv = in.settings.Probe
	c.Files = []uintptr{0, in.logs.stdout, in.logs.stderr}
	return c
}

func (in *instance) surroundings(env environ) *launch.Command {
	return &launch.Command{
		Environ:     env,
		Dir:         in.dir,
		Umask:       in.settings.Umask,
		Credential:  in.credential,
		DeathSignal: in.settings.DeathSignal,
		NoNewPrivs:  in.settings.NoNewPrivs,
	}
}

// relisten mends what a worker that called shutdown(2) has done to all.
func (in *instance) relisten() {
	mended, err := in.sockets.Relisten()
	for _, m := range mended {
		text := "a worker had shut down the listener " + m.Key + " for everyone; it listens again"
		if m.Replaced {
			text += " as a new socket, which workers that run already do not have: a swap (HUP) gives it to them"
		}
		in.log.Warn(text, "event", "relisten", "key", m.Key)
	}
	if err != nil {
		in.log.Error(err.Error(), "event", "relisten")
	}
}

// hint guesses, from the listeners, why a program does not come up.
func (in *instance) hint() string {
	for _, q := range in.sockets.Waiting() {
		if q.Length > 0 {
			return fmt.Sprintf("%d connections wait on %s and nobody accepts them: does the program take the socket it is handed?", q.Length, q.Key)
		}
	}
	if in.sockets.Len() > 0 {
		return "a program that binds the port itself fails with EADDRINUSE, for initd holds it: let it take the inherited socket"
	}
	return ""
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

// report speaks to the supervisor of initd itself, if there is one.
func (in *instance) report(state string) {
	if err := notify.Send(in.supervisor, state); err != nil {
		in.log.Debug(err.Error(), "event", "report-failed")
	}
}
