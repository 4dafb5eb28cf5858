package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

const (
	grace     = 10 * time.Second       // for what has no limit of its own: what docker stop gives
	lookAgain = 20 * time.Millisecond  // how often the kernel is asked for what it does not notify
	overlap   = 300 * time.Millisecond // how long both generations are there at least, to be looked at
)

// carried are the settings that the examined initd has from the user. Those that
// would touch something outside, such as files that it would write, are not, nor
// are those that would have workers replaced without a request: a setting that is
// not named here has its default. Of the hooks there are those that decide
// whether a worker is started.
var carried = []string{
	"port", "path", "backlog", "socket-mode", "socket-owner", "export",
	"dir", "user", "umask", "envdir", "no-new-privs", "death-signal",
	"respawn", "interval", "ready", "start-timeout", "probe", "probe-timeout", "watchdog",
	"signal-on-hup", "signal-on-term", "kill-old-delay", "drain-timeout", "enable-auto-restart",
	"stop-timeout", "kill-group", "max-failures", "workers", "max-workers",
	"hook-after-init", "hook-before-swap", "hook-timeout", "log-format", "log-level",
}

// An examined is an initd that runs the program, so that both can be looked at.
type examined struct {
	settings settings.Settings
	pid      int
	began    time.Time
	reaped   moment
	signals  *signals
	others   []int // children that were there before it
	sockets  elsewhere
	targets  []*target

	entries    <-chan entry // of its log; nil at its end
	output     output
	workers    map[int]*worker // by generation
	relistened bool            // a worker had shut a listener down
}

// A moment is the time since the examined initd was started; 0 is never.
type moment = time.Duration

// limited are the settings for an examined initd: nothing takes for ever, and
// nothing happens but what is asked for.
func limited(s settings.Settings) settings.Settings {
	s.StartTimeout = cmp.Or(s.StartTimeout, max(settings.Duration(time.Minute), 2*s.Interval))
	s.DrainTimeout = cmp.Or(s.DrainTimeout, settings.Duration(grace))
	s.StopTimeout = cmp.Or(s.StopTimeout, settings.Duration(grace))
	s.KillOldDelay = min(max(s.KillOldDelay, settings.Duration(overlap)), settings.Duration(grace))
	s.EnableAutoRestart = false
	s.Respawn.Value = machine.Always
	s.MaxFailures = 1
	s.Workers, s.MaxWorkers = 1, 1 // each is as good as the other
	s.HookTimeout = cmp.Or(s.HookTimeout, settings.Duration(grace))
	s.LogFormat.Value, s.LogLevel.Value = settings.JSON, settings.Debug
	return s
}

// start starts an initd with the settings, some of its listeners elsewhere.
func (x *Examination) start(s settings.Settings, isElsewhere func(socket.Spec) bool) (*examined, error) {
	e := &examined{settings: s, began: time.Now(), signals: x.signals, workers: map[int]*worker{}}
	if err := e.start(x.Initd, x.Listeners, isElsewhere); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *examined) start(initd string, specs []socket.Spec, isElsewhere func(socket.Spec) bool) (err error) {
	if e.others, err = reaper.Children(); err != nil {
		return err
	}
	s := e.settings
	if s.Port, s.Path, err = e.listen(specs, isElsewhere); err != nil {
		return fmt.Errorf("sockets elsewhere: %w", err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[1])
	files := e.sockets.files()
	if files[0] == 0 { // and no socket's
		files[0] = uintptr(null)
	}
	files[1], files[2] = uintptr(pipe[1]), uintptr(pipe[1])
	argv := slices.Concat([]string{"initd", "--examined", "--control-socket=none"}, s.Arguments(carried...), []string{"--"}, s.Command)
	e.pid, err = syscall.ForkExec(initd, argv, &syscall.ProcAttr{
		Env: environment(), Files: files,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		unix.Close(pipe[0])
		return fmt.Errorf("fork/exec %s: %w", initd, err)
	}
	entries := make(chan entry, 1000)
	e.entries = entries
	unix.SetNonblock(pipe[0], true)
	go e.read(os.NewFile(uintptr(pipe[0]), "log"), entries)
	return nil
}

// environment is that of this process without the settings, which are passed as
// arguments, and without what leads to a supervisor or its sockets.
func environment() (environ []string) {
	for _, kv := range settings.Scrub(socket.Scrub(os.Environ())) {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC":
		default:
			environ = append(environ, kv)
		}
	}
	return environ
}

var errLate = errors.New("too late")

// await waits until done returns true, at most for the limit.
func (e *examined) await(limit time.Duration, done func() bool) error {
	late := time.After(limit)
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for !done() {
		select {
		case line, ok := <-e.entries:
			if ok {
				e.note(line)
			} else {
				e.entries = nil
			}
		case <-e.signals.child:
			e.reap()
		case s := <-e.signals.stop:
			return interruption(s)
		case <-look.C:
		case <-late:
			return errLate
		}
	}
	return nil
}

// meanwhile runs something that has a limit of its own, and takes note of what
// happens until it is done.
func (e *examined) meanwhile(something func()) error {
	over := make(chan struct{})
	go func() {
		defer close(over)
		something()
	}()
	return e.await(time.Hour, func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
}

func (e *examined) reap() {
	reaper.Drain(0, func(exit reaper.Exit) {
		if exit.PID == e.pid {
			e.reaped = e.now()
		}
	})
}

// ended reports whether initd has ended and its whole log has been read. A
// process that it left behind may hold the pipe for ever.
func (e *examined) ended() bool {
	return e.reaped > 0 && (e.entries == nil || e.now()-e.reaped > time.Second)
}

func (e *examined) now() moment { return time.Since(e.began) }

// end stops the examined initd and kills it when the limit is over, with whatever
// it has left behind.
func (e *examined) end(limit time.Duration) {
	defer e.close()
	if !e.ended() {
		if e.reaped == 0 {
			syscall.Kill(e.pid, syscall.SIGTERM)
		}
		if e.await(limit, e.ended) != nil && e.reaped == 0 {
			syscall.Kill(e.pid, syscall.SIGKILL)
		}
	}
	e.killOrphans(2 * time.Second)
}

// killOrphans kills every child that was not there before, and what these leave
// in turn: it all comes to this process, which is a subreaper.
func (e *examined) killOrphans(limit time.Duration) {
	for over := time.After(limit); ; {
		e.reap()
		children, _ := reaper.Children()
		left := 0
		for _, pid := range children {
			if !slices.Contains(e.others, pid) {
				syscall.Kill(pid, syscall.SIGKILL)
				left++
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-e.signals.child:
		case <-over:
			return
		}
	}
}

// close lets go of what was made for the examined initd.
func (e *examined) close() {
	for _, t := range e.targets {
		t.hangUp()
	}
	e.sockets.close()
}
