package doctor

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
	"server-starter/initd/signals"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

// examined is the argv[0] of an initd that is a patient.
const examined = "initd: examined"

// IsPatient reports whether this process is an initd under examination, whose
// sockets may be elsewhere than its settings say.
func IsPatient() bool { return os.Args[0] == examined }

const (
	grace     = 10 * time.Second       // for what has no limit of its own: what docker stop gives
	lookAgain = 20 * time.Millisecond  // how often the kernel is asked for what it tells nobody of
	standBy   = 300 * time.Millisecond // how long both generations are there at least, to be looked at
	lastWords = 8                      // lines of the program's output that are remembered
)

// carried are the settings that the patient has from the user. Those that would
// touch something outside, such as files that it would write, are not, nor are
// those that would have workers replaced without being asked: a setting that is
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

// A patient is an initd that runs the program, so that one can look at both.
type patient struct {
	settings settings.Settings
	pid      int
	sockets  *socket.Set // those that were made for it, if any
	dir      string      // where their files are
	entries  <-chan entry
	born     time.Time
	over     moment // when it was reaped
	status   syscall.WaitStatus
	spared   []int // children that are none of ours

	words  sync.Mutex
	output []string // the last lines that are no log

	targets []*target
	lives   map[int]*life // by generation
	reason  string        // of its own end
	revived bool          // a listener was shut down by a worker
}

// A moment is so long after the patient was admitted; 0 is never.
type moment = time.Duration

// A life is what is known of a generation.
type life struct {
	pid                                    int
	started, notified, ready, asked, ended moment
	signal                                 string // it was asked to end with
	status                                 string // it ended with
	unstarted                              string // why it was not executed
	failed                                 string // why it did not come to serve
	killed                                 string // why
}

// An entry is a line of the log.
type entry struct {
	Time       time.Time
	Msg, Event string
	Generation int
	PID        int
	Signal     string
	Status     int `json:"exit_status"`
	Network    string
	Address    string
}

// bounded are the settings for a patient: nothing takes for ever, and nothing
// happens but what is asked for.
func bounded(s settings.Settings) settings.Settings {
	s.StartTimeout = cmp.Or(s.StartTimeout, max(settings.Duration(time.Minute), 2*s.Interval))
	s.DrainTimeout = cmp.Or(s.DrainTimeout, settings.Duration(grace))
	s.StopTimeout = cmp.Or(s.StopTimeout, settings.Duration(grace))
	s.KillOldDelay = min(max(s.KillOldDelay, settings.Duration(standBy)), settings.Duration(grace))
	s.EnableAutoRestart = false
	s.Respawn.Value = machine.Always
	s.MaxFailures = 1
	s.Workers, s.MaxWorkers = 1, 1 // each is as good as the other
	s.HookTimeout = cmp.Or(s.HookTimeout, settings.Duration(grace))
	s.LogFormat.Value, s.LogLevel.Value = settings.JSON, settings.Debug
	return s
}

// admit starts an initd with the settings, some of its listeners elsewhere.
func admit(s settings.Settings, specs []socket.Spec, elsewhere func(socket.Spec) bool) (*patient, error) {
	p := &patient{settings: s, born: time.Now(), lives: map[int]*life{}}
	if err := p.start(specs, elsewhere); err != nil {
		p.clean()
		return nil, err
	}
	return p, nil
}

func (p *patient) start(specs []socket.Spec, elsewhere func(socket.Spec) bool) (err error) {
	if p.spared, err = reaper.Children(); err != nil {
		return err
	}
	s := p.settings
	if s.Port, s.Path, err = p.listen(specs, elsewhere); err != nil {
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
	files := []uintptr{0, 0, 0}
	if p.sockets != nil {
		files = p.sockets.Files(0)
	}
	if files[0] == 0 { // and no socket's
		files[0] = uintptr(null)
	}
	files[1], files[2] = uintptr(pipe[1]), uintptr(pipe[1])
	argv := slices.Concat([]string{examined}, s.Arguments(carried...), []string{"--"}, s.Command)
	p.pid, err = syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env: surroundings(&s), Files: files,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		unix.Close(pipe[0])
		return fmt.Errorf("fork/exec: %w", err)
	}
	entries := make(chan entry, 1000)
	p.entries = entries
	unix.SetNonblock(pipe[0], true)
	go p.read(os.NewFile(uintptr(pipe[0]), "log"), entries)
	return nil
}

