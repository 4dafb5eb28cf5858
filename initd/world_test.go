package initd

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/output"
	"server-starter/initd/proc"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/initd/survey"
	"server-starter/reaper"
)

// world is a kernel of the test's own: it gives out pids, writes down what the
// loop does, and lets the test decide what becomes of processes. All else of the
// loop is real, but for what would leave the bubble of testing/synctest: sockets.
type world struct {
	t       *testing.T
	loop    *loop
	pid     int
	script  []string // what the loop has done
	exits   []reaper.Exit
	listed  int // times that the loop has asked for all children
	live    map[int]bool
	immune  map[int]bool       // to signals
	forking error              // what the next starts fail with
	failing map[int]error      // by pid: what becomes of its execve
	held    map[int]chan error // by pid: outcomes the test keeps back
	hold    bool
	log     bytes.Buffer
	clock   sync.Mutex               // shows the race detector that a timer's goroutine comes after the test that let time pass
	stopped time.Duration            // that the loop was, all told: the clock went on, and its timer did not
	stalls  map[string]time.Duration // how long the loop takes for a signal

	child, hangup, stop, other chan os.Signal
	surveys                    chan map[int]survey.Worker // what surveys see, as the test says
	outcomes                   []string                   // of requests for swaps
	owners                     map[int]int                // effective users of processes, where they are not the workers'
	connecting                 error                      // what the connection of the HTTP process fails with
	handed                     int                        // the descriptor that it is handed; 0: none
	done                       chan machine.Exit
}

func newWorld(t *testing.T, policy machine.Policy) *world {
	w := &world{
		t: t, pid: 100, live: map[int]bool{}, failing: map[int]error{}, held: map[int]chan error{},
		child: make(chan os.Signal, 1), hangup: make(chan os.Signal, 1),
		stop: make(chan os.Signal, 64), other: make(chan os.Signal, 256),
		surveys: make(chan map[int]survey.Worker), done: make(chan machine.Exit, 1),
	}
	k := kernel{
		now: w.now, start: w.start, kill: w.kill, reap: w.reap, children: w.children, processes: w.children,
		stat: func(int) (proc.Stat, error) { return proc.Stat{State: 'S'}, nil }, owner: w.owner,
	}
	w.loop = newLoop(k, w.instance(policy), machine.New(policy), signalChannels{w.child, w.hangup, w.stop, w.other})
	return w
}

// instance is what the loop owns: the real things, where there are any.
func (w *world) instance(policy machine.Policy) *instance {
	s := &settings.Settings{
		Command: []string{"worker"}, Probe: []string{"probe"}, KillOldDelay: settings.Duration(policy.KillOldDelay),
		HookAfterInit: []string{"hook-after-init"}, HookBeforeSwap: []string{"hook-before-swap"},
		HookAfterSwap: []string{"hook-after-swap"}, HookBeforeShutdown: []string{"hook-before-shutdown"},
	}
	in := &instance{settings: s, inbox: newInbox()}
	in.published = newPublished(in.inbox, nil)
	lines := new(eventlog.Writer) // to which nothing is written
	in.journal = journal{log: eventlog.To(recorder{slog.NewTextHandler(&w.log, nil), w}), transcript: true, lines: lines, stderr: lines}
	in.published.notify = func(state string) { w.wrote("report %s", strings.Split(state, "\n")[0]) }
	in.resources = resources{sockets: &socket.Set{}, logs: w.logs(policy.LogCommands)}
	in.programs = &programs{settings: s, base: environ{"A=1"}, credential: &launch.Credential{UID: 1000}, resources: &in.resources, gate: newGate(in.inbox.start)}
	in.server = control.NewServer(in.inbox.sink(), new(control.Memory).Complete)
	in.surveys = newGate(in.inbox.start)
	in.survey = &survey.Surveyor{Growth: true, Look: w.look}
	in.http = endpoint{path: "http", connect: func() (net.Conn, int, error) {
		if w.connecting != nil {
			return nil, -1, w.connecting
		}
		ours, theirs := net.Pipe()
		w.t.Cleanup(func() { theirs.Close() })
		w.handed, _ = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return ours, w.handed, nil
	}}
	return in
}

// logs are those with so many log commands.
func (w *world) logs(commands int) *output.Logs {
	o := output.LogOptions{UID: os.Geteuid()}
	for n, d := range []*output.Destination{&o.Error, &o.Access}[:commands] {
		d.Command = []string{fmt.Sprint("log-command", n)}
	}
	logs, err := output.OpenLogs(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return logs
}

// recorder is a handler of the log that writes down in the script what the loop
// does and that shows nowhere else.
type recorder struct {
	slog.Handler
	*world
}

func (r recorder) Handle(ctx context.Context, record slog.Record) error {
	event := ""
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" {
			event = a.Value.String()
		}
		return true
	})
	if _, err := unix.FcntlInt(uintptr(r.handed), unix.F_GETFD, 0); r.handed != 0 && err != nil {
		r.handed = 0
		r.wrote("handed over")
	}
	switch {
	case event == "step" && strings.HasPrefix(record.Message, "outcome "):
		r.outcomes = append(r.outcomes, record.Message)
	case event == "log-command":
		r.wrote("warn %s", record.Message)
	case event == "reopen":
		r.wrote("reopen")
	}
	return r.Handler.Handle(ctx, record)
}

