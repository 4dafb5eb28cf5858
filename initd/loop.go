package initd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/output"
	"server-starter/initd/scoreboard"
	"server-starter/reaper"
)

// host is what the loop does to the world: the seam between its bookkeeping,
// which tests run on a virtual clock, and the kernel.
type host struct {
	now        func() time.Time
	start      func(*launch.Command) (pid int, outcome <-chan error, err error)
	kill       func(pid int, signal syscall.Signal) error // a negative pid: its process group
	reap       func(each func(reaper.Exit)) (children bool)
	orphans    func(signal syscall.Signal, spared map[int]*process) // sends it to every child that is left
	others     func(spared map[int]*process) bool                   // whether there is any child but those
	prepare    func(generation int) (environ, machine.Timing, error)
	relisten   func()            // mends listeners that a worker has shut down
	suspend    func(pid int)     // the command of a plain init was suspended
	resume     func(pid int)     // a plain init was continued
	hint       func() string     // what the listeners tell about a failed attempt
	explain    func(error) error // adds to why a program was not started which setting asked for it
	rest       func()            // gives back memory
	report     func(state string)
	announced  func(machine.Announce)
	publish    func(machine.Publish)
	reopen     func()
	signals    signalChannels
	notes      <-chan note
	trusts     func(uid int) bool                   // whether a user's word counts as a worker's
	forget     func(generation int)                 // a generation starts nothing and says nothing any more
	broken     <-chan error                         // a goroutine's panic
	changes    <-chan string                        // names of what is watched and has changed
	survey     func(workers map[int]int)            // looks at workers, given by pid and with their rows
	surveys    <-chan machine.Surveyed              // what survey has seen
	steer      func(slots string)                   // sends new connections to these slots alone
	claim      func(generation, slot int) (row int) // of the scoreboard; scoreboard.NoRow where there is none
	seat       func(row, pid int)                   // gives a row to a worker
	release    func(row int)                        // takes it back
	background func() bool                          // initd has a terminal, and others are in its foreground
	command    func(slot, row int, env environ) *launch.Command
	probe      func(env environ) *launch.Command
	hook       func(a machine.RunHook, env environ) *launch.Command
	logger     func(number int) *launch.Command
	alarm      func(text string, attrs ...any) // a line of the log, and of stderr where that is another place
	alarms     <-chan string                   // of the goroutines that write files
	warnings   <-chan warning                  // of other goroutines
	calls      <-chan control.Call             // of clients
	calm       <-chan struct{}                 // clients ask for nothing any more
	facts      func(*control.Status)           // adds what is not the loop's
	inForce    func() []control.Setting
	row        func(row int) (scoreboard.Row, bool)
	tail       func(*launch.Command) *output.Tail // has what a worker writes to stderr come by; nil: it does not
	told       func(machine.Outcome)              // tells clients
	changed    func()                             // something has happened
	companion  func() (c *launch.Command, joined func(), err error)
	transcript bool // log every step
}

// warning is a line for the log.
type warning struct{ event, text string }

// signalChannels are those of package signals.
type signalChannels struct{ child, hangup, stop, other <-chan os.Signal }

// note is what came over the notification socket of a generation.
type note struct {
	generation int
	notify.Message
}

// loop is the shell around the machine: the only goroutine that calls Step,
// that starts processes and that waits for them. So a pid it holds belongs to
// the process it means, for nobody else could have reaped it; wait(2).
type loop struct {
	host
	machine  *machine.Machine
	log      *slog.Logger
	environs map[int]environ // by generation that may still start workers, and the last that was given up
	over     []int           // generations that start none any more
	workers  map[int]*process
	probes   map[int]*process     // those not cancelled
	hooks    map[int]*process     // those not cancelled; their slot is the machine.Hook
	loggers  map[int]*process     // their slot is the logger's number
	beside   *process             // the companion; nil: it does not run
	asking   map[int]control.Call // clients that the machine is to answer, by number
	client   int                  // the last number that one was given
	history  *history
	outcomes chan outcome
	events   []machine.Event // not yet given to the machine
	timer    *time.Timer
	ending   bool // the orphans have been told to end
	exit     *machine.Exit
}

