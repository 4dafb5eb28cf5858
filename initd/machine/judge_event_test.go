package machine

import (
	"fmt"
	"slices"
	"time"
)

func (j *judge) note(event Event) {
	switch e := event.(type) {
	case Begin:
		if !j.begun {
			j.begun = true
			j.request(OnStart)
			j.runHook(AfterInit, 0, false)
			if j.policy.HTTP {
				j.http.at = j.now
			}
		}
		for i := range j.logCommands {
			if j.logCommands[i].at.IsZero() {
				j.logCommands[i].at = j.now
			}
		}
	case Signaled:
		j.noteSignal(e.Signal)
	case Prepared:
		if g := j.generation(e.Generation); g != nil && g.state == Preparing && j.phase == operating {
			j.timing = e.Timing
			if j.serving() != nil && j.policy.Hooks[BeforeSwap] {
				j.expect(g, Checking, 0)
				j.runHook(BeforeSwap, g.number, false)
			} else {
				j.expect(g, Starting, 0)
			}
		}
	case Refused:
		if g := j.generation(e.Generation); g != nil && g.state == Preparing {
			j.noteRefusal(g)
		}
	case Hooked:
		j.noteHooked(e)
	case Changed:
		j.noteChanged()
	case Surveyed:
		j.noteSurvey(e)
	case Looked:
		j.noteLooked(e)
	case Forked:
		if u := j.forking(e.Generation, e.Slot); u != nil && e.PID > 0 {
			u.pid, u.started, u.unsure = e.PID, j.now, j.now
			if j.phase != operating {
				j.mark("forked after a stop")
			}
			if u.generation.state == Failed || u.generation.state == Retiring {
				j.mark("forked into a generation that is " + u.generation.state.String())
			} else if u.leaving {
				j.mark("forked when its slot is lost")
			}
		}
	case ForkFailed:
		if u := j.forking(e.Generation, e.Slot); u != nil {
			u.started = j.now
			if e.Status != setupFailed && j.phase == operating && j.isFirstAttempt() && j.policy.Respawn != Never {
				j.mark("too large at the first start")
				j.attemptEnds(OutcomeGivenUp, 0)
				j.halt(e.Status)
			}
			j.noteLoss(u, Status{Code: e.Status})
		}
	case Executed:
		if u := j.worker(e.PID); u != nil {
			if !u.executed && u.untouched() {
				u.news = j.now
			}
			u.executed = true
			early := j.early
			j.early = nil
			for _, s := range early {
				j.mark("early signal kept")
				j.forward(s)
			}
		}
	case NotExecuted:
		if u := j.worker(e.PID); u != nil {
			if j.phase == operating && j.isFirstAttempt() && j.policy.Respawn != Never {
				j.mark("not executed at the first start")
				j.attemptEnds(OutcomeGivenUp, 0)
				j.halt(e.Status)
			}
			j.noteLoss(u, Status{Code: e.Status})
		}
	case Notified:
		if u := j.worker(e.PID); u != nil && (j.policy.Ready == Auto || j.policy.Ready == Notify) && u.ready.IsZero() && u.untouched() {
			u.executed = true
			j.ready(u, ByNotification)
		}
	case Pinged:
		if u := j.worker(e.PID); u != nil {
			u.lastPing = j.now
		}
	case Hung:
		if u := j.worker(e.PID); u != nil && j.policy.Watchdog > 0 && u.untouched() && !u.immune && j.phase == operating {
			j.hung = u
		}
	case Probed:
		if g := j.generation(e.Generation); g != nil && g.probeRuns {
			g.probeRuns = false
			g.probed = e.Status.Success() && j.allReady(g)
			if !e.Status.Success() {
				j.mark("probe failed")
			}
		}
	case Exited:
		if u := j.worker(e.PID); u != nil {
			j.noteLoss(u, e.Status)
		}
	case Extended:
		j.noteExtended(e)
	case HandedOver:
		if u := j.worker(e.PID); u != nil && u.untouched() && !u.orphan && e.To > 0 && j.worker(e.To) == nil {
			u.pid, u.sight, u.unsure = e.To, Undecided, j.now
			u.news = j.now
			j.mark("handed over while " + j.viewOf(u).State)
		}
	case Orphaned:
		j.noteOrphaned(e)
	case Suspended:
		j.noteSuspended(e)
	case Continued:
		j.noteContinued(e)
	case SignalRefused:
		j.noteSignalRefused(e)
	case Childless:
		j.orphansGone = j.phase == orphaned
	case LogCommandEnded:
		if 0 <= e.Number && e.Number < len(j.logCommands) {
			j.noteEnd(&j.logCommands[e.Number], "a log command")
		}
	case HTTPEnded:
		j.noteEnd(&j.http, "the HTTP process")
	default:
		j.noteCommand(event)
	}
}

// noteEnd takes note of the end of what is kept.
func (j *judge) noteEnd(k *seenService, what string) {
	if !k.runs {
		return
	}
	k.runs = false
	k.failures++
	if j.now.Sub(k.started) >= j.interval() {
		k.failures = 1
	}
	k.at = k.started.Add(j.wait(k.failures))
	j.mark(fmt.Sprintf("%s ends in phase %d", what, j.phase))
}

