package machine

import (
	"container/heap"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	schedules = flag.Int("schedules", 20000, "number of schedules that the simulation plays")
	brief     = flag.Bool("brief", false, "of a schedule that fails, print only its seed and why")
	seed      = flag.Uint64("seed", 0, "play this schedule alone and print it (with -v)")
)

// TestSimulation plays schedules: each makes up a policy, a world of workers
// that draw a fate at each start, and what befalls it. Each step is judged; at
// the end faults cease, and what has to come about by then is waited for.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		tape := newTape(*seed)
		w := play(tape)
		t.Logf("seed %d\n%s", *seed, w)
		if w.err != nil {
			t.Errorf("seed %d: %v", *seed, w.err)
		}
		return
	}
	var (
		wait   sync.WaitGroup
		mutex  sync.Mutex
		seen   = newCoverage()
		failed *tape
		at     uint64
	)
	workers := uint64(runtime.GOMAXPROCS(0))
	for i := range workers {
		wait.Go(func() {
			mine := newCoverage()
			for s := 1 + i; s <= uint64(*schedules); s += workers {
				tape := newTape(s)
				w := play(tape)
				mine.add(w.seen)
				mutex.Lock()
				if w.err != nil && (failed == nil || s < at) {
					failed, at = tape, s
				}
				stop := failed != nil
				mutex.Unlock()
				if stop {
					break
				}
			}
			mutex.Lock()
			seen.add(mine)
			mutex.Unlock()
		})
	}
	wait.Wait()
	if failed != nil {
		t.Fatalf("seed %d: %s", at, failed.story())
	}
	if missing := seen.missing(); len(missing) > 0 && *schedules >= 20000 {
		t.Errorf("never reached:\n  %s", strings.Join(missing, "\n  "))
	}
	if testing.Verbose() {
		t.Logf("%d schedules, %d steps\n%s", *schedules, seen.steps, seen)
	}
}

// A tape is where a schedule gets its chances from, and a record of them.
type tape struct {
	picks  []uint32
	at     int
	random *rand.Rand // for more than is recorded; else all is 0
}

func newTape(seed uint64) *tape { return &tape{random: rand.New(rand.NewPCG(seed, 0))} }

// pick is a number below n. 0 is always the dullest choice.
func (t *tape) pick(n int) int {
	if t.at == len(t.picks) {
		if t.random == nil {
			return 0
		}
		t.picks = append(t.picks, uint32(t.random.IntN(n)))
	}
	t.at++
	return int(t.picks[t.at-1]) % n
}

// again is the tape from its start, as far as it is recorded.
func (t *tape) again() *tape { return &tape{picks: slices.Clone(t.picks)} }

// story tells of a tape that fails, and of the shortest found that fails so.
func (t *tape) story() string {
	w := play(t.again())
	if *brief {
		return w.err.Error()
	}
	short := play(t.shrink(2 * time.Second))
	return fmt.Sprintf("%v\nthe shortest schedule found that fails so:\n%s%v", w.err, short, short.err)
}

// shrink looks for a duller tape that breaks the same rule, for some time.
func (t *tape) shrink(limit time.Duration) *tape {
	best := t.again()
	rule := func(w *world) string {
		v := violation{}
		errors.As(w.err, &v)
		return v.rule
	}
	want := rule(play(best.again()))
	better := func(picks []uint32) bool {
		candidate := &tape{picks: picks}
		if rule(play(candidate)) != want {
			return false
		}
		best = &tape{picks: picks[:candidate.at]}
		return true
	}
	for end, again := time.Now().Add(limit), true; again; {
		again = false
		for size := max(len(best.picks)/2, 1); size > 0; size /= 2 {
			for i := 0; i+size <= len(best.picks); {
				if time.Now().After(end) {
					return best.again()
				}
				cut := slices.Delete(slices.Clone(best.picks), i, i+size)
				dull := slices.Clone(best.picks)
				clear(dull[i : i+size])
				switch {
				case better(cut):
					again = true
				case !slices.Equal(dull, best.picks) && better(dull):
					again = true
					i += size
				default:
					i += size
				}
			}
		}
	}
	return best.again()
}

// fate is what becomes of a worker that is started.
type fate int

const (
	healthy       fate = iota
	silent             // it runs and never says a word
	diesEarly          // before it is ready, or nearly so
	readyThenDies      // sooner or later
	hangs              // it is ready and falls silent, or says so
	cannotFork         // it does not become a process
	cannotExecute      // it does not become the program
	stuck              // it neither becomes the program nor ends
	fates
)

func (f fate) String() string {
	return [...]string{"healthy", "silent", "dies early", "ready, then dies", "hangs", "cannot fork", "cannot execute", "stuck"}[f]
}

// process is a worker in the world.
type process struct {
	pid, generation, slot int
	fate                  fate
	obeys                 bool // it ends when it is asked to
	executed, said        bool
	asked                 bool // to end
	dying, dead           bool
	pings                 int // that are left; negative: for ever
	doing
}

// world is a shell without a kernel, and all that befalls it.
type world struct {
	*tape
	policy  Policy
	machine *Machine
	judge   *judge
	seen    *coverage
	now     time.Time
	pending queue
	last    int // of pending, ever
	steps   []step
	err     error

	living    []*process // by pid
	dead      []int      // pids, ever
	probe     int        // counts the probes
	probing   int        // the probe that runs, else 0
	orphans   int        // 0 none, 1 some that obey, 2 some that do not
	calm      bool
	late      time.Duration // by how much the timer may be
	reuse     bool          // of pids, at once
	quiet     time.Time     // until then nothing comes from outside
	answering int           // starts that have no answer yet
	load
	running [hooks]int // hooks, by number; 0: it does not run
	ran     int        // counts the hooks

	companion, companions int // the one that runs, else 0; and how many there were
}