// rescueGrace is what workers get to end after a defect of initd.
const rescueGrace = 5 * time.Second

// process is a child that initd started.
type process struct {
	pid              int
	name             string // its command, for a logger
	generation, slot int
	started          time.Time
	row              int          // of the scoreboard
	asked            bool         // was asked to end, so its end is no surprise
	message          string       // the last STATUS= that it has said
	tail             *output.Tail // what it writes to stderr; nil: that does not come by here
	launching        bool         // its outcome has not come yet
	failure          error
}

// lines are the last that it has written to stderr, as far as they are kept.
func (p *process) lines() []string {
	if p.tail == nil {
		return nil
	}
	return p.tail.Lines()
}

// outcome is how the start of a process went.
type outcome struct {
	process *process
	err     error
}

func newLoop(h host, m *machine.Machine, log *slog.Logger) *loop {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &loop{
		host: h, machine: m, log: log, timer: timer,
		environs: map[int]environ{},
		workers:  map[int]*process{},
		probes:   map[int]*process{},
		hooks:    map[int]*process{},
		loggers:  map[int]*process{},
		asking:   map[int]control.Call{},
		history:  newHistory(),
		outcomes: make(chan outcome),
	}
}

// run turns until the machine has decided to exit.
func (l *loop) run() machine.Exit {
	l.then(machine.Begin{})
	l.turn()
	for l.exit == nil {
		select {
		case <-l.signals.child:
			l.reapAll()
		case s := <-l.signals.hangup:
			l.signaled(s)
		case s := <-l.signals.stop:
			l.signaled(s)
		case s := <-l.signals.other:
			l.signaled(s)
		case o := <-l.outcomes:
			l.launched(o)
		case n := <-l.notes:
			l.notified(n)
		case name := <-l.changes:
			l.log.Info("changed: "+name, "event", "changed", "name", name)
			l.then(machine.Changed{Name: name})
		case w := <-l.warnings:
			l.log.Warn(w.text, "event", w.event)
		case s := <-l.surveys:
			l.then(s)
		case c := <-l.calls:
			l.called(c)
		case <-l.calm:
			if l.rest != nil {
				l.rest()
			}
		case <-l.timer.C:
			l.then(machine.Tick{})
		case text := <-l.alarms:
			l.alarm(text, "event", "file")
		case err := <-l.broken:
			panic(err)
		}
		l.turn()
	}
	return *l.exit
}

// then takes note of an event, which is the next turn's.
func (l *loop) then(event machine.Event) { l.events = append(l.events, event) }

// turn gives the events to the machine, one after the other, and does what it
// answers, until nothing is left to be said. Results of actions are events too.
func (l *loop) turn() {
	if len(l.events) > 0 {
		l.changed()
	}
	for len(l.events) > 0 && l.exit == nil {
		event := l.events[0]
		l.events = l.events[1:]
		l.transcribe(event)
		for _, action := range l.machine.Step(l.now(), event) {
			l.transcribe(action)
			l.do(action)
		}
	}
	if deadline := l.machine.Deadline(); deadline.IsZero() {
		l.timer.Stop()
	} else {
		l.timer.Reset(deadline.Sub(l.now()))
	}
}

// transcribe logs a step in the words of the machine's transcripts.
func (l *loop) transcribe(line fmt.Stringer) {
	if l.transcript {
		l.log.Debug(line.String(), "event", "step")
	}
}

// What happens.

func (l *loop) signaled(s os.Signal) {
	signal := machine.Signal(s.(syscall.Signal))
	l.log.Info("received "+signal.String(), "event", "signal", "signal", signal.String())
	if (signal == machine.TTIN || signal == machine.TTOU) && l.background() {
		return // from the terminal, to the one who has written to it
	}
	if s == syscall.SIGCONT && l.resume != nil {
		for pid := range l.workers {
			l.resume(pid)
		}
	}
	l.then(machine.Signaled{Signal: signal})
}

