package initd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/addresses"
	"server-starter/initd/bindfilter"
	"server-starter/initd/control"
	"server-starter/initd/daemon"
	"server-starter/initd/envdir"
	"server-starter/initd/environment"
	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/output"
	"server-starter/initd/pidfile"
	"server-starter/initd/scoreboard"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/initd/statusfile"
	"server-starter/initd/terminal"
)

// setup is what is needed only while an instance is being set up.
type setup struct {
	*instance
	where   addresses.Addresses
	initial environ // that initd was started with
	options socket.Options
	context context.Context // over when initd is to stop
}

// setUp sets up what settings ask for, in an order in which a second instance
// touches nothing of a first, and nothing outside initd has changed where a user or
// a directory is wrong. On an error all is as it was.
//
// A look-up of a host name ends with the context.
func setUp(ctx context.Context, s *settings.Settings, where addresses.Addresses, parent *daemon.Parent) (*instance, error) {
	in := &instance{settings: s, started: time.Now(), inbox: newInbox()}
	in.parent, in.surveys = parent, newGate(in.inbox.start)
	in.published = newPublished(in.inbox, parent)
	in.programs = &programs{settings: s, background: parent != nil, resources: &in.resources, read: envdir.Read, gate: newGate(in.inbox.start)}
	in.server = control.NewServer(in.inbox.sink(), new(control.Memory).Complete)
	up := setup{instance: in, where: where, initial: environment.Environ(), context: ctx}
	for _, step := range []func() error{
		up.checkRights, up.setDirectories, up.lookUpUsers, up.checkBinds, up.adoptOrphans, up.chooseDeathSignal,
		up.openPidFile, up.openStatusFile, up.openLogs, up.openSockets, closeOnExec, up.openRest,
	} {
		if err := step(); err != nil {
			in.close()
			return nil, err
		}
	}
	up.noteLauncher()
	up.giveStreams()
	up.changeToRoot()
	if !in.programs.plain() {
		keepHeapSmall()
	}
	up.openLog()
	return in, nil
}

// checkRights checks the user that initd runs as, and that there is /proc.
func (up *setup) checkRights() error {
	if uid := os.Geteuid(); up.settings.RequireRoot && uid != 0 {
		return settingError("require-root", fmt.Errorf("initd runs as uid %d, not as root: start it as root, or remove the setting", uid))
	}
	if _, err := os.Readlink("/proc/self/exe"); err != nil {
		return fmt.Errorf("%w; initd needs /proc to start workers: mount it (mount -t proc proc /proc)", err)
	}
	return nil
}

// setDirectories sets the directories and the environment of workers. A relative
// path is relative to the directory that initd was started in.
func (up *setup) setDirectories() (err error) {
	p, s := up.programs, up.settings
	p.base = environ(settings.Scrub(socket.Scrub(up.initial))).without(daemon.Variable).with(s.Handed...)
	p.started, _ = os.Getwd()
	if p.dir, err = filepath.Abs(cmp.Or(s.Dir, ".")); err != nil && s.Dir != "" {
		return settingError("dir", err)
	}
	if s.Envdir != "" {
		if p.envdir, err = filepath.Abs(s.Envdir); err != nil {
			return settingError("envdir", err)
		}
	}
	return nil
}

// lookUpUsers looks up the users that workers run as and that own unix sockets.
func (up *setup) lookUpUsers() (err error) {
	s := up.settings
	up.options = socket.Options{Backlog: int(s.Backlog), Mode: fs.FileMode(s.SocketMode), UID: -1, GID: -1, Environ: up.initial,
		Elsewhere: bool(s.Examined), ReusePort: bool(s.ReusePort) && !up.programs.plain(), Slots: int(s.MaxWorkers), Context: up.context, Start: up.inbox.start}
	if s.User.User != "" {
		if up.programs.credential, err = launch.LookupUser(s.User.String()); err != nil {
			return settingError("user", err)
		}
		if err := checkSignals(up.programs.uid()); err != nil {
			return settingError("user", err)
		}
	}
	if s.SocketOwner.User != "" {
		owner, err := launch.LookupUser(s.SocketOwner.String())
		if err != nil {
			return settingError("socket-owner", err)
		}
		up.options.UID, up.options.GID = int(owner.UID), int(owner.GID)
	}
	return nil
}