func (j *judge) noteSignal(s Signal) {
	if other, ok := j.policy.SignalMap[s]; ok {
		s = other
	} else if s == TSTP || j.policy.Respawn == Never && (s == TTIN || s == TTOU) {
		return
	}
	switch {
	case s == 0:
	case s == REOPEN:
		j.reopens++
	case j.policy.Respawn == Never && j.phase == operating:
		j.forwardPlain(s)
	case s == HUP:
		if j.phase == operating {
			if c := j.candidate(); c != nil {
				j.mark("HUP while " + c.state.String())
			} else if j.requested() {
				j.mark("HUP during back-off")
			}
			j.request(OnSignal)
		}
	case s == TTIN:
		j.noteBaseSignal(+1)
	case s == TTOU:
		j.noteBaseSignal(-1)
	case s != TERM && s != INT && s != QUIT:
		j.forward(s)
	default:
		j.noteStop(s)
	}
}

// noteStop takes note of a TERM, INT or QUIT.
func (j *judge) noteStop(s Signal) {
	switch {
	case j.phase == operating:
		j.noteEcho(s)
		j.ticketsStop()
		j.phase, j.stopAt, j.asked = lingering, j.now.Add(j.policy.StopDelay), true
		switch s {
		case TERM:
			j.stopSignal = j.policy.SignalOnTerm
		case INT:
			j.stopSignal = TERM
		case QUIT:
			j.stopSignal = QUIT
		}
		if c := j.candidate(); c != nil {
			j.mark("stop while " + c.state.String())
		}
		if j.hooks[AfterInit].runs {
			j.mark("stop during after-init")
		}
		j.runHook(BeforeShutdown, 0, false)
	case s == QUIT:
	case j.noteEcho(s):
		j.mark(fmt.Sprintf("an echo in phase %d", j.phase))
	case !j.asked && j.policy.Respawn != Never:
		j.mark("asked to stop while it ends by itself")
		j.asked = true
	default:
		j.mark(fmt.Sprintf("forced in phase %d", j.phase))
		if j.phase == lingering {
			j.terminate()
		}
		j.killAt, j.forced = j.now, true
	}
}

// noteSignalRefused takes back what was believed to have been done to a worker: the
// kill, or the later of the two stops.
func (j *judge) noteSignalRefused(e SignalRefused) {
	u := j.worker(e.PID)
	if u != nil && !u.ready.IsZero() && (u.ready == u.stopped || u.ready == u.ended) {
		u.vague = true
	}
	switch {
	case u == nil, e.Kill && !u.killed, !e.Kill && u.stopped.IsZero() && u.ended.IsZero():
		return
	case e.Kill:
		u.killed = false
	case !u.ended.IsZero():
		u.ended = time.Time{}
	default:
		u.stopped, u.drainUntil = time.Time{}, time.Time{}
	}
	u.mustGoOn = u.mustGoOn && (!u.stopped.IsZero() || !u.ended.IsZero())
	u.immune, u.refused = true, true
	j.mark(fmt.Sprintf("a signal is refused in phase %d, kill: %t", j.phase, e.Kill))
}

// noteEcho reports whether a signal that stops is one with the last that did, and
// takes note of it if it is not.
func (j *judge) noteEcho(s Signal) bool {
	if s == j.stopBy && j.now.Before(j.stopByAt.Add(500*time.Millisecond)) {
		return true
	}
	j.stopBy, j.stopByAt = s, j.now
	return false
}

func (j *judge) noteRefusal(g *seenGeneration) {
	switch {
	case j.phase != operating:
		j.remove(g)
	case j.serving() != nil:
		j.attempted = true
		j.mark("refused while " + g.state.String() + ", the old one stays")
		j.swappedAt, j.gaveUp = j.now, g.number
		j.remove(g)
		j.attemptEnds(OutcomeRefused, 0)
		j.transitions = append(j.transitions, Transition{Generation: g.number, State: Declined})
		j.runHook(AfterSwap, g.number, true)
	case j.isFirstAttempt():
		j.mark("refused at the first start")
		j.remove(g)
		j.attemptEnds(OutcomeRefused, 0)
		j.halt(setupFailed)
	default:
		j.mark("refused with nothing that serves")
		g.refused = true
	}
}

// forwardPlain is for a signal that a plain init receives while its command runs.
func (j *judge) forwardPlain(s Signal) {
	if s == TERM || s == INT || s == QUIT {
		j.noteEcho(s)
		for _, g := range j.generations {
			for u := range g.live {
				if (u.executed || u.pid > 0 && !u.untouched()) && !u.killed {
					j.askToEnd(u)
				}
			}
		}
	}
	j.forward(s)
}

func (j *judge) forward(s Signal) {
	sent := j.forwardTo(s, func(*seenWorker) bool { return true })
	if sent == 0 && j.policy.Respawn == Never && !slices.Contains(j.early, s) {
		j.early = append(j.early, s)
	}
}

// forwardTo has a signal be due to workers, and reports to how many.
func (j *judge) forwardTo(s Signal, whom func(*seenWorker) bool) (n int) {
	for _, g := range j.generations {
		for u := range g.live {
			// One that was asked to end is past its start, whether it knows or not.
			if (u.executed || u.pid > 0 && !u.untouched()) && !u.killed && !u.orphan && whom(u) {
				j.forwards = append(j.forwards, Forward{g.number, u.slot, u.pid, s})
				n++
			}
		}
	}
	return n
}