// launched takes note of how the start of a process went. A start that failed
// is told once the process is reaped, with which it is over.
func (l *loop) launched(o outcome) {
	p := o.process
	if p.launching = false; o.err != nil {
		p.failure = l.explain(o.err)
	}
	if o.err == nil && l.workers[p.pid] == p {
		l.then(machine.Executed{PID: p.pid})
	}
}

func (l *loop) notified(n note) {
	pid := l.author(n)
	if pid == 0 {
		l.log.Debug("notification from a process that is no worker's", "event", "notify-dropped", "pid", n.PID)
		return
	}
	if n.HasStatus {
		p := l.workers[pid]
		p.message = n.Status
		l.log.Info("status: "+n.Status, "event", "status", "generation", p.generation, "slot", p.slot, "pid", pid)
	}
	if n.Ready {
		l.then(machine.Notified{PID: pid})
	}
	if n.Watchdog {
		l.then(machine.Pinged{PID: pid})
	}
	if n.WatchdogTrigger {
		l.then(machine.Hung{PID: pid})
	}
}

// author is the worker that a notification is to be put down to, 0 for none:
// the sender, its nearest ancestor or the leader of its group. A sender that
// was gone before it could be looked at is taken for a process of the only
// worker that was told of the socket, if it had the rights of one.
func (l *loop) author(n note) int {
	for _, id := range append(n.Lineage, n.Group) {
		if p := l.workers[id]; p != nil && p.generation == n.generation {
			return id
		}
	}
	var own []int
	for pid, p := range l.workers {
		if p.generation == n.generation {
			own = append(own, pid)
		}
	}
	if gone := n.Group == 0 && len(n.Lineage) == 1; gone && len(own) == 1 && l.trusts(n.UID) {
		return own[0]
	}
	return 0
}

// reapAll hands each end to the machine before the next process is reaped, so
// that no decision is made about a pid that is free to be given again.
func (l *loop) reapAll() {
	orphans := l.drain(func(e reaper.Exit) {
		l.reaped(e)
		l.turn()
	})
	if !orphans {
		l.then(machine.Childless{})
	} else if l.ending {
		l.orphans(syscall.SIGTERM, l.loggers) // to those that the ended have left behind
	}
}

// drain reaps whatever has ended, and reports whether a child is left that is
// no logger.
func (l *loop) drain(each func(reaper.Exit)) bool {
	return l.reap(each) && (len(l.loggers) == 0 || l.others(l.loggers))
}

// sweep kills every child there is, and what these leave behind, until none is
// left or the limit is over.
func (l *loop) sweep(limit time.Duration) {
	over := time.After(limit)
	for {
		l.orphans(syscall.SIGKILL, l.loggers)
		if !l.drain(l.loggerReaped) {
			return
		}
		select {
		case <-l.signals.child:
		case <-over:
			return
		}
	}
}

// rescue is what is left to do when initd itself has failed: to stop the
// workers, and to kill those that do not obey. It trusts nothing but the kernel.
func (l *loop) rescue(signal syscall.Signal) {
	for pid := range l.workers {
		l.kill(pid, signal)
	}
	ended := func(e reaper.Exit) { delete(l.workers, e.PID) }
	over := time.After(rescueGrace)
	for l.reap(ended); len(l.workers) > 0; l.reap(ended) {
		select {
		case <-l.signals.child:
		case <-over:
			clear(l.workers) // those left are the sweep's
		}
	}
	l.sweep(time.Second)
}