// step is a line of the transcript.
type step struct {
	at       time.Time
	event    Event
	actions  []Action
	deadline time.Time
}

// occurrence is something that will happen in the world.
type occurrence struct {
	at     time.Time
	number int
	happen func()
}

type queue []occurrence

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].number < q[j].number
}
func (q *queue) Push(x any) { *q = append(*q, x.(occurrence)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

var epoch = time.Unix(1_000_000_000, 0).UTC()

// play plays a schedule from its tape.
func play(t *tape) *world {
	w := &world{tape: t, now: epoch, seen: newCoverage()}
	w.policy = w.drawPolicy()
	w.machine = New(w.policy)
	w.judge = newJudge(w.policy)
	w.judge.mark = w.seen.mark
	w.late = one(w, 0, 0, 0, 0, 50*time.Millisecond, 2*time.Second)
	w.reuse = w.chance(2)
	w.orphans = w.pick(3)
	w.drawLoad()
	w.step(Begin{})
	n := 10 * (1 + w.pick(8))
	if w.policy.Surge > 0 || w.policy.Survey > 0 {
		n *= 2
	}
	for ; n > 0 && w.goes(); n-- {
		w.proceed(true)
	}
	w.settle()
	if !w.stops() {
		w.checkSwap()
	}
	if w.goes() && !w.stops() && w.policy.Survey > 0 && w.policy.MaxWorkers > 0 && w.chance(2) {
		w.checkPool()
	}
	w.checkStop()
	w.checkReplay()
	return w
}

// one draws from a list of which the first is the dullest.
func one[T any](w *world, all ...T) T { return all[w.pick(len(all))] }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.pick(n) == n-1 }

func (w *world) drawPolicy() Policy {
	const s, ms = time.Second, time.Millisecond
	p := Policy{
		Workers:           one(w, 1, 1, 2, 3, 5),
		Ready:             one(w, Auto, Alive, Notify),
		Interval:          one(w, s, s, 0, 100*ms, 5*s),
		StartTimeout:      one(w, 5*s, 5*s, 0, 700*ms, 60*s),
		Probe:             w.chance(3),
		ProbeTimeout:      one(w, s, 0, 200*ms),
		Watchdog:          one(w, 0, 0, 2*s),
		SignalOnHup:       one(w, TERM, QUIT, 10),
		SignalOnTerm:      one(w, TERM, INT),
		DrainTimeout:      one(w, 0, s, 5*s),
		MaxOldGenerations: one(w, 0, 0, 1, 2),
		Timing:            w.drawTiming(),
		StopDelay:         one(w, 0, 2*s),
		StopTimeout:       one(w, 0, 3*s, 500*ms),
		KillGroup:         w.chance(2),
		LeaveOrphans:      w.chance(4),
		Respawn:           one(w, Always, Always, Always, Always, Always, OnFailure, Never),
		MaxBackoff:        one(w, 30*s, 0, 4*s),
		MaxFailures:       one(w, 0, 0, 1, 3),
		Loggers:           one(w, 0, 0, 1, 2),
		Companion:         w.chance(3),
	}
	if p.Ready == Alive && p.StartTimeout > 0 {
		p.StartTimeout += p.Interval // else nothing would ever be ready
	}
	if w.chance(2) {
		p.Surge = one(w, 1, 2, 3)
	}
	if w.chance(2) {
		w.drawPool(&p)
	}
	if w.chance(3) {
		p.Recycling = Recycling{MaxRequests: one[int64](w, 0, 10, 100), MaxMemory: one[int64](w, 0, 1000), MaxLifetime: one(w, 0, 100*s, time.Duration(p.Workers)*20*s), Seed: uint64(w.pick(1000))}
	}
	if w.chance(3) {
		p.HookTimeout = one(w, s, 0, 200*ms)
		for h := range p.Hooks {
			p.Hooks[h] = w.chance(2)
		}
	}
	p.Debounce = one(w, s, 0, 300*ms)
	if w.chance(3) {
		p.SignalMap = map[Signal]Signal{12: HUP, 28: 0, INT: TERM, 10: REOPEN, 34: TTIN}
	}
	if w.chance(3) {
		p.ExitMap = map[int]int{143: 0, 1: 7}
	}
	return p
}

func (w *world) drawTiming() Timing {
	const s = time.Second
	return Timing{
		KillOldDelay:        one(w, 0, 0, s, 3*s),
		AutoRestart:         w.chance(4),
		AutoRestartInterval: one(w, 10*s, 3*s, 0),
	}
}

// soon is how long something takes that takes next to no time.
func (w *world) soon() time.Duration {
	const ms = time.Millisecond
	if w.calm {
		return one(w, ms, 2*ms, 0, 20*ms)
	}
	return one(w, ms, ms, 2*ms, 0, 20*ms, 300*ms)
}

func (w *world) in(d time.Duration, happen func()) {
	w.last++
	heap.Push(&w.pending, occurrence{w.now.Add(d), w.last, happen})
}

func (w *world) goes() bool  { return w.err == nil && w.machine.phase != exited }
func (w *world) stops() bool { return w.machine.phase != operating }

func (w *world) fail(rule, format string, args ...any) {
	if w.err == nil {
		w.err = violation{rule, fmt.Sprintf(format, args...)}
	}
}

// step gives an event to the machine, has the step judged and does what the
// machine says.
func (w *world) step(event Event) {
	if w.err != nil {
		return
	}
	actions := w.machine.Step(w.now, event)
	deadline := w.machine.Deadline()
	w.steps = append(w.steps, step{w.now, event, actions, deadline})
	if err := w.judge.observe(w.now, event, actions, deadline); err != nil {
		w.err = err
		return
	}
	if err := w.judge.observeView(w.machine); err != nil {
		w.err = err
		return
	}
	if held := len(w.judge.cohorts); held != len(w.machine.generations) {
		w.fail("I9", "the machine remembers %d generations, there are %d", len(w.machine.generations), held)
		return
	}
	w.seen.look(w.machine)
	for _, a := range actions {
		w.do(a)
	}
}

// What the machine says.

func (w *world) do(action Action) {
	switch a := action.(type) {
	case Prepare:
		refused := !w.calm && w.chance(8)
		w.in(w.soon(), func() {
			if refused && !w.calm {
				w.step(Refused{a.Generation, "read envdir: permission denied"})
				return
			}
			timing := w.policy.Timing
			if w.chance(6) {
				timing = w.drawTiming()
			}
			w.step(Prepared{a.Generation, timing})
		})
	case Start:
		f, d := healthy, w.soon()
		if !w.calm {
			if g := w.machine.generation(a.Generation); g != nil && (g.state == Serving && w.policy.Survey == 0) || w.chance(4) {
				d += one(w, 0, time.Second, 4*time.Second) // so that other things happen meanwhile
			}
			f = one(w, healthy, healthy, healthy, healthy, silent, diesEarly, readyThenDies, readyThenDies, hangs, cannotFork, cannotExecute, stuck)
		}
		w.answering++
		w.in(d, func() { w.fork(a, f) })
	case Stop:
		if p := w.process(a.PID); p != nil {
			p.asked = true
			if p.obeys || !p.executed {
				w.end(p, one(w, time.Millisecond, 0, 100*time.Millisecond, 2*time.Second), Status{Signal: a.Signal})
			}
		}
	case Kill:
		if p := w.process(a.PID); p != nil {
			w.end(p, one(w, time.Millisecond, 0, 20*time.Millisecond, 2*time.Second), Status{Signal: KILL})
		}
	case Forward:
		// Most signals are no reason to end, the first of a plain init's are, and
		// TERM is.
		switch p := w.process(a.PID); {
		case p == nil:
		case w.policy.Respawn == Never && a.Signal != HUP && a.Signal < 16:
			if p.asked = true; p.obeys {
				w.end(p, w.soon(), Status{Signal: a.Signal})
			}
		case a.Signal == TERM && p.obeys:
			w.seen.mark("a worker ends by a signal that was asked for")
			w.in(w.soon(), func() { w.endByItself(p, Status{Signal: TERM}) })
		}
	case Probe:
		w.probe++
		w.probing = w.probe
		if number := w.probe; w.calm || !w.chance(4) {
			status := Status{}
			if !w.calm && w.chance(3) {
				status.Code = 1
			}
			w.in(w.soon(), func() { w.probed(number, a.Generation, status) })
		}
	case CancelProbe:
		w.probing = 0
	case RunHook:
		w.runHook(a)
	case CancelHook:
		w.running[a.Hook] = 0
	case Survey:
		w.survey()
	case StartLogger:
		if !w.calm && !w.chance(3) {
			w.in(one(w, 0, 90*time.Millisecond, 2*time.Second, 20*time.Second), func() { w.step(LoggerEnded(a)) })
		}
	case StartCompanion:
		w.companions++
		w.companion = w.companions
		if number := w.companion; !w.calm && !w.chance(3) {
			w.in(one(w, 0, 90*time.Millisecond, 2*time.Second, 20*time.Second), func() { w.companionEnded(number) })
		}
	case StopCompanion:
		w.companion = 0
	case EndOrphans:
		if number := w.companion; w.orphans == 1 {
			w.in(w.soon(), func() { w.companionEnded(number) })
		}
		switch w.orphans {
		case 0:
			w.in(0, func() { w.step(Childless{}) })
		case 1:
			w.in(time.Second, func() { w.step(Childless{}) })
		}
	case Exit:
		if n := len(w.living); n > 0 {
			w.fail("I10", "%d workers are alive at the exit", n)
		}
		if w.answering > 0 {
			w.fail("I10", "%d workers are being started at the exit", w.answering)
		}
		if w.companion != 0 && w.policy.LeaveOrphans {
			w.fail("I37", "the companion runs at the exit")
		}
		if w.running != [hooks]int{} {
			w.fail("I32", "hooks run at the exit: %v", w.running)
		}
	}
}

func (w *world) probed(number, generation int, status Status) {
	if w.probing == number {
		w.probing = 0
		w.step(Probed{generation, status})
	}
}

func (w *world) companionEnded(number int) {
	if w.companion == number && number > 0 {
		w.companion = 0
		w.step(CompanionEnded{})
	}
}

func (w *world) fork(a Start, f fate) {
	w.answering--
	if w.calm {
		f = healthy
	}
	if f == cannotFork {
		w.seen.end(w.machine, a.Generation, f)
		if w.chance(4) {
			w.step(ForkFailed{a.Generation, a.Slot, 126, "exec: argument list too long"})
		} else {
			w.step(ForkFailed{a.Generation, a.Slot, 125, "fork: resource temporarily unavailable"})
		}
		return
	}
	p := &process{pid: w.freePID(), generation: a.Generation, slot: a.Slot, fate: f, obeys: w.calm || !w.chance(4), pings: -1}
	if f == hangs {
		p.pings = w.pick(3)
	}
	i, _ := slices.BinarySearchFunc(w.living, p.pid, func(p *process, pid int) int { return p.pid - pid })
	w.living = slices.Insert(w.living, i, p)
	w.step(Forked{a.Generation, a.Slot, p.pid})
	d := w.soon()
	if w.chance(8) && !w.calm {
		d += time.Second
	}
	switch f {
	case stuck:
	case cannotExecute:
		status := one(w, 127, 126, 125)
		w.in(d, func() {
			if !p.dead {
				w.bury(p)
				w.step(NotExecuted{p.pid, status, "exec: no such file or directory"})
			}
		})
	default:
		w.in(d, func() { w.run(p) })
	}
}

// run makes a process the program, and lets it live its fate.
func (w *world) run(p *process) {
	if p.dead || p.executed {
		return
	}
	const s, ms = time.Second, time.Millisecond
	p.executed = true
	w.step(Executed{p.pid})
	if p.fate != silent && p.fate != diesEarly && (w.policy.Ready == Notify || w.calm || w.chance(2)) {
		w.in(w.soon(), func() { w.say(p) })
	}
	if p.fate != silent && w.policy.Watchdog > 0 {
		w.in(w.policy.Watchdog/2, func() { w.ping(p) })
	}
	status := one(w, Status{Code: 1}, Status{Signal: 11}, Status{})
	switch p.fate {
	case diesEarly:
		w.in(one(w, 0, ms, 90*ms), func() { w.endByItself(p, status) })
	case readyThenDies:
		w.in(one(w, 400*ms, 1100*ms, 2500*ms, 7*s, 20*s), func() { w.endByItself(p, status) })
	}
}

func (w *world) say(p *process) {
	if !p.dead {
		p.said = true
		w.step(Notified{p.pid})
	}
}

func (w *world) ping(p *process) {
	switch {
	case p.dead:
		return
	case p.pings != 0:
		p.pings--
		w.step(Pinged{p.pid})
		w.in(w.policy.Watchdog*9/10, func() { w.ping(p) })
	case w.chance(2):
		w.step(Hung{p.pid})
	}
}

func (w *world) endByItself(p *process, status Status) {
	if !w.calm && !p.dying {
		w.end(p, 0, status)
	}
}

// end has a process end, and be reaped at once.
func (w *world) end(p *process, d time.Duration, status Status) {
	p.dying = true
	w.in(d, func() {
		if !p.dead {
			w.bury(p)
			w.step(Exited{p.pid, status})
		}
	})
}

func (w *world) bury(p *process) {
	p.dead = true
	w.dead = append(w.dead, p.pid)
	w.living = slices.DeleteFunc(w.living, func(other *process) bool { return other == p })
	w.seen.end(w.machine, p.generation, p.fate)
}

func (w *world) process(pid int) *process {
	for _, p := range w.living {
		if p.pid == pid {
			return p
		}
	}
	return nil
}

func (w *world) freePID() int {
	if !w.reuse {
		return 2 + len(w.dead) + len(w.living)
	}
	for pid := 2; ; pid++ {
		if w.process(pid) == nil {
			if slices.Contains(w.dead, pid) {
				w.seen.mark("pid used again")
			}
			return pid
		}
	}
}

// What happens next.

// proceed lets the next thing happen that is due, or something else before it.
func (w *world) proceed(faults bool) {
	deadline := w.machine.Deadline()
	if !deadline.IsZero() {
		deadline = deadline.Add(w.late)
		if deadline.Before(w.now) {
			deadline = w.now
		}
	}
	pending := len(w.pending) > 0
	tick := !deadline.IsZero() && (!pending || deadline.Before(w.pending[0].at))
	if faults && !w.now.Before(w.quiet) && w.chance(3) {
		next := w.now.Add(time.Second)
		if tick {
			next = deadline
		} else if pending {
			next = w.pending[0].at
		}
		w.now = w.now.Add(max(0, next.Sub(w.now)) * time.Duration(one(w, 4, 0, 1, 3)) / 4)
		w.befall()
		return
	}
	switch {
	case tick:
		w.now = deadline
		w.step(Tick{})
	case pending:
		o := heap.Pop(&w.pending).(occurrence)
		if w.now.Before(o.at) {
			w.now = o.at
		}
		o.happen()
	case faults:
		w.now = w.now.Add(max(time.Second, w.quiet.Sub(w.now)))
		w.befall()
	default:
		w.fail("L", "nothing will ever happen again")
	}
}

// befall is what comes from outside.
func (w *world) befall() {
	switch n := w.pick(50); {
	case n >= 42:
		w.command()
	case n >= 39:
		w.number = w.pick(2 + 2*w.policy.MaxWorkers)
	case n >= 36:
		for n := one(w, 1, 2, 12); n > 0 && w.goes(); n-- {
			w.step(Changed{one(w, "envdir", "command")})
			w.now = w.now.Add(w.policy.Debounce / time.Duration(one(w, 1, 2)) * 4 / 5)
		}
	case n >= 32:
		w.step(Signaled{one(w, TTIN, TTOU)})
	case n < 10:
		w.step(Signaled{HUP})
	case n < 20:
		w.stale()
	case n < 24:
		w.step(Signaled{one[Signal](w, 10, 12, 28, 34)})
	case n < 25:
		w.step(Tick{})
	case n < 28 && !w.stops():
		w.quiet = w.now.Add(one[time.Duration](w, 2, 10, 60) * time.Second)
	case w.stops() && n < 30, n == 31 && w.chance(3):
		w.step(Signaled{one(w, TERM, INT, QUIT)})
	default:
		w.now = w.now.Add(w.soon())
		w.step(Tick{})
	}
}

// command gives the machine a command. One that is refused must not change
// anything.
func (w *world) command() {
	w.step(Tick{}) // so that nothing is due any more
	if !w.goes() {
		return
	}
	before := snapshot(w.machine)
	event := w.drawCommand()
	w.step(event)
	last := w.steps[len(w.steps)-1]
	if slices.ContainsFunc(last.actions, func(a Action) bool { answer, ok := a.(Answer); return ok && answer.Refusal != "" }) &&
		(len(last.actions) > 1 || !reflect.DeepEqual(before, snapshot(w.machine))) {
		w.fail("I36", "%v was refused and has changed something", event)
	}
}

func (w *world) drawCommand() Event {
	client := 1 + w.pick(3)
	switch w.pick(8) {
	case 3, 4:
		return ScaleAsked{client, w.pick(w.policy.Workers+5) - 1}
	case 5, 6:
		return SignalAsked{
			Client:     client,
			Signal:     one(w, 10, TERM, KILL, STOP, CHLD, 0, REOPEN, 65, 64, HUP),
			Generation: one(w, 0, w.machine.number, w.machine.number-1, 99999),
			Slot:       one(w, -1, 0, 1, -2, 99999),
		}
	case 7:
		if w.stops() || w.chance(8) {
			return StopAsked{client, one(w, TERM, INT, QUIT)}
		}
		return StopAsked{client, one[Signal](w, HUP, KILL, 0, 10)}
	}
	return SwapAsked{client}
}

// stale gives the machine an event that must not change anything.
func (w *world) stale() {
	w.step(Tick{}) // so that nothing is due any more
	if !w.goes() {
		return
	}
	event := w.drawStale()
	if event == nil {
		return
	}
	before := snapshot(w.machine)
	w.step(event)
	w.seen.stale(event)
	if last := w.steps[len(w.steps)-1]; len(last.actions) > 0 || !reflect.DeepEqual(before, snapshot(w.machine)) {
		w.fail("I14", "%v has changed something", event)
	}
}

func (w *world) drawStale() Event {
	m := w.machine
	pid := one(w, 0, -1, 1, 99999)
	if n := len(w.dead); n > 0 && !w.chance(3) {
		pid = w.dead[n-1-w.pick(n)]
	}
	unknown := w.process(pid) == nil
	number := w.pick(m.number + 2)
	g := m.generation(number)
	slot := w.pick(w.policy.Workers+2) - 1
	forking := g != nil && g.forking(slot) != nil
	switch w.pick(19) {
	case 0:
		return Tick{}
	case 1:
		return Begin{}
	case 2:
		if unknown {
			return Exited{pid, Status{Code: 1}}
		}
	case 3:
		if unknown {
			return Notified{pid}
		}
	case 4:
		if unknown {
			return one[Event](w, Pinged{pid}, Hung{pid})
		}
	case 5:
		if unknown {
			return one[Event](w, Executed{pid}, NotExecuted{pid, 127, "exec: no such file or directory"})
		}
	case 6:
		if g == nil || g.state != Preparing || w.stops() {
			return Prepared{number, Timing{KillOldDelay: time.Hour}}
		}
	case 7:
		if g == nil || g.state != Preparing {
			return Refused{number, "late"}
		}
	case 8:
		if !forking {
			return Forked{number, slot, 77777}
		}
	case 9:
		if !forking {
			return ForkFailed{number, slot, 125, "late"}
		}
	case 10:
		if g == nil || !g.probeRuns {
			return Probed{number, one(w, Status{}, Status{Code: 1})}
		}
	case 11:
		if m.phase != orphaned {
			return Childless{}
		}
	case 12:
		if w.stops() && w.policy.Respawn != Never {
			return Signaled{one(w, HUP, QUIT, TTIN, TTOU)}
		}
	case 13:
		if n := w.pick(4) - 1; n < 0 || n >= len(m.loggers) || !m.loggers[n].runs {
			return LoggerEnded{n}
		}
	case 14:
		for _, p := range w.living {
			if _, worker := m.worker(p.pid); worker.state >= running && len(m.early) == 0 {
				if worker.state >= ready {
					return one[Event](w, Executed{p.pid}, Notified{p.pid})
				}
				return Executed{p.pid}
			}
		}
	case 15:
		if !w.surveying {
			return Surveyed{Queue: 7, Queues: []int{7, 7}, Workers: []Sample{{PID: pid, Activity: Busy}}}
		}
	case 16:
		if h := Hook(w.pick(int(hooks))); w.running[h] == 0 {
			return Hooked{h, Status{Code: 1}}
		}
	case 17:
		if w.stops() || w.policy.Respawn == Never {
			return Changed{"envdir"}
		}
	case 18:
		if w.companion == 0 {
			return CompanionEnded{}
		}
	}
	return nil
}

// snapshot is a copy of all that a machine knows.
func snapshot(m *Machine) *Machine {
	known := *m
	known.policy, known.actions = Policy{}, nil
	known.early = slices.Clone(m.early)
	known.loggers = slices.Clone(m.loggers)
	known.generations = slices.Clone(m.generations)
	known.pool.slots = slices.Clone(m.pool.slots)
	for i, g := range m.generations {
		shape := *g
		copied := func(w *worker) *worker {
			if w == nil {
				return nil
			}
			is := *w
			return &is
		}
		shape.places = slices.Clone(g.places)
		for slot := range shape.places {
			p := &shape.places[slot]
			p.worker, p.successor = copied(p.worker), copied(p.successor)
		}
		shape.leaving = slices.Clone(g.leaving)
		for i, w := range g.leaving {
			shape.leaving[i] = copied(w)
		}
		known.generations[i] = &shape
	}
	return &known
}

// What has to come about.

// settle ends all faults: what hangs goes on, or ends, and what was asked to
// end and would not, does.
func (w *world) settle() {
	w.calm, w.late = true, 0
	w.wave, w.number, w.strays = 0, 0, false
	for _, p := range w.living {
		p.obeys = true
		switch {
		case p.dying:
		case p.asked, !p.executed && p.fate == stuck && w.chance(2):
			w.end(p, w.soon(), Status{Code: 1})
		case !p.executed && p.fate == stuck:
			w.in(w.soon(), func() { w.run(p); w.say(p) })
		case !p.said:
			w.in(2*time.Second, func() { w.say(p) })
		}
	}
	for h, number := range w.running {
		if number != 0 {
			w.in(w.soon(), func() { w.hooked(Hook(h), number, Status{}) })
		}
	}
	if number := w.probing; number != 0 {
		if g := w.machine.candidate(); g != nil {
			w.in(w.soon(), func() { w.probed(number, g.number, Status{}) })
		}
	}
}

// until lets things happen until something is so, at most for a time.
func (w *world) until(rule string, limit time.Duration, so func() bool) {
	end := w.now.Add(limit)
	for w.goes() && !so() {
		if w.now.After(end) {
			w.fail(rule, "it has not come about within %v", limit)
			return
		}
		w.proceed(false)
	}
}

// checkSwap waits for calm, asks for a swap and waits for calm again.
func (w *world) checkSwap() {
	alone := func() bool {
		g := w.machine.serving()
		return w.stops() || g != nil && len(w.machine.generations) == 1 && w.machine.allReady(g) && w.machine.wish.ticket == 0 &&
			(w.judge.calm || w.policy.Respawn == Never)
	}
	// What a swap in turns has left behind when it was given up stays until the
	// next request.
	divided := func() bool {
		return w.machine.serving() != nil && w.machine.candidate() == nil && w.machine.wish.ticket == 0 && !slices.ContainsFunc(w.machine.generations, func(g *generation) bool {
			return g.state != Serving && g.state != Partial || !w.machine.allReady(g)
		})
	}
	// The longest wait there may be is for a back-off.
	backoff := 2*w.policy.backoff(w.machine.failures+1) + max(0, w.machine.notBefore.Sub(w.now))
	w.until("L2", 10*time.Minute+backoff, func() bool { return alone() || divided() })
	if !w.goes() || w.stops() || w.policy.Respawn == Never {
		return
	}
	old := w.machine.serving().number
	w.step(one[Event](w, Signaled{HUP}, SwapAsked{1}))
	swap := 2*time.Minute + time.Duration(w.machine.pool.size)*(w.policy.Interval+10*time.Second) // in turns
	w.until("L1", swap, func() bool {
		g := w.machine.serving()
		return w.stops() || g != nil && g.number > old
	})
	w.until("L2", swap, alone)
}

// checkStop stops initd, unless it stops already, and waits for its exit.
func (w *world) checkStop() {
	if !w.goes() {
		return
	}
	grace := w.policy.StopTimeout
	if !w.stops() {
		if grace > 0 && w.policy.Respawn != Never && w.chance(2) {
			// Workers that ignore it make no difference then.
			for _, p := range w.living {
				p.obeys = !w.chance(2)
			}
		}
		by := one(w, TERM, INT, QUIT)
		w.step(one[Event](w, Signaled{by}, StopAsked{1, by}))
		if w.chance(4) && w.goes() {
			w.step(Signaled{one(w, HUP, 10, QUIT)})
		}
		for n := w.pick(4); n > 0 && w.goes() && w.chance(2); n-- {
			w.step(Signaled{one(w, TERM, INT)})
		}
	}
	const (
		forking = 5 * time.Second // what a fork may take
		dying   = 2 * time.Second // what an end may take, or a kill
	)
	orphans := grace
	if grace == 0 {
		orphans = orphanGrace
	}
	w.until("L3", w.policy.StopDelay+w.policy.HookTimeout+forking+grace+2*dying+orphans+time.Second, func() bool { return false })
}

// checkReplay gives the same events to another machine.
func (w *world) checkReplay() {
	if w.err != nil {
		return
	}
	m := New(w.policy)
	for _, s := range w.steps {
		if actions := m.Step(s.at, s.event); !slices.EqualFunc(actions, s.actions, same) || !m.Deadline().Equal(s.deadline) {
			w.fail("I15", "%v gives %v and then %v", s.event, s.actions, actions)
			return
		}
	}
	if m.Step(w.now, Tick{}) != nil || !m.Deadline().IsZero() {
		w.fail("I10", "there is something after the exit")
	}
}

// same reports whether two actions are.
func same(a, other Action) bool { return reflect.DeepEqual(a, other) }

// String is the transcript.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", policyLine(w.policy))
	deadline := time.Time{}
	for _, s := range w.steps {
		fmt.Fprintf(&b, "%v %v\n", s.at.Sub(epoch), s.event)
		for _, a := range s.actions {
			fmt.Fprintf(&b, "  %v\n", a)
		}
		if !s.deadline.Equal(deadline) {
			deadline = s.deadline
			fmt.Fprintf(&b, "  deadline %s\n", offset(deadline))
		}
	}
	return b.String()
}

