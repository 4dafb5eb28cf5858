package machine

import "time"

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
		if p := w.process(a.PID); p != nil && p.immune {
			w.refused = append(w.refused, SignalRefused{PID: a.PID})
		} else if p != nil {
			p.asked = true
			if !w.calm && w.chance(6) {
				w.in(w.soon(), func() { w.extend(p, 2) })
			}
			if (p.obeys || !p.executed) && !p.suspended {
				w.end(p, one(w, time.Millisecond, 0, 100*time.Millisecond, 2*time.Second), Status{Signal: a.Signal})
			}
		}
	case Recycle:
		if p := w.process(a.PID); p != nil && w.chance(8) {
			w.in(w.soon(), func() { w.endByItself(p, Status{Code: 1}) })
		}
	case Kill:
		if p := w.process(a.PID); p != nil && p.immune {
			w.refused = append(w.refused, SignalRefused{PID: a.PID, Kill: true})
		} else if p != nil {
			w.end(p, one(w, time.Millisecond, 0, 20*time.Millisecond, 2*time.Second, w.long()), Status{Signal: KILL})
		}
	case Continue:
		if p := w.process(a.PID); p != nil && p.suspended {
			w.in(w.soon(), func() { w.resume(p) })
		}
	case Forward:
		// Most signals are no reason to end, the first of a plain init's are, and
		// TERM is.
		switch p := w.process(a.PID); {
		case p == nil:
		case w.policy.Respawn == Never && a.Signal != HUP && a.Signal < 16:
			if p.asked = true; p.obeys && !p.suspended {
				w.end(p, w.soon(), Status{Signal: a.Signal})
			}
		case a.Signal == TERM && p.obeys && !p.suspended:
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
	case Look:
		w.lookAt(a.PIDs)
	case StartLogCommand:
		if !w.calm && !w.chance(3) {
			w.in(one(w, 0, 90*time.Millisecond, 2*time.Second, 20*time.Second), func() { w.step(LogCommandEnded(a)) })
		}
	case StartHTTP:
		w.httpStarts++
		w.http = w.httpStarts
		if number := w.http; !w.calm && !w.chance(3) {
			w.in(one(w, 0, 90*time.Millisecond, 2*time.Second, 20*time.Second), func() { w.httpEnded(number) })
		}
	case StopHTTP:
		w.http = 0
	case EndOrphans:
		w.endsOrphans = true
		if number := w.http; w.orphans == 1 {
			w.in(w.soon(), func() { w.httpEnded(number) })
		}
		switch w.orphans {
		case 0:
			w.in(0, func() { w.step(Childless{}) })
		case 1:
			w.in(time.Second, func() { w.step(Childless{}) })
		}
	case Exit:
		for _, p := range w.living {
			if !p.immune && !p.dying || !w.policy.PID1 && !p.orphan {
				w.fail("I10", "worker %d is alive at the exit", p.pid)
			}
		}
		if w.answering > 0 {
			w.fail("I10", "%d workers are being started at the exit", w.answering)
		}
		if w.http != 0 && w.policy.LeaveOrphans {
			w.fail("I37", "the HTTP process runs at the exit")
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

func (w *world) httpEnded(number int) {
	if w.http == number && number > 0 {
		w.http = 0
		w.step(HTTPEnded{})
	}
}
