package machine

import (
	"fmt"
	"time"
)

func (j *judge) judge(action Action) {
	switch a := action.(type) {
	case Prepare:
		j.judgePrepare(a)
	case Start:
		j.judgeStart(a)
	case Stop:
		j.judgeStop(a)
	case Kill:
		j.judgeKill(a)
	case Stuck:
		u := j.named(a, a.Generation, a.Slot, a.PID)
		if !u.killed || u.stuck || j.now.Before(u.killedAt.Add(time.Second)) {
			broken("I43", "%v has no cause", a)
		}
		u.stuck = true
		j.mark(fmt.Sprintf("stuck in phase %d", j.phase))
	case Continue:
		j.judgeContinue(a)
	case Forward:
		if len(j.forwards) == 0 || j.forwards[0] != a {
			broken("I17", "%v is not due", a)
		}
		j.forwards = j.forwards[1:]
	case Probe:
		j.judgeProbe(a)
	case CancelProbe:
		j.judgeCancel(a)
	case Transition:
		j.judgeTransition(a)
	case RunHook:
		j.judgeRunHook(a)
	case CancelHook:
		j.judgeCancelHook(a)
	case Survey:
		j.judgeSurvey(a)
	case Look:
		j.judgeLook(a)
	case Unverified:
		j.judgeUnverified(a)
	case Resize:
		j.judgeResize(a)
	case Recycle:
		j.judgeRecycle(a)
	case Steer:
		j.judgeSteer(a)
	case Outcome:
		j.judgeOutcome(a)
	case Answer:
		j.judgeAnswer(a)
	case StartHTTP, StopHTTP:
		j.judgeHTTP(a)
	case StartLogCommand:
		k := &j.logCommands[a.Number]
		if k.runs || k.at.IsZero() {
			broken("I21", "%v is not due", a)
		}
		j.lastStart = j.lastStart || j.now.Before(k.at)
		k.runs, k.started = true, j.now
	case Reopen:
		if j.reopens == 0 {
			broken("I17", "%v is not due", a)
		}
		j.reopens--
		j.mark("reopen")
	case CloseListeners:
		executed, _ := j.event.(Executed)
		if j.unlistened || !j.ended && !(j.policy.Respawn == Never && j.worker(executed.PID) != nil) {
			broken("I40", "%v is not due", a)
		}
		j.unlistened = true
		j.mark(fmt.Sprintf("listeners closed in phase %d", j.phase))
	case EndOrphans:
		if j.phase != terminating || j.awaited() > 0 || j.policy.LeaveOrphans {
			broken("I10", "the orphans are ended before the workers have ended")
		}
		j.phase, j.killAt = orphaned, j.stopLimit
		if j.killAt.IsZero() {
			j.killAt = j.now.Add(orphanGrace)
		}
	case KillOrphans:
		if j.phase != orphaned || j.now.Before(j.killAt) {
			broken("I7", "the orphans are killed before their grace is over")
		}
		j.orphansGone = true
		j.mark("orphans killed")
	case Exit:
		j.judgeExit(a)
	default:
		panic(fmt.Sprintf("unknown action %T", action))
	}
}