// checkBinds checks what export=bind needs of the kernel and of initd's rights.
func (up *setup) checkBinds() error {
	if !up.settings.Binds() {
		return nil
	}
	if err := bindfilter.Check(); err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		return settingError("export", fmt.Errorf("bind: seccomp: %w: %s", err, bindfilter.Explain(errno)))
	}
	if err := checkMemory(up.programs.uid()); err != nil {
		return settingError("export", fmt.Errorf("bind: %w", err))
	}
	return nil
}

// openPidFile locks the pid file. It comes before all else that is made: where
// another instance is running, this one touches nothing of it.
func (up *setup) openPidFile() (err error) {
	if path := up.settings.PidFile; path != "" {
		if up.published.pidFile, err = pidfile.Lock(absolute(path), up.inbox.start); err != nil {
			return settingError("pid-file", err)
		}
		up.published.record = up.published.pidFile.Publish
	}
	return nil
}

// openStatusFile opens the status file, which a goroutine writes.
func (up *setup) openStatusFile() (err error) {
	path := up.settings.StatusFile
	if path == "" {
		return nil
	}
	if sameFile(path, up.settings.PidFile) {
		return settingError("status-file", fmt.Errorf("%s is also the pid-file: use another file", path))
	}
	failed := func(err error) {
		text := "status-file can be written again"
		if err != nil {
			text = fmt.Sprintf("status-file: %v; it may be out of date until it can be written again", err)
		}
		up.inbox.post(fileProblem{text})
	}
	if up.published.statusFile, err = statusfile.Open(absolute(path), up.inbox.start, failed); err != nil {
		return settingError("status-file", err)
	}
	return nil
}

// openSockets binds or adopts the listeners of workers.
func (up *setup) openSockets() (err error) {
	up.sockets, err = socket.Open(up.where.Workers, up.options)
	if err == nil && up.settings.Ready.Value == machine.Seen && !up.programs.plain() && !up.seesWorkers() {
		return settingError("ready", errors.New("accepting needs a socket that workers accept on: set port or path"))
	}
	return err
}

// openRest opens what does not depend on each other. Its error has all that went
// wrong.
func (up *setup) openRest() (err error) {
	errs := make([]error, 5)
	up.http, errs[0] = openEndpoint(up.context, up.where.HTTP, up.programs.base)
	errs[1] = up.openControl()
	errs[2] = up.openNotify()
	if !up.programs.plain() {
		errs[3] = up.openBoard()
		up.watch, errs[4] = up.programs.openWatch()
		up.published.supervisor = notify.NewSupervisor(up.initial.value("NOTIFY_SOCKET"), up.inbox.start, func(err error) {
			up.log.Debug(eventlog.ReportFailed, "cannot notify the supervisor: "+err.Error())
		})
		up.published.notify = up.published.supervisor.Send
		up.oom = ownOOMKills()
	}
	up.terminal = terminal.Open()
	up.openSurvey()
	up.noteWatched()
	return errors.Join(errs...)
}

// openLogs opens what log-file, access-log and error-log name.
func (up *setup) openLogs() (err error) {
	s := up.settings
	up.logs, err = output.OpenLogs(output.LogOptions{
		Log: destination(s.LogFile), Access: destination(s.AccessLog), Error: destination(s.ErrorLog),
		Daemon: bool(s.Daemonize), UID: up.programs.uid(),
		Start: up.inbox.start,
		Warn:  func(text string) { up.inbox.post(fileProblem{text}) },
	})
	if failure := (*output.LogError)(nil); errors.As(err, &failure) {
		return settingError(failure.Setting, failure.Err)
	}
	if err == nil && s.StderrLines > 0 && !up.programs.plain() {
		up.logs.OpenRelay(int(s.StderrLines))
	}
	up.parent.SetLog(up.logs.Path())
	return err
}

// giveStreams lets workers of another user open initd's own standard streams by name.
// The pipe of a log is for everyone to write to.
func (up *setup) giveStreams() {
	if credential := up.programs.credential; credential != nil {
		for fd := range 3 {
			output.NewStream(fd).Give(int(credential.UID))
		}
	}
}

// destination is where a log goes, with its path from the root.
func destination(o settings.Output) output.Destination {
	return output.Destination{File: absolute(o.File), Command: o.Command}
}