func (r recorder) Enabled(context.Context, slog.Level) bool { return true }

func (w *world) now() time.Time {
	w.clock.Lock()
	defer w.clock.Unlock()
	return time.Now().Add(w.stopped)
}

// isStopped lets time pass in which the loop cannot turn, as while its container is paused.
func (w *world) isStopped(d time.Duration) {
	w.clock.Lock()
	defer w.clock.Unlock()
	w.stopped += d
}

func (w *world) wrote(format string, args ...any) {
	w.clock.Lock()
	defer w.clock.Unlock()
	w.script = append(w.script, fmt.Sprintf(format, args...))
}

func (w *world) start(c *launch.Command) (int, outcome, error) {
	if w.forking != nil {
		w.wrote("cannot start %s", c.Argv[0])
		return 0, outcome{}, w.forking
	}
	w.pid++
	w.live[w.pid] = true
	w.wrote("start %s %d", c.Argv[0], w.pid)
	result, ended := make(chan error, 1), make(chan struct{})
	if w.hold {
		w.held[w.pid] = result
	} else {
		result <- w.failing[w.pid]
	}
	wait := func() error {
		select {
		case err := <-result:
			return err
		case <-ended: // or it would hang where nobody has an outcome
			select {
			case err := <-result:
				return err
			default:
				return nil
			}
		}
	}
	return w.pid, outcome{wait: wait, ended: func() { close(ended) }}, nil
}

func (w *world) kill(pid int, s syscall.Signal) error {
	if !w.live[max(pid, -pid)] {
		w.t.Errorf("signal %v to %d, which is no live child", s, pid)
	}
	if w.immune[pid] {
		return syscall.EPERM
	}
	if s == 0 {
		return nil
	}
	w.wrote("%v %d", machine.Signal(s), pid)
	time.Sleep(w.stalls[machine.Signal(s).String()])
	return nil
}

// reap is wait4(-1, WNOHANG) until it has nothing more.
func (w *world) reap(each func(reaper.Exit)) bool {
	for len(w.exits) > 0 {
		e := w.exits[0]
		w.exits = w.exits[1:]
		if e.Status.Exited() || e.Status.Signaled() { // else it was suspended or continued
			delete(w.live, e.PID)
		}
		each(e)
	}
	return len(w.live) > 0
}

func (w *world) owner(pid int) (int, error) {
	if uid, ok := w.owners[pid]; ok {
		return uid, nil
	}
	return 1000, nil
}

func (w *world) children() ([]int, error) {
	w.listed++
	return slices.Sorted(maps.Keys(w.live)), nil
}

// look is what a survey takes time for: as long as the test wants.
func (w *world) look(r survey.Request) (map[int]survey.Worker, error) {
	w.wrote("survey %v", r.PIDs)
	return <-w.surveys, nil
}

// run starts the loop and waits until it has nothing to do.
func (w *world) run() {
	go func() { w.done <- w.loop.run() }()
	synctest.Wait()
}

// ends lets processes end with an exit code, all before the loop can look.
func (w *world) ends(code int, pids ...int) {
	for _, pid := range pids {
		w.exits = append(w.exits, reaper.Exit{PID: pid, Status: syscall.WaitStatus(code << 8)})
	}
	select {
	case w.child <- syscall.SIGCHLD:
	default:
	}
	synctest.Wait()
}

func (w *world) signal(c chan os.Signal, s syscall.Signal) {
	c <- s
	synctest.Wait()
}

func (w *world) passes(d time.Duration) {
	w.now()
	time.Sleep(d) // virtual: the bubble's clock
	synctest.Wait()
}

// did compares what the loop has done since the last call.
func (w *world) did(want ...string) {
	w.t.Helper()
	w.clock.Lock()
	defer w.clock.Unlock()
	if got := strings.Join(w.script, "\n"); got != strings.Join(want, "\n") {
		w.t.Fatalf("the loop did\n\t%s\nwant\n\t%s\nlog:\n%s", strings.Join(w.script, "\n\t"), strings.Join(want, "\n\t"), w.log.String())
	}
	w.script = nil
}

// exits stops the loop and reports initd's exit.
func (w *world) exited() machine.Exit {
	w.t.Helper()
	synctest.Wait()
	select {
	case e := <-w.done:
		return e
	default:
		w.t.Fatalf("the loop goes on; log:\n%s", w.log.String())
		panic("unreachable")
	}
}

// shutdown ends what a test has left running.
func (w *world) shutdown(pids ...int) {
	w.signal(w.stop, syscall.SIGTERM)
	w.ends(0, pids...)
	if e := w.exited(); e.Status != 0 {
		w.t.Errorf("exit %+v, want 0", e)
	}
}

// sends hands the loop a message of another goroutine.
func (w *world) sends(m message) {
	w.loop.inbox.post(m)
	synctest.Wait()
}
