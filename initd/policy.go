package initd

import (
	"math/rand/v2"
	"os"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// policy is what the settings say to the machine.
func (in *instance) policy() machine.Policy {
	s := in.settings
	p := machine.Policy{
		Workers:           s.Workers,
		MaxWorkers:        s.MaxWorkers,
		MinIdle:           s.MinIdle,
		MaxIdle:           s.MaxIdle,
		Surge:             s.Surge,
		Steer:             s.ReusePort,
		Recycling:         recycling(s),
		DisconnectSignal:  machine.Signal(s.DisconnectSignal),
		Survey:            surveyEvery(s),
		HookTimeout:       s.HookTimeout,
		Debounce:          s.WatchDebounce,
		Ready:             map[settings.Ready]machine.Ready{settings.Auto: machine.Auto, settings.Alive: machine.Alive, settings.Notify: machine.Notify}[s.Ready],
		Interval:          s.Interval,
		StartTimeout:      s.StartTimeout,
		Probe:             len(s.Probe) > 0 && !in.plain,
		ProbeTimeout:      s.ProbeTimeout,
		Watchdog:          s.Watchdog,
		SignalOnHup:       machine.Signal(s.SignalOnHUP),
		SignalOnTerm:      machine.Signal(s.SignalOnTERM),
		DrainTimeout:      s.DrainTimeout,
		MaxOldGenerations: s.MaxOldGenerations,
		Timing:            timing(s),
		StopDelay:         s.StopDelay,
		StopTimeout:       s.StopTimeout,
		KillGroup:         s.KillGroup,
		// Elsewhere than as PID 1 a plain init's orphans may be daemons that
		// its command was meant to leave behind.
		LeaveOrphans: in.plain && os.Getpid() != 1,
		Respawn:      map[settings.Respawn]machine.Respawn{settings.Always: machine.Always, settings.OnFailure: machine.OnFailure, settings.Never: machine.Never}[s.Respawn],
		MaxBackoff:   s.MaxBackoff,
		MaxFailures:  s.MaxFailures,
		SignalMap:    map[machine.Signal]machine.Signal{},
		ExitMap:      s.ExitMap,
		LogCommands:  len(in.logs.commands),
		HTTP:         in.httpSet != nil,
	}
	for h, argv := range hooks(s) {
		p.Hooks[h] = len(argv) > 0
	}
	if !s.Given("max-workers") {
		p.MaxWorkers = 0 // somebody may ask for more workers
	}
	if in.plain {
		p.Watchdog = 0
		p.Workers, p.MaxWorkers, p.Survey, p.Steer = 1, 0, 0, false
		p.Recycling = machine.Recycling{}
		p.Hooks[machine.BeforeSwap], p.Hooks[machine.AfterSwap], p.Hooks[machine.OnDisconnect] = false, false, false
	}
	for from, to := range s.SignalMap {
		p.SignalMap[machine.Signal(from)] = machine.Signal(to) // settings.Reopen is machine.REOPEN
	}
	return p
}

func recycling(s *settings.Settings) machine.Recycling {
	return machine.Recycling{
		MaxRequests: int64(s.MaxRequests),
		MaxMemory:   s.MaxMemory,
		MaxLifetime: s.MaxLifetime,
		Seed:        rand.Uint64(),
	}
}

func timing(s *settings.Settings) machine.Timing {
	return machine.Timing{
		KillOldDelay:        s.KillOldDelay,
		AutoRestart:         s.EnableAutoRestart,
		AutoRestartInterval: s.AutoRestartInterval,
	}
}