// reaped tells the machine of a worker's or a probe's end. That of any other
// process, an orphan, changes nothing.
func (l *loop) reaped(e reaper.Exit) {
	if e.Status.Stopped() {
		if l.workers[e.PID] != nil && l.suspend != nil {
			l.suspend(e.PID)
		}
		return
	}
	status := statusOf(e)
	if p := l.probes[e.PID]; p != nil {
		l.settle(p)
		delete(l.probes, e.PID)
		l.log.Info("probe ended", append([]any{"event", "probe", "generation", p.generation, "pid", e.PID,
			"duration", l.now().Sub(p.started)}, statusAttr(status)...)...)
		l.then(machine.Probed{Generation: p.generation, Status: status})
		return
	}
	if p := l.hooks[e.PID]; p != nil {
		l.hookReaped(p, status)
		return
	}
	if l.loggers[e.PID] != nil {
		l.loggerReaped(e)
		return
	}
	if l.beside != nil && l.beside.pid == e.PID {
		l.companionReaped(status)
		return
	}
	p := l.workers[e.PID]
	if p == nil {
		l.history.counters.Orphans++
		l.log.Debug("orphan reaped", append([]any{"event", "orphan", "pid", e.PID}, statusAttr(status)...)...)
		return
	}
	l.settle(p)
	delete(l.workers, e.PID)
	if row, ok := l.row(p.row); ok {
		l.history.counters.Requests += int64(row.Requests)
	}
	l.release(p.row)
	l.relisten()
	attrs := append([]any{"event", "exit", "generation", p.generation, "slot", p.slot, "pid", e.PID,
		"duration", l.now().Sub(p.started)}, statusAttr(status)...)
	if !p.asked {
		l.history.ended(p.generation, end{slot: &p.slot, status: &status, lines: p.lines})
	}
	switch {
	case p.failure != nil:
		l.history.counters.Died++
		l.log.Warn("worker not started: "+p.failure.Error(), attrs...)
		l.then(machine.NotExecuted{PID: e.PID, Status: exitStatus(p.failure), Reason: p.failure.Error()})
		return
	case p.asked:
		l.history.counters.Exited++
		l.log.Info("worker ended", attrs...)
	default:
		l.history.counters.Died++
		l.log.Warn("worker ended by itself", attrs...)
	}
	l.then(machine.Exited{PID: e.PID, Status: status})
}

func (l *loop) hookReaped(p *process, status machine.Status) {
	l.settle(p)
	delete(l.hooks, p.pid)
	hook := machine.Hook(p.slot)
	level, text := slog.LevelInfo, "hook "+hook.String()+" has ended"
	if !status.Success() {
		if hook == machine.BeforeSwap {
			l.history.ended(p.generation, end{lines: p.lines})
		}
		l.history.counters.HooksFailed++
		level = slog.LevelWarn
	}
	if p.failure != nil {
		text = "hook " + hook.String() + " was not started: " + p.failure.Error()
	}
	l.log.Log(context.Background(), level, text, append([]any{"event", "hook", "hook", hook.String(), "pid", p.pid,
		"duration", l.now().Sub(p.started)}, statusAttr(status)...)...)
	l.then(machine.Hooked{Hook: hook, Status: status})
}

// loggerReaped is for the end of a logger, and does nothing with any other's.
func (l *loop) loggerReaped(e reaper.Exit) {
	p := l.loggers[e.PID]
	if p == nil {
		return
	}
	l.settle(p)
	delete(l.loggers, e.PID)
	reason := "has ended: " + p.name
	if p.failure != nil {
		reason = "was not started: " + p.failure.Error()
	}
	l.alarm("a log command "+reason, append([]any{"event", "logger", "pid", e.PID,
		"duration", l.now().Sub(p.started)}, statusAttr(statusOf(e))...)...)
	l.then(machine.LoggerEnded{Logger: p.slot})
}