// coverage is what the schedules have come across.
type coverage struct {
	steps      int
	situations map[string]int
	states     [Failed + 1]int
	workers    [killed + 1]int
	phases     [exited + 1]int
	ends       [fates][Failed + 1]int // of workers, by the state of their generation
}

func newCoverage() *coverage { return &coverage{situations: map[string]int{}} }

func (c *coverage) mark(situation string) { c.situations[situation]++ }

func (c *coverage) stale(event Event) {
	name, _, _ := strings.Cut(event.String(), " ")
	c.mark("stale " + name)
}

// look takes note of the states that a machine is in.
func (c *coverage) look(m *Machine) {
	c.steps++
	c.phases[m.phase]++
	for _, g := range m.generations {
		c.states[g.state]++
		for w := range g.live {
			c.workers[w.state]++
		}
	}
}

// end takes note of a worker's end in the course of operation.
func (c *coverage) end(m *Machine, generation int, f fate) {
	if g := m.generation(generation); g != nil && m.phase == operating {
		c.ends[f][g.state]++
	}
}

func (c *coverage) add(other *coverage) {
	c.steps += other.steps
	for s, n := range other.situations {
		c.situations[s] += n
	}
	for i, n := range other.states {
		c.states[i] += n
	}
	for i, n := range other.workers {
		c.workers[i] += n
	}
	for i, n := range other.phases {
		c.phases[i] += n
	}
	for f, all := range other.ends {
		for s, n := range all {
			c.ends[f][s] += n
		}
	}
}

