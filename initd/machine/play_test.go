package machine

import (
	"container/heap"
	"fmt"
	"reflect"
	"strings"
	"time"
)

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
	w.endFaults()
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

// step gives an event to the machine, has the step judged and carries out the
// actions.
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
	if held := len(w.judge.generations); held != len(w.machine.generations) {
		w.fail("I9", "the machine remembers %d generations, there are %d", len(w.machine.generations), held)
		return
	}
	w.seen.look(w.machine)
	w.refused = nil
	for _, a := range actions {
		w.do(a)
	}
	for _, e := range w.refused {
		w.step(e)
	}
}

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
		w.disturb()
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
		w.disturb()
	default:
		w.fail("L", "nothing will ever happen again")
	}
}

// disturb is what comes from outside.
func (w *world) disturb() {
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