// outlive waits until the loggers have ended, for which they have the end of
// their input, or the limit is over. It returns which of them run still. That
// they end is as it should be, and the log is closed by then.
func (l *loop) outlive(limit time.Duration) (running map[int]bool) {
	ended := func(e reaper.Exit) { delete(l.loggers, e.PID) }
	over := time.After(limit)
	for l.reap(ended); len(l.loggers) > 0 && running == nil; l.reap(ended) {
		select {
		case <-l.signals.child:
		case <-over:
			running = map[int]bool{}
			for _, p := range l.loggers {
				running[p.slot] = true
			}
		}
	}
	return running
}

// settle waits for the outcome of a process that has been reaped: it is due,
// for nobody holds the other end of its pipe any more.
func (l *loop) settle(p *process) {
	for p.launching {
		l.launched(<-l.outcomes)
	}
}

// exitStatus is initd's own for a start that failed.
func exitStatus(err error) int {
	if failure := (*launch.Failure)(nil); errors.As(err, &failure) {
		return failure.ExitStatus()
	}
	return exitSetup
}

func statusOf(e reaper.Exit) machine.Status {
	if e.Status.Signaled() {
		return machine.Status{Signal: machine.Signal(e.Status.Signal())}
	}
	return machine.Status{Code: e.Status.ExitStatus()}
}

func statusAttr(s machine.Status) []any {
	if s.Signal != 0 {
		return []any{"signal", s.Signal.String()}
	}
	return []any{"exit_status", s.Code}
}

// What is to be done.

