package initd

import (
	"math/rand/v2"
	"os"
	"time"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// policy makes the policy of the machine from the settings.
func (in *instance) policy() machine.Policy {
	s := in.settings
	p := machine.Policy{
		Workers:           int(s.Workers),
		MaxWorkers:        int(s.MaxWorkers),
		MinIdle:           int(s.MinIdle),
		MaxIdle:           int(s.MaxIdle),
		Surge:             int(s.Surge),
		Steer:             bool(s.ReusePort),
		Recycling:         recycling(s),
		DisconnectSignal:  machine.Signal(s.DisconnectSignal),
		Survey:            in.survey.Every(),
		HookTimeout:       time.Duration(s.HookTimeout),
		Debounce:          time.Duration(s.WatchDebounce),
		Ready:             s.Ready.Value,
		Interval:          time.Duration(s.Interval),
		StableAfter:       time.Duration(s.StableAfter),
		StartTimeout:      time.Duration(s.StartTimeout),
		Probe:             len(s.Probe) > 0 && !in.programs.plain(),
		ProbeTimeout:      time.Duration(s.ProbeTimeout),
		Watchdog:          time.Duration(s.Watchdog),
		SignalOnHup:       machine.Signal(s.SignalOnHUP),
		SignalOnTerm:      machine.Signal(s.SignalOnTERM),
		DrainTimeout:      time.Duration(s.DrainTimeout),
		MaxOldGenerations: int(s.MaxOldGenerations),
		Timing:            timing(s),
		StopDelay:         time.Duration(s.StopDelay),
		StopTimeout:       time.Duration(s.StopTimeout),
		KillGroup:         bool(s.KillGroup),
		PID1:              os.Getpid() == 1,
		// Elsewhere than as PID 1 a plain init's orphans may be daemons that
		// its command was meant to leave behind.
		LeaveOrphans: in.programs.plain() && os.Getpid() != 1,
		Respawn:      s.Respawn.Value,
		MaxBackoff:   time.Duration(s.MaxBackoff),
		MaxFailures:  int(s.MaxFailures),
		SignalMap:    s.SignalMap,
		ExitMap:      s.ExitMap,
		LogCommands:  in.logs.Commands(),
		HTTP:         in.http.sockets != nil,
	}
	p.Looks = in.seesWorkers()
	for h, argv := range hooks(s) {
		p.Hooks[h] = len(argv) > 0
	}
	if !s.Given("max-workers") {
		p.MaxWorkers = 0 // somebody may ask for more workers
	}
	if in.programs.plain() {
		p.Watchdog = 0
		p.Workers, p.MaxWorkers, p.Survey, p.Steer = 1, 0, 0, false
		p.Recycling = machine.Recycling{}
		p.Hooks[machine.BeforeSwap], p.Hooks[machine.AfterSwap], p.Hooks[machine.OnDisconnect] = false, false, false
	}
	return p
}

func recycling(s *settings.Settings) machine.Recycling {
	return machine.Recycling{
		MaxRequests: int64(s.MaxRequests),
		MaxMemory:   int64(s.MaxMemory),
		MaxLifetime: time.Duration(s.MaxLifetime),
		Seed:        rand.Uint64(),
	}
}

func timing(s *settings.Settings) machine.Timing {
	return machine.Timing{
		KillOldDelay:        time.Duration(s.KillOldDelay),
		AutoRestart:         bool(s.EnableAutoRestart),
		AutoRestartInterval: time.Duration(s.AutoRestartInterval),
	}
}
