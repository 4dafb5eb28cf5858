package initd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
	"server-starter/initd/doctor"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/output"
	"server-starter/initd/pidfile"
	"server-starter/initd/scoreboard"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
	"server-starter/initd/socket"
	"server-starter/initd/statusfile"
	"server-starter/initd/watch"
	"server-starter/reaper"
)

// instance is initd once it is set up.
type instance struct {
	settings      *settings.Settings
	plain         bool    // respawn=never
	base          environ // of workers, before the envdir and what initd adds
	dir           string  // of workers
	envdir        string
	credential    *launch.Credential
	sockets       *socket.Set
	controlSet    *socket.Set // the control socket; nil: none
	httpSet       *socket.Set // of the HTTP endpoint; nil: none
	server        *control.Server
	companionPath string
	lookout       net.Conn // the companion's; nil: none was started
	scale         scale
	relay         *output.Relay // nil: what workers write to stderr does not come by initd
	started       time.Time
	relistened    int64             // listeners that workers had shut down
	board         *scoreboard.Board // nil: none
	surveyor      surveyor
	watch         *watch.Watch // nil: nothing is watched
	changes       chan string  // names of what is watched and has changed
	warnings      chan warning
	notify        map[int]*notify.Server // by generation
	notes         chan note
	broken        chan error
	supervisor    string // NOTIFY_SOCKET that initd was started with
	terminal      *terminal
	start         string           // the directory that initd was started in
	pidFile       *pidfile.File    // nil: none
	statusFile    *statusfile.File // nil: none
	logs          *logs
	parent        *parent // that daemonize left waiting; nil: none
	lines         *logWriter
	stderr        *logWriter // the one initd was started with
	alarms        chan string
	log           *slog.Logger
}

func setUp(s *settings.Settings, specs addresses, parent *parent) (in *instance, err error) {
	in = &instance{
		settings: s, plain: s.Respawn == settings.Never, parent: parent, started: time.Now(),
		notify: map[int]*notify.Server{}, notes: make(chan note), surveyor: surveyor{results: make(chan machine.Surveyed), said: map[string]bool{}},
		changes: make(chan string), warnings: make(chan warning),
		broken: make(chan error, 1), alarms: make(chan string, 16),
	}
	in.server = control.NewServer(in.complete, func(text string) { in.warnings <- warning{"defect", text} })
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
	options := socket.Options{Backlog: s.Backlog, Mode: s.SocketMode, UID: -1, GID: -1, Environ: initial, Elsewhere: doctor.IsPatient(),
		ReusePort: s.ReusePort && !in.plain, Slots: s.MaxWorkers}
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
	if in.sockets, err = socket.Open(specs.workers, options); err != nil {
		in.removeFiles()
		return nil, err
	}
	err = errors.Join(in.openHTTP(specs.http), in.openControl(specs.control))
	if !in.plain {
		err = errors.Join(err, in.openBoard(), in.openWatch())
	}
	if err != nil {
		in.closeSockets()
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
	in.openRelay()
	reserveThreads(in.plain && !in.steered(), in.blocking())

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
	if in.steered() {
		in.log = withEvents(in.log, in.server)
	}
	return in, nil
}

// closeSockets closes those that initd made, and unlinks their files.
func (in *instance) closeSockets() {
	for _, set := range []*socket.Set{in.sockets, in.httpSet, in.controlSet} {
		if set != nil {
			set.Close()
		}
	}
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

// run is initd from the first worker to the last.
func (in *instance) run() (status int) {
	defer in.removeFiles()
	defer in.closeSockets()
	defer in.closeBoard()
	for _, note := range in.settings.Notes {
		in.log.Warn(note, "event", "note")
	}
	for _, note := range in.sockets.Notes() {
		in.log.Warn(note, "event", "note")
	}
	for _, l := range in.sockets.All() {
		in.log.Info("listening on "+l.Key, "event", "listen", "network", l.Network, "address", l.Address, "fd", l.Number)
	}
	in.watchFiles()
	in.listenControl()
	in.sayHTTP()
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
	in.server.Close(clientGrace)
	until := time.Now().Add(logGrace)
	if in.relay != nil {
		in.relay.Close(time.Second) // as stderr, to which it leads, is given
	}
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
		changes:    in.changes,
		survey:     in.survey,
		surveys:    in.surveyor.results,
		warnings:   in.warnings,
		steer:      in.steer,
		claim:      in.claim,
		seat:       in.seat,
		release:    in.release,
		background: inBackground,
		command:    in.command,
		hook:       in.hook,
		probe:      in.probe,
		logger:     in.logger,
		alarm:      in.alarm,
		alarms:     in.alarms,
		calls:      in.server.Calls(),
		calm:       in.server.Calm(),
		facts:      in.facts,
		inForce:    in.inForce,
		row:        in.row,
		companion:  in.companion,
		changed:    in.server.Changed,
		tail:       in.tail,
		told:       func(o machine.Outcome) { in.server.Tell(outcomeOf(o)) },
		transcript: in.settings.LogLevel == settings.Debug,
	}
	if !in.plain {
		keepHeapSmall()
		h.rest = freeHeap
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
