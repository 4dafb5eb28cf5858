package machine

import (
	"fmt"
	"slices"
	"time"
)

// seenHooks is what the judge knows of hooks, and of what is watched.
type seenHooks struct {
	begun    bool
	hooks    [hooks]seenHook
	hooksDue []RunHook // to be run in this step

	changedFirst, changedLast time.Time
}

// seenHook is a hook that runs.
type seenHook struct {
	runs  bool
	until time.Time
	next  []RunHook // its next runs, when it has ended
}

// runHook has a hook run, if there is one, and reports whether there is.
func (j *judge) runHook(h Hook, generation int, failed bool) bool {
	a := RunHook{Hook: h, Generation: generation}
	if failed {
		a.Failure = "it has failed"
	}
	return j.queueHook(a)
}

// queueHook has a hook run, at once or when it has ended.
func (j *judge) queueHook(a RunHook) bool {
	if !j.policy.Hooks[a.Hook] {
		return false
	}
	e := &j.hooks[a.Hook]
	switch {
	case !e.runs:
		e.runs, e.until = true, j.limit(j.now, j.policy.HookTimeout)
		j.hooksDue = append(j.hooksDue, a)
	case a.Hook == OnDisconnect:
		j.mark("on-disconnect runs for several")
		e.next = append(e.next, a)
	default:
		if len(e.next) > 0 {
			j.mark("after-swap runs for the latest alone")
		}
		e.next = []RunHook{a}
	}
	return true
}

func (j *judge) judgeRunHook(a RunHook) {
	if a.Failure != "" {
		a.Failure = "it has failed"
	}
	i := slices.Index(j.hooksDue, a)
	if i < 0 {
		broken("I32", "%v is not due", a)
	}
	j.hooksDue = slices.Delete(j.hooksDue, i, i+1)
	j.mark(fmt.Sprintf("%v runs after a failure: %v", a.Hook, a.Failure != ""))
}

func (j *judge) judgeCancelHook(a CancelHook) {
	e := &j.hooks[a.Hook]
	if !e.runs {
		broken("I32", "%v, which does not run", a)
	}
	e.runs = false
	switch {
	case j.phase >= terminating, j.phase == lingering && a.Hook < AfterSwap:
		j.mark("a stop cancels " + a.Hook.String())
	case j.past(e.until):
		j.mark("hook-timeout of " + a.Hook.String())
		j.hookEnded(a.Hook, false)
		j.linger()
	default:
		broken("I32", "%v without a cause", a)
	}
}

func (j *judge) noteHooked(e Hooked) {
	if e.Hook < 0 || e.Hook >= hooks || !j.hooks[e.Hook].runs {
		return
	}
	j.hooks[e.Hook].runs = false
	if !e.Status.Success() {
		j.mark(e.Hook.String() + " fails")
	}
	j.hookEnded(e.Hook, e.Status.Success())
}

// hookEnded is what follows from the end of a hook.
func (j *judge) hookEnded(h Hook, success bool) {
	switch h {
	case AfterInit:
		if !success && j.phase == operating {
			j.halt(setupFailed)
		}
	case BeforeSwap:
		g := j.candidate()
		switch {
		case g == nil || g.state != Checking:
		case !success:
			j.noteRefusal(g)
		default:
			g.began = j.now
			j.expect(g, Starting, 0)
		}
	}
	if e := &j.hooks[h]; len(e.next) > 0 {
		a := e.next[0]
		e.next = e.next[1:]
		j.queueHook(a)
	}
}

// concludeHooks judges the hooks after a step.
func (j *judge) concludeHooks() {
	if len(j.hooksDue) > 0 {
		broken("I32", "%v is missing", j.hooksDue[0])
	}
	for h, e := range j.hooks {
		if e.runs && (j.phase == lingering && Hook(h) < AfterSwap || j.phase >= terminating) {
			broken("I32", "%v runs for nothing", Hook(h))
		}
	}
}

// hookLimits are the limits that hooks have, and the wait for what changes.
func (j *judge) hookLimits(limit func(t time.Time, format string, args ...any)) {
	for h, e := range j.hooks {
		if e.runs {
			limit(e.until, "hook-timeout of %v", Hook(h))
		}
	}
	if j.phase == operating {
		limit(j.changesAt(), "watch-debounce")
	}
}

func (j *judge) noteChanged() {
	if j.phase != operating || j.policy.Respawn == Never {
		return
	}
	if j.changedFirst.IsZero() {
		j.changedFirst = j.now
	} else {
		j.mark("changed again within the debounce")
	}
	j.changedLast = j.now
}

// changesAt is when what has changed is to be swapped; zero: nothing has.
func (j *judge) changesAt() time.Time {
	if j.changedFirst.IsZero() {
		return time.Time{}
	}
	quiet, limit := j.changedLast.Add(j.policy.Debounce), j.changedFirst.Add(10*j.policy.Debounce)
	if limit.Before(quiet) {
		return limit
	}
	return quiet
}

// changes reports whether what has changed is to be swapped now.
func (j *judge) changes() bool {
	if j.phase != operating || !j.past(j.changesAt()) {
		return false
	}
	j.mark("changes over")
	if j.past(j.changedFirst.Add(10*j.policy.Debounce)) && j.changedLast.Add(j.policy.Debounce).After(j.now) {
		j.mark("changes that do not end")
	}
	return true
}
