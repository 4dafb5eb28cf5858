package machine

import (
	"strings"
	"time"
)

func (j *judge) halt(status int) {
	j.status, j.stopSignal = status, j.policy.SignalOnTerm
	j.clockAtHalt = !j.requested() && (j.changes() || j.restarts())
	j.ticketsStop()
	if j.phase, j.stopAt = lingering, j.now; !j.runHook(BeforeShutdown, 0, status != 0) {
		j.terminate()
	}
}

// linger ends the wait before workers are asked to end.
func (j *judge) linger() {
	if j.phase == lingering && !j.hooks[BeforeShutdown].runs && (j.alive() == 0 || !j.now.Before(j.stopAt)) {
		j.mark(map[bool]string{true: "stop-delay cut short", false: "stop-delay over"}[j.now.Before(j.stopAt)])
		j.terminate()
	}
}

func (j *judge) terminate() {
	j.phase, j.ended, j.killAt = terminating, true, j.limit(j.now, j.policy.StopTimeout)
	if since := j.limit(j.stopByAt, j.policy.StopTimeout); j.policy.Respawn == Never && j.now.Before(since) {
		j.killAt = since
		j.mark("a plain init's stop begins with the signal")
	}
	j.stopLimit = j.killAt
	for h := range j.hooks {
		j.hooks[h].next = nil
	}
	for _, g := range j.generations {
		for u := range g.live {
			u.immune = false
		}
	}
}

func (j *judge) judgeStop(a Stop) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if u.killed {
		broken("I6", "%v after its kill", a)
	}
	if u.immune {
		broken("I6", "%v, and its signals are refused", a)
	}
	if !u.leaving && (u.generation.state == Serving || u.generation.state == Partial) {
		j.fitSlots() // its slot may be closed
	}
	gone := u.leaving || u.generation.state == Retiring || u.generation.state == Failed
	swap := j.phase < terminating ||
		j.ended && gone && u.generation.state != Failed && !u.refused && u.stopped.IsZero() && a.Signal == j.policy.SignalOnHup // sent just before the phase changed
	if swap {
		if !gone {
			broken("I4", "%v while its generation is %v", a, u.generation.state)
		}
		if u.doomed {
			broken("I7", "%v, and its attempt failed", a)
		}
		if !u.stopped.IsZero() {
			broken("I6", "%v comes twice", a)
		}
		if a.Signal != j.policy.SignalOnHup {
			broken("I6", "%v has another signal than signal-on-hup", a)
		}
		u.extended = time.Time{}
		if u.stopped = j.now; u.drainUntil.IsZero() {
			u.drainUntil = j.limit(j.now, j.policy.DrainTimeout)
		}
		j.askToEnd(u)
		return
	}
	if !u.ended.IsZero() {
		broken("I6", "%v comes twice", a)
	}
	if !j.unlistened {
		broken("I40", "%v and initd has the listeners open", a)
	}
	if a.Signal != j.stopSignal {
		broken("I6", "%v has another signal than %v", a, j.stopSignal)
	}
	u.ended, u.extended = j.now, time.Time{}
	j.askToEnd(u)
}

func (j *judge) judgeKill(a Kill) {
	u := j.named(a, a.Generation, a.Slot, a.PID)
	if u.killed {
		broken("I6", "%v comes twice", a)
	}
	if u.immune {
		broken("I6", "%v, and its signals are refused", a)
	}
	if a.Group != (j.policy.KillGroup && !u.orphan) {
		broken("I39", "%v is not what kill-group says", a)
	}
	cause := j.cause(u)
	if cause == "" {
		broken("I7", "%v has no cause", a)
	}
	if cause == "stop-timeout" && strings.Contains(a.Reason, "a second stop signal") != j.forced {
		broken("I7", "%v, and that the stop was forced is %v", a, j.forced)
	}
	j.mark("killed: " + cause)
	if u.accepts() && !u.leaving && j.holds(u.generation, u.slot) {
		j.missing++
	}
	u.killed, u.killedAt = true, j.now
}

// cause is why a worker may be killed.
func (j *judge) cause(u *seenWorker) string {
	g := u.generation
	newer := 0 // retiring generations that are newer
	for _, other := range j.generations {
		if other.number > g.number && other.state == Retiring && other.some(func(u *seenWorker) bool { return !u.killed && !u.immune }) {
			newer++
		}
	}
	switch {
	case u.doomed && u.orphan:
		return "an orphan of what was killed or not ready"
	case u.doomed:
		return "its attempt failed"
	case j.past(extended(u.drainUntil, u)):
		return "drain-timeout"
	case j.phase == operating && !u.ready.IsZero() && u.untouched() && j.past(j.limit(u.lastPing, j.policy.Watchdog)):
		return "watchdog"
	case u == j.hung:
		return "trigger"
	case j.phase == operating && j.replaces(u) && j.past(extended(j.startLimit(u.started), u)):
		return "start-timeout"
	case j.phase == operating && g.state == Retiring && j.policy.MaxOldGenerations > 0 && newer >= j.policy.MaxOldGenerations:
		return "max-old-generations"
	case j.phase == terminating && j.past(j.killLimit(u)):
		return "stop-timeout"
	}
	return ""
}

func (j *judge) judgeExit(a Exit) {
	if n := j.awaited(); n > 0 {
		broken("I10", "%v and %d workers are alive", a, n)
	}
	if j.alive() > 0 {
		j.mark("exit without workers that cannot be ended")
	}
	left := j.phase == terminating && j.policy.LeaveOrphans
	if !left && !(j.phase == orphaned && j.orphansGone) {
		broken("I10", "%v and the orphans have not ended", a)
	}
	if a.Status != j.status {
		broken("I10", "%v, not %d", a, j.status)
	}
	for i, k := range j.logCommands {
		if !k.runs && !k.at.IsZero() {
			broken("I21", "%v and nobody takes what is left for log command %d", a, i)
		}
	}
	if j.lastStart {
		j.mark("last start of a log command")
	}
	if left && j.http.runs {
		broken("I37", "%v and the HTTP process runs", a)
	}
	j.mark(map[bool]string{true: "orphans left alone", false: "orphans ended"}[left])
	j.phase, j.generations, j.idle = exited, nil, false
}

// named is the worker an action names.
func (j *judge) named(a Action, generation, slot, pid int) *seenWorker {
	u := j.worker(pid)
	if u == nil || u.slot != slot || u.generation.number != generation {
		broken("I6", "%v names no live worker", a)
	}
	return u
}