// openBoard makes the scoreboard, where something depends on it or somebody
// wants to read it.
func (up *setup) openBoard() (err error) {
	s, path := up.settings, string(up.settings.Scoreboard)
	wanted := path != "" || s.MaxWorkers > 1 || s.MaxRequests > 0 || watchesDisconnects(s)
	if !wanted || path == settings.NoScoreboard {
		return nil
	}
	path = absolute(path)
	up.board, err = scoreboard.Create(path, max(boardRows*int(s.MaxWorkers), 64))
	switch credential := up.programs.credential; {
	case err == nil && path != "" && credential != nil:
		// A worker that opens it anew, as one in Perl does, has to be its owner.
		if err := unix.Fchown(up.board.FD(), int(credential.UID), int(credential.GID)); err != nil {
			up.notes = append(up.notes, fmt.Sprintf("scoreboard: chown %s: %v; workers that open the file themselves cannot write to it", path, err))
		}
	case err != nil && path == "" && s.MaxRequests == 0:
		// Nobody has asked for it: a seccomp filter may know no memfd_create(2).
		up.notes = append(up.notes, fmt.Sprintf("no scoreboard: %v; set a file (--scoreboard=/dev/shm/scoreboard), or turn it off (--scoreboard=none)", err))
		return nil
	case err != nil:
		return settingError("scoreboard", err)
	}
	return nil
}

// boardRows is how many rows there are for each worker that a pool may have:
// those of old generations keep theirs until they have ended. A row is no
// memory until it is used.
const boardRows = 8

// changeToRoot changes to the root directory, so that no file system is kept from
// being unmounted. Where the workers are to run in the directory that initd was
// started in, and could not come back to it, for it may have been removed, or lie
// beneath one that this user may not enter, initd stays there, as any other init
// would.
func (up *setup) changeToRoot() {
	here, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	os.Chdir("/")
	if err != nil {
		return
	}
	defer unix.Close(here)
	if up.settings.Dir != "" {
		return
	}
	if dir := up.programs.dir; dir == "" || os.Chdir(dir) != nil {
		unix.Fchdir(here)
		up.programs.dir = "" // initd's own
		return
	}
	os.Chdir("/")
}

// openLog begins the log. From here on initd has a voice of its own.
func (up *setup) openLog() {
	s := up.settings
	own := up.logs.Own()
	up.stderr = eventlog.NewWriter(2, up.inbox.start)
	up.lines = up.stderr
	if own != 2 {
		up.lines = eventlog.NewWriter(own, up.inbox.start)
	}
	level := map[settings.LogLevel]slog.Level{settings.Debug: slog.LevelDebug, settings.Info: slog.LevelInfo,
		settings.Warn: slog.LevelWarn, settings.Error: slog.LevelError}[s.LogLevel.Value]
	if up.programs.plain() && !s.Given("log-level") {
		level = slog.LevelError // of a plain init people expect the output of its command and nothing else
	}
	up.transcript = s.LogLevel.Value == settings.Debug
	json := s.LogFormat.Value == settings.JSON || s.LogFormat.Value == settings.AutoFormat && !output.NewStream(own).IsTerminal()
	up.log = eventlog.New(up.lines, json, level)
	if up.isReachable() {
		up.log = eventlog.Publishing(up.log, up.server.Subscribed, up.server.Publish)
	}
}

// blocking is the number of goroutines that read or write files, or ask the
// kernel, beside that of the log.
func (in *instance) blocking() int {
	n := in.logs.Blocking()
	for _, is := range []bool{
		in.published.statusFile != nil,
		in.published.pidFile != nil,
		in.published.supervisor != nil,
		in.programs.envdir != "",
		in.watch != nil,
		in.survey.Every() > 0, in.seesWorkers(),
		bool(in.settings.KillGroup) && !in.programs.plain(), // looks at orphans
		in.lines != in.stderr,
		in.settings.Binds(), // reads what workers bind
	} {
		if is {
			n++
		}
	}
	if in.isReachable() {
		// One at a time looks into /proc for a status. What the others do does not
		// block, but on a busy machine threads are left in the middle of it.
		n += 3
	}
	return n
}

// sameFile reports whether two paths lead to one file that is there.
func sameFile(path, other string) bool {
	this, err := os.Stat(path)
	if err != nil {
		return false
	}
	that, err := os.Stat(other)
	return err == nil && os.SameFile(this, that)
}

// absolute is the path from the root, which initd changes to; empty stays so.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