// surroundings are our environment less all that would lead to our own
// supervisor or to its sockets.
func surroundings(s *settings.Settings) (environ []string) {
	for _, kv := range settings.Scrub(socket.Scrub(os.Environ())) {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC":
		default:
			environ = append(environ, kv)
		}
	}
	return append(environ, s.Handed...)
}

// listen makes a socket for each spec that is to be elsewhere, and returns the
// settings by which the patient gets to all.
func (p *patient) listen(specs []socket.Spec, elsewhere func(socket.Spec) bool) (ports, paths []string, err error) {
	specs = slices.Clone(specs)
	var moved []socket.Spec
	for i, spec := range specs {
		if !elsewhere(spec) {
			continue
		}
		place := socket.Spec{Network: spec.Network, Host: "127.0.0.1", FD: spec.FD}
		switch {
		case spec.Network == "unix":
			if p.dir == "" {
				p.dir = filepath.Join(os.TempDir(), fmt.Sprint("initd-check-", os.Getpid()))
				if err := os.Mkdir(p.dir, 0o700); err != nil {
					return nil, nil, err
				}
			}
			place.Path = filepath.Join(p.dir, fmt.Sprint(i))
		case strings.Contains(spec.Host, ":"):
			place.Host = "::1"
		}
		moved = append(moved, place)
	}
	if len(moved) > 0 {
		p.sockets, err = socket.Open(moved, socket.Options{Mode: 0o600, UID: -1, GID: -1})
		if err != nil {
			return nil, nil, err
		}
	}
	n := 0
	for i, spec := range specs {
		if elsewhere(spec) {
			l := p.sockets.All()[n]
			specs[i].FD = l.Number
			p.targets = append(p.targets, &target{key: spec.Key(), network: l.Network, address: l.Address, manner: silent})
			n++
		}
		if spec.Network == "unix" {
			paths = append(paths, specs[i].String())
		} else {
			ports = append(ports, specs[i].String())
		}
	}
	return ports, paths, nil
}