func (c *coverage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "generations by state %v, workers by state %v, steps by phase %v\nends of workers, from %v to %v:\n", c.states, c.workers, c.phases, Preparing, Failed)
	for f, all := range c.ends {
		fmt.Fprintf(&b, "  %-15v %v\n", fate(f), all)
	}
	for _, s := range slices.Sorted(maps.Keys(c.situations)) {
		fmt.Fprintf(&b, "  %-55s %d\n", s, c.situations[s])
	}
	return b.String()
}

// missing is what there is to come across and was not.
func (c *coverage) missing() (all []string) {
	for s, n := range c.states {
		if n == 0 {
			all = append(all, "a generation that is "+State(s).String())
		}
	}
	for s, n := range c.workers {
		if n == 0 {
			all = append(all, fmt.Sprintf("a worker in state %d", s))
		}
	}
	for p, n := range c.phases {
		if n == 0 {
			all = append(all, fmt.Sprintf("phase %d", p))
		}
	}
	for f, n := range c.ends {
		for s := Starting; s <= Failed; s++ {
			if n[s] == 0 && meets(fate(f), s) {
				all = append(all, fmt.Sprintf("the end of a worker that is %v in a generation that is %v", fate(f), s))
			}
		}
	}
	for _, s := range situations {
		if c.situations[s] == 0 {
			all = append(all, s)
		}
	}
	return all
}