func (l *loop) do(action machine.Action) {
	switch a := action.(type) {
	case machine.Prepare:
		l.history.begun(l.now(), a)
		env, timing, err := l.prepare(a.Generation)
		if err != nil {
			l.then(machine.Refused{Generation: a.Generation, Reason: err.Error()})
			return
		}
		// What became of an attempt is told by a hook that has its environment.
		for _, generation := range l.over {
			delete(l.environs, generation)
		}
		l.over = nil
		if before := l.environ(0); before != nil {
			l.history.differs(a.Generation, difference(before, env))
		}
		l.environs[a.Generation] = env
		l.then(machine.Prepared{Generation: a.Generation, Timing: timing})
	case machine.Start:
		row := l.claim(a.Generation, a.Slot)
		p, result, err := l.launchHeard(l.command(a.Slot, row, l.environs[a.Generation]), l.workers, a.Generation, a.Slot)
		if err != nil {
			l.release(row)
			l.log.Error("cannot start a worker: "+err.Error(), "event", "fork-failed", "generation", a.Generation, "slot", a.Slot)
			l.then(machine.ForkFailed{Generation: a.Generation, Slot: a.Slot, Status: exitStatus(err), Reason: err.Error()})
			return
		}
		p.row = row
		l.seat(row, p.pid)
		l.history.counters.Started++
		l.log.Info("worker started", "event", "start", "generation", a.Generation, "slot", a.Slot, "pid", p.pid)
		l.then(machine.Forked{Generation: a.Generation, Slot: a.Slot, PID: p.pid})
		l.await(p, result)
	case machine.Probe:
		p, result, err := l.launch(l.probe(l.environs[a.Generation]), l.probes, a.Generation, 0)
		if err != nil {
			l.log.Warn("cannot start the probe: "+err.Error(), "event", "probe", "generation", a.Generation)
			l.then(machine.Probed{Generation: a.Generation, Status: machine.Status{Code: exitSetup}})
			return
		}
		l.await(p, result)
	case machine.CancelProbe:
		l.cancel(l.probes, func(p *process) bool { return p.generation == a.Generation })
	case machine.RunHook:
		p, result, err := l.launchHeard(l.hook(a, l.environ(a.Generation)), l.hooks, a.Generation, int(a.Hook))
		if err != nil {
			l.log.Warn("cannot start hook "+a.Hook.String()+": "+err.Error(), "event", "hook", "hook", a.Hook.String())
			l.then(machine.Hooked{Hook: a.Hook, Status: machine.Status{Code: exitSetup}})
			return
		}
		l.await(p, result)
	case machine.CancelHook:
		l.log.Warn("hook "+a.Hook.String()+" is cancelled", "event", "hook", "hook", a.Hook.String())
		l.cancel(l.hooks, func(p *process) bool { return p.slot == int(a.Hook) })
	case machine.Survey:
		rows := make(map[int]int, len(l.workers))
		for pid, p := range l.workers {
			rows[pid] = p.row
		}
		l.survey(rows)
	case machine.Steer:
		l.steer(a.Slots)
	case machine.Resize:
		l.log.Info(fmt.Sprintf("the pool has %d workers: %s", a.Workers, a.Reason), "event", "resize", "workers", a.Workers)
	case machine.Recycle:
		l.history.counters.Recycled++
		l.log.Info("replacing worker: "+a.Reason, "event", "recycle", "generation", a.Generation, "slot", a.Slot, "pid", a.PID)
	case machine.Stop:
		l.log.Info("stopping worker", "event", "stop", "generation", a.Generation, "slot", a.Slot, "pid", a.PID, "signal", a.Signal.String())
		l.asked(a.PID)
		l.signal(a.PID, syscall.Signal(a.Signal))
	case machine.Kill:
		l.history.counters.Killed++
		l.log.Warn("killing worker: "+a.Reason, "event", "kill", "generation", a.Generation, "slot", a.Slot, "pid", a.PID, "signal", "KILL")
		l.asked(a.PID)
		if a.Group {
			a.PID = -a.PID
		}
		l.signal(a.PID, syscall.SIGKILL)
	case machine.Forward:
		l.signal(a.PID, syscall.Signal(a.Signal))
	case machine.StartLogger:
		c := l.logger(a.Logger)
		p, result, err := l.launch(c, l.loggers, 0, a.Logger)
		if err != nil {
			l.alarm("cannot start a log command: "+err.Error(), "event", "logger")
			l.then(machine.LoggerEnded(a))
			return
		}
		p.name = c.Argv[len(c.Argv)-1] // of a line for the shell, the line
		l.await(p, result)
	case machine.StartCompanion:
		l.startCompanion()
	case machine.StopCompanion:
		if l.beside != nil {
			l.kill(l.beside.pid, syscall.SIGTERM)
		}
	case machine.Reopen:
		l.reopen()
	case machine.Answer:
		l.reply(a)
	case machine.Outcome:
		l.decided(a)
	case machine.Publish:
		l.publish(a)
	case machine.Announce:
		l.announce(a)
		l.announced(a)
	case machine.Report:
		l.report(supervisorState(a))
	case machine.EndOrphans:
		l.ending = true
		l.orphans(syscall.SIGTERM, l.loggers)
		// Where none is left, none will say so by its end.
		if !l.drain(l.reaped) {
			l.then(machine.Childless{})
		}
	case machine.KillOrphans:
		l.sweep(time.Second)
	case machine.Rest:
		l.rest()
	case machine.Exit:
		l.exit = &a
	default:
		panic(fmt.Sprintf("initd: unknown action %T", action))
	}
}

// decided is for what became of a request for a swap. Of an attempt that fails
// although its workers live, one that is not ready is what it failed by.
func (l *loop) decided(o machine.Outcome) {
	if o.Result == machine.OutcomeFailed || o.Result == machine.OutcomeGivenUp {
		for _, g := range l.machine.View().Generations {
			for _, w := range g.Workers {
				if p := l.workers[w.PID]; p != nil && g.Number == o.Generation && w.Ready.IsZero() {
					l.history.late(o.Generation, w.Slot, p.lines)
				}
			}
		}
	}
	l.history.decided(l.now(), o)
	l.told(o)
}

// cancel kills the group of a process that nobody waits for any more.
func (l *loop) cancel(among map[int]*process, is func(*process) bool) {
	for pid, p := range among {
		if is(p) {
			l.signal(-pid, syscall.SIGKILL)
			delete(among, pid)
		}
	}
}