// read takes the patient's output apart: its log, and what its workers say.
func (p *patient) read(file *os.File, entries chan<- entry) {
	defer close(entries)
	defer file.Close()
	for lines := bufio.NewReaderSize(file, 64<<10); ; {
		line, err := lines.ReadSlice('\n')
		// A worker may have left its line unfinished.
		text, log, found := strings.Cut(string(line), `{"time":"`)
		var e entry
		if found && json.Unmarshal([]byte(`{"time":"`+log), &e) == nil && e.Event != "" {
			entries <- e
		} else {
			text = string(line)
		}
		p.say(text)
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (p *patient) say(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	p.words.Lock()
	defer p.words.Unlock()
	p.output = append(p.output, text[:min(len(text), 200)])
	p.output = p.output[max(0, len(p.output)-lastWords):]
}

func (p *patient) said() []string {
	p.words.Lock()
	defer p.words.Unlock()
	return slices.Clone(p.output)
}

var errLate = errors.New("too late")

// interrupted is a signal that has ended the examination.
type interrupted syscall.Signal

func (s interrupted) Error() string { return "interrupted by " + unix.SignalName(syscall.Signal(s)) }

// await waits until done says so, at most for the limit.
func (p *patient) await(limit time.Duration, done func() bool) error {
	late := time.After(limit)
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for !done() {
		select {
		case e, ok := <-p.entries:
			if ok {
				p.note(e)
			} else {
				p.entries = nil
			}
		case <-signals.Child:
			p.reap()
		case s := <-signals.Stop:
			return interrupted(s.(syscall.Signal))
		case s := <-signals.Hangup:
			return interrupted(s.(syscall.Signal))
		case <-look.C:
		case <-late:
			return errLate
		}
	}
	return nil
}

// meanwhile waits for something that has a limit of its own.
func (p *patient) meanwhile(something func()) error {
	over := make(chan struct{})
	go func() {
		defer close(over)
		something()
	}()
	return p.await(time.Hour, func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
}

func (p *patient) reap() {
	reaper.Drain(0, func(e reaper.Exit) {
		if e.PID == p.pid {
			p.over, p.status = p.now(), e.Status
		}
	})
}

// ended reports whether initd has ended and all that it said has been read. A
// process that it left behind may hold the pipe for ever.
func (p *patient) ended() bool {
	return p.over > 0 && (p.entries == nil || p.now()-p.over > time.Second)
}

//go:noinline
func (p *patient) now() moment { return time.Since(p.born) }

//go:noinline
func (p *patient) life(generation int) *life {
	l := p.lives[generation]
	if l == nil {
		l = &life{}
		p.lives[generation] = l
	}
	return l
}

// note takes note of a line of the log.
func (p *patient) note(e entry) {
	at := e.Time.Sub(p.born)
	l := &life{} // of no generation
	if e.Generation > 0 {
		l = p.life(e.Generation)
	}
	switch e.Event {
	case "listen":
		p.listens(e)
	case "start":
		l.pid, l.started = e.PID, at
		if e.Generation == 1 {
			for _, t := range p.targets {
				t.knock(p)
			}
		}
	case "trial", "serving":
		if l.ready == 0 {
			l.ready = at
		}
	case "failed", "refused":
		l.failed = e.Msg
	case "stop":
		l.asked, l.signal = at, e.Signal
	case "kill":
		l.killed = e.Msg
	case "exit":
		l.ended, l.status = at, fmt.Sprintf("exit status %d", e.Status)
		if e.Signal != "" {
			l.status = "signal " + e.Signal
		}
		if e.Generation == 0 {
			p.reason = e.Msg
		}
		l.unstarted, _ = strings.CutPrefix(e.Msg, "worker not started: ")
		if l.unstarted == e.Msg {
			l.unstarted = ""
		}
	case "relisten":
		p.revived = true
	case "step":
		var pid int
		if n, _ := fmt.Sscanf(e.Msg, "notified pid=%d", &pid); n == 1 {
			for _, l := range p.lives {
				if l.pid == pid && l.notified == 0 {
					l.notified = at
				}
			}
		}
	}
}

// listens takes note of a listener where the patient made it itself.
func (p *patient) listens(e entry) {
	key := strings.TrimPrefix(e.Msg, "listening on ")
	for _, t := range p.targets {
		if t.key == key && (t.network == "udp") == (e.Network == "udp") {
			return
		}
	}
	p.targets = append(p.targets, &target{key: key, network: e.Network, address: e.Address, manner: silent})
}

// discharge ends the patient and whatever it has left.
func (p *patient) discharge(patience time.Duration) {
	defer p.clean()
	if !p.ended() {
		if p.over == 0 {
			syscall.Kill(p.pid, syscall.SIGTERM)
		}
		if p.await(patience, p.ended) != nil && p.over == 0 {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	p.sweep(2 * time.Second)
}

// sweep kills every child that we have not had before, and what these leave in
// turn: it all comes to us, who are a subreaper.
func (p *patient) sweep(limit time.Duration) {
	for over := time.After(limit); ; {
		p.reap()
		children, _ := reaper.Children()
		left := 0
		for _, pid := range children {
			if !slices.Contains(p.spared, pid) {
				syscall.Kill(pid, syscall.SIGKILL)
				left++
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-signals.Child:
		case <-over:
			return
		}
	}
}

func (p *patient) clean() {
	for _, t := range p.targets {
		t.leave()
	}
	if p.sockets != nil {
		p.sockets.Close()
	}
	if p.dir != "" {
		os.Remove(p.dir)
	}
}