// meets reports whether a worker of this fate can end while its generation is
// so. In one that is being probed or tried, all have become ready.
func meets(f fate, s State) bool {
	switch f {
	case healthy:
		return s >= Retiring
	case cannotFork, cannotExecute, stuck:
		return s != Probing && s != Trial
	}
	return true
}

// situations are those that every run has to come across.
var situations = []string{
	"a failed attempt superseded",
	"a request by clock",
	"a request by control",
	"a request by loss",
	"a request by signal",
	"a request by start",
	"a request by watch",
	"a request during an attempt",
	"a retry superseded by control",
	"a retry superseded by loss",
	"a retry superseded by signal",
	"a retry superseded by watch",
	"a signal to all",
	"a signal to nobody",
	"a signal to some",
	"a signal to what is missing",
	"a stop drops a request",
	"a stop drops a retry",
	"a stop drops an attempt",
	"a ticket shared",
	"a ticket shared by a loss",
	"a ticket tried again",
	"a worker ends by a signal that was asked for",
	"an attempt by clock",
	"an attempt by control",
	"an attempt by loss",
	"an attempt by signal",
	"an attempt by start",
	"an attempt by watch",
	"outcome begun",
	"outcome failed",
	"outcome given-up",
	"outcome ready",
	"outcome refused",
	"outcome stopped",
	"outcome superseded",
	"scale-asked granted",
	"scale-asked refused",
	"scaled down",
	"scaled to what it is",
	"scaled up",
	"signal-asked granted",
	"signal-asked refused",
	"stale companion-ended",
	"stop asked in phase 0",
	"stop asked in phase 1",
	"stop asked in phase 2",
	"stop asked in phase 3",
	"stop-asked granted",
	"stop-asked refused",
	"swap-asked granted",
	"swap-asked refused",
	"the companion ends in phase 0",
	"the companion ends in phase 1",
	"the companion ends in phase 2",
	"the companion ends in phase 3",
	"the companion started again",
	"the companion stopped",
	"the ticket of a loss shared",
	"a closed slot with a queue opened",
	"a closing slot kept",
	"a logger ends in phase 0",
	"a ready worker of a failed attempt is asked to stop",
	"a logger ends in phase 1",
	"a logger ends in phase 2",
	"a logger ends in phase 3",
	"a replacement failed",
	"a sample of nobody",
	"a sample of one that came after it was asked for",
	"a slot stays open for one that has lost its worker",
	"a stop cancels after-init",
	"a stop cancels after-swap",
	"a stop cancels before-shutdown",
	"a stop cancels before-swap",
	"a swap keeps a slot open",
	"a swap makes a successor pointless",
	"a swapped slot fails its attempt",
	"a worker has succeeded",
	"after-init fails",
	"after-init runs, told of a failure: false",
	"after-swap fails",
	"after-swap is told of the latest alone",
	"after-swap runs, told of a failure: false",
	"after-swap runs, told of a failure: true",
	"asked for what cannot be",
	"asked to stop while it ends by itself",
	"attempt failed while checking",
	"attempt failed while preparing",
	"attempt failed while probing",
	"attempt failed while starting",
	"attempt failed while trial",
	"auto-restart",
	"auto-restart with old ones left",
	"back-off at its bound",
	"batch fails",
	"batch fails in its trial",
	"batch swapped",
	"before-shutdown fails",
	"on-disconnect is told of several",
	"on-disconnect runs, told of a failure: false",
	"before-shutdown runs, told of a failure: false",
	"before-shutdown runs, told of a failure: true",
	"before-swap fails",
	"before-swap runs, told of a failure: false",
	"changed again within the debounce",
	"changes over",
	"changes read by another swap",
	"changes that do not end",
	"closing with a grace",
	"early signal kept",
	"forced in phase 1",
	"forced in phase 2",
	"forced in phase 3",
	"forked after a stop",
	"forked into a generation that is failed",
	"forked into a generation that is retiring",
	"forked when its slot is lost",
	"given up with nothing that serves",
	"given up, the old one stays",
	"grown by min-idle",
	"grown by more and more",
	"grown by the queue",
	"grown by the queue of a closed slot",
	"hook-timeout of after-init",
	"hook-timeout of after-swap",
	"hook-timeout of before-shutdown",
	"hook-timeout of before-swap",
	"HUP during back-off",
	"HUP while checking",
	"HUP while preparing",
	"HUP while probing",
	"HUP while starting",
	"HUP while trial",
	"judged by its CPU time",
	"killed: drain-timeout",
	"killed: its attempt has failed",
	"killed: max-old-generations",
	"killed: start-timeout",
	"killed: stop-timeout",
	"killed: trigger",
	"killed: watchdog",
	"last call for a logger",
	"loss of a slot that was swapped",
	"loss of a worker that has a successor",
	"loss of a worker that has not settled",
	"loss of a worker that has settled",
	"loss of all workers",
	"loss of all workers but of swapped slots",
	"loss of all workers while the next is checking",
	"loss of all workers while the next is preparing",
	"loss of all workers while the next is probing",
	"loss of all workers while the next is starting",
	"loss of all workers while the next is trial",
	"loss of some workers",
	"more patience",
	"next batch",
	"no room for a slot yet",
	"not executed at the first start",
	"not grown while workers fail",
	"not shrunk while a swap is under way",
	"not shrunk within a second",
	"one failure of several workers",
	"orphans ended",
	"orphans killed",
	"orphans left alone",
	"pid used again",
	"probe cancelled by a failure",
	"probe cancelled by a stop",
	"probe cancelled by start-timeout",
	"probe failed",
	"probe-timeout",
	"recycled",
	"recycled for its age",
	"recycled for its wear",
	"refused at the first start",
	"refused while checking, the old one stays",
	"refused while preparing, the old one stays",
	"refused with nothing that serves",
	"reopen",
	"resized while a swap is under way",
	"calm",
	"shrunk",
	"shrunk after more patience",
	"slot closed",
	"slot opened",
	"slot opened while a swap is under way",
	"slots swapped back",
	"stale begin",
	"stale changed",
	"stale childless",
	"stale executed",
	"stale exited",
	"stale fork-failed",
	"stale forked",
	"stale hooked",
	"stale hung",
	"stale logger-ended",
	"stale not-executed",
	"stale notified",
	"stale pinged",
	"stale prepared",
	"stale probed",
	"stale refused",
	"stale signaled",
	"stale surveyed",
	"stale tick",
	"start-timeout while probing",
	"start-timeout while starting",
	"steered",
	"stop during after-init",
	"stop while checking",
	"stop while preparing",
	"stop while probing",
	"stop while starting",
	"stop while trial",
	"stop-delay cut short",
	"stop-delay over",
	"surveyed",
	"swap begun",
	"the command of a plain init has ended",
	"the pool has grown to what it needs",
	"the pool is at rest",
	"told that its clients have gone",
	"too large at the first start",
	"too small and cannot grow",
	"trial cut short by the loss of the old one",
	"trial over",
	"TTIN",
	"TTOU",
	"vacant slot filled",
	"vacant slot of a candidate filled",
}