// environ is that of a generation, or of the newest that has workers.
func (l *loop) environ(generation int) environ {
	if env, ok := l.environs[generation]; ok {
		return env
	}
	newest := 0
	for g := range l.environs {
		if l.populated(g) {
			newest = max(newest, g)
		}
	}
	return l.environs[newest]
}

// launch starts a process and takes note of it.
func (l *loop) launch(c *launch.Command, to map[int]*process, generation, slot int) (*process, <-chan error, error) {
	pid, result, err := l.start(c)
	if err != nil {
		return nil, nil, err
	}
	p := &process{pid: pid, generation: generation, slot: slot, started: l.now(), launching: true}
	to[pid] = p
	return p, result, nil
}

// launchHeard starts a process of which the last lines that it writes to stderr
// are to be known.
func (l *loop) launchHeard(c *launch.Command, to map[int]*process, generation, slot int) (*process, <-chan error, error) {
	tail := l.tail(c)
	p, result, err := l.launch(c, to, generation, slot)
	if tail != nil {
		tail.CloseWrite() // that is the process's alone
	}
	if err == nil {
		p.tail = tail
	}
	return p, result, err
}

// await sees that the outcome of a start comes to the loop, where it is not
// known yet.
func (l *loop) await(p *process, result <-chan error) {
	select {
	case err := <-result:
		l.launched(outcome{p, err})
	default:
		go func() { l.outcomes <- outcome{p, <-result} }()
	}
}

func (l *loop) asked(pid int) {
	if p := l.workers[pid]; p != nil {
		p.asked = true
	}
}

// signal sends a signal to a process that the loop holds as a child not yet
// reaped, or to its group where pid is negative.
func (l *loop) signal(pid int, s syscall.Signal) {
	if id := max(pid, -pid); l.workers[id] == nil && l.probes[id] == nil && l.hooks[id] == nil {
		return
	}
	if err := l.kill(pid, s); err != nil {
		l.log.Warn("kill "+strconv.Itoa(pid)+": "+err.Error(), "event", "kill-failed", "pid", pid, "signal", machine.Signal(s).String())
	}
}

func (l *loop) announce(a machine.Announce) {
	attrs := []any{"event", a.State.String(), "generation", a.Generation}
	text := fmt.Sprintf("generation %d is %v", a.Generation, a.State)
	if a.State == machine.Starting && l.populated(a.Generation) {
		text = fmt.Sprintf("generation %d has taken over slots and goes on with the next", a.Generation)
	}
	level := slog.LevelInfo
	if a.Reason != "" {
		text += ": " + a.Reason
		level = slog.LevelWarn
	}
	if a.State == machine.Failed {
		if hint := l.hint(); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
	}
	if a.Next > 0 {
		attrs = append(attrs, "next_attempt", a.Next)
	}
	l.log.Log(context.Background(), level, text, attrs...)
	switch a.State {
	case machine.Failed, machine.Declined, machine.Lost, machine.Gone:
		// Of one that has failed, some of the workers may go on.
		if !l.populated(a.Generation) {
			l.forget(a.Generation)
		}
		fallthrough
	case machine.Retiring:
		l.over = append(l.over, a.Generation)
	}
}

// populated reports whether there is a worker of a generation.
func (l *loop) populated(generation int) bool {
	for _, p := range l.workers {
		if p.generation == generation {
			return true
		}
	}
	return false
}

// supervisorState is what sd_notify(3) has for a state. There is no word for a
// service that was ready and is so no longer but its status.
func supervisorState(r machine.Report) string {
	switch r.Readiness {
	case machine.IsReady:
		return fmt.Sprintf("READY=1\nSTATUS=generation %d is serving", r.Generation)
	case machine.Reloading:
		return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=a new generation is starting next to %d", monotonic().Microseconds(), r.Generation)
	case machine.Stopping:
		return "STOPPING=1\nSTATUS=stopping"
	}
	return "STATUS=no generation is ready"
}

// monotonic is the clock that sd_notify(3) wants with RELOADING=1.
func monotonic() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}
