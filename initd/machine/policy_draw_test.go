package machine

import "time"

func (w *world) drawPolicy() Policy {
	const s, ms = time.Second, time.Millisecond
	p := Policy{
		Workers:           one(w, 1, 1, 2, 3, 5),
		Ready:             one(w, Auto, Alive, Notify, Auto, Seen),
		Interval:          one(w, s, s, 0, 100*ms, 5*s),
		StableAfter:       one(w, 0, 0, 3*s, 10*s, 60*s),
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
		PID1:              w.chance(2),
		LeaveOrphans:      w.chance(4),
		Respawn:           one(w, Always, Always, Always, Always, Always, OnFailure, Never),
		MaxBackoff:        one(w, 30*s, 0, 4*s),
		MaxFailures:       one(w, 0, 0, 1, 3),
		LogCommands:       one(w, 0, 0, 1, 2),
		HTTP:              w.chance(3),
	}
	p.LeaveOrphans = p.LeaveOrphans && !p.PID1
	p.Looks = p.Respawn != Never && (p.Ready == Seen || w.chance(2))
	if (p.Ready == Alive || p.Ready == Seen) && p.StartTimeout > 0 {
		p.StartTimeout += p.Interval // else nothing would ever be ready
	}
	if w.chance(2) {
		p.Surge = one(w, 1, 2, 3)
	}
	if w.chance(2) {
		w.drawPool(&p)
	}
	if w.chance(3) {
		p.Recycling = Recycling{MaxRequests: one[int64](w, 0, 10, 100), MaxMemory: one[int64](w, 0, 1000), MaxLifetime: one(w, 0, 100*s, time.Duration(p.Workers+4)*10*s), Seed: uint64(w.pick(1000))}
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
