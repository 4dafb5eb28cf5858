package machine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultPolicy is that of the settings.
func defaultPolicy() Policy {
	return Policy{
		Workers: 1, Interval: time.Second, StartTimeout: time.Minute, ProbeTimeout: 5 * time.Second,
		SignalOnHup: TERM, SignalOnTerm: TERM, Timing: Timing{AutoRestartInterval: 6 * time.Minute}, MaxBackoff: 30 * time.Second, KillGroup: true,
	}
}

// policyFields are the settings that make a policy.
var policyFields = []struct {
	name  string
	field func(*Policy) any
}{
	{"workers", func(p *Policy) any { return &p.Workers }},
	{"max-workers", func(p *Policy) any { return &p.MaxWorkers }},
	{"min-idle", func(p *Policy) any { return &p.MinIdle }},
	{"max-idle", func(p *Policy) any { return &p.MaxIdle }},
	{"surge", func(p *Policy) any { return &p.Surge }},
	{"steer", func(p *Policy) any { return &p.Steer }},
	{"max-requests", func(p *Policy) any { return &p.MaxRequests }},
	{"max-memory", func(p *Policy) any { return &p.MaxMemory }},
	{"max-lifetime", func(p *Policy) any { return &p.MaxLifetime }},
	{"seed", func(p *Policy) any { return &p.Seed }},
	{"disconnect-signal", func(p *Policy) any { return &p.DisconnectSignal }},
	{"survey", func(p *Policy) any { return &p.Survey }},
	{"hook-after-init", func(p *Policy) any { return &p.Hooks[AfterInit] }},
	{"hook-before-swap", func(p *Policy) any { return &p.Hooks[BeforeSwap] }},
	{"hook-after-swap", func(p *Policy) any { return &p.Hooks[AfterSwap] }},
	{"hook-on-disconnect", func(p *Policy) any { return &p.Hooks[OnDisconnect] }},
	{"hook-before-shutdown", func(p *Policy) any { return &p.Hooks[BeforeShutdown] }},
	{"hook-timeout", func(p *Policy) any { return &p.HookTimeout }},
	{"watch-debounce", func(p *Policy) any { return &p.Debounce }},
	{"ready", func(p *Policy) any { return &p.Ready }},
	{"looks", func(p *Policy) any { return &p.Looks }},
	{"interval", func(p *Policy) any { return &p.Interval }},
	{"stable-after", func(p *Policy) any { return &p.StableAfter }},
	{"start-timeout", func(p *Policy) any { return &p.StartTimeout }},
	{"probe", func(p *Policy) any { return &p.Probe }},
	{"probe-timeout", func(p *Policy) any { return &p.ProbeTimeout }},
	{"watchdog", func(p *Policy) any { return &p.Watchdog }},
	{"signal-on-hup", func(p *Policy) any { return &p.SignalOnHup }},
	{"signal-on-term", func(p *Policy) any { return &p.SignalOnTerm }},
	{"drain-timeout", func(p *Policy) any { return &p.DrainTimeout }},
	{"max-old-generations", func(p *Policy) any { return &p.MaxOldGenerations }},
	{"kill-old-delay", func(p *Policy) any { return &p.Timing.KillOldDelay }},
	{"enable-auto-restart", func(p *Policy) any { return &p.Timing.AutoRestart }},
	{"auto-restart-interval", func(p *Policy) any { return &p.Timing.AutoRestartInterval }},
	{"stop-delay", func(p *Policy) any { return &p.StopDelay }},
	{"stop-timeout", func(p *Policy) any { return &p.StopTimeout }},
	{"kill-group", func(p *Policy) any { return &p.KillGroup }},
	{"pid1", func(p *Policy) any { return &p.PID1 }},
	{"leave-orphans", func(p *Policy) any { return &p.LeaveOrphans }},
	{"respawn", func(p *Policy) any { return &p.Respawn }},
	{"max-backoff", func(p *Policy) any { return &p.MaxBackoff }},
	{"max-failures", func(p *Policy) any { return &p.MaxFailures }},
	{"signal-map", func(p *Policy) any { return &p.SignalMap }},
	{"exit-map", func(p *Policy) any { return &p.ExitMap }},
	{"log-commands", func(p *Policy) any { return &p.LogCommands }},
	{"http", func(p *Policy) any { return &p.HTTP }},
}

func parsePolicy(text string) (Policy, error) {
	p := defaultPolicy()
	pairs, err := parsePairs(text)
	if err != nil {
		return p, err
	}
	for _, f := range policyFields {
		value, ok := pairs[f.name]
		if !ok {
			continue
		}
		delete(pairs, f.name)
		if err := parseField(f.field(&p), value); err != nil {
			return p, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for name := range pairs {
		return p, fmt.Errorf("%s is no setting of the policy's", name)
	}
	return p, nil
}

func parseField(field any, value string) (err error) {
	switch f := field.(type) {
	case *int:
		*f, err = strconv.Atoi(value)
	case *int64:
		*f, err = strconv.ParseInt(value, 10, 64)
	case *uint64:
		*f, err = strconv.ParseUint(value, 10, 64)
	case *bool:
		*f, err = strconv.ParseBool(value)
	case *time.Duration:
		*f, err = time.ParseDuration(value)
	case *Signal:
		*f, err = parseSignal(value)
	case *Ready:
		if *f = Ready(slices.Index(readyNames, value)); *f < 0 {
			err = fmt.Errorf("%q is none of %q", value, readyNames)
		}
	case *Respawn:
		if *f = Respawn(slices.Index(respawnNames, value)); *f < 0 {
			err = fmt.Errorf("%q is none of %q", value, respawnNames)
		}
	case *map[Signal]Signal:
		*f, err = parseMap(value, parseSignal)
	case *map[int]int:
		*f, err = parseMap(value, strconv.Atoi)
	default:
		panic(fmt.Sprintf("unknown field %T", field))
	}
	return err
}

// parseMap reads USR2:HUP;WINCH:0.
func parseMap[T comparable](text string, parse func(string) (T, error)) (map[T]T, error) {
	all := map[T]T{}
	for item := range strings.SplitSeq(text, ";") {
		from, to, _ := strings.Cut(item, ":")
		key, err := parse(from)
		if err != nil {
			return nil, err
		}
		if all[key], err = parse(to); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// policyLine is the policy as a transcript has it.
func policyLine(p Policy) string {
	line := "policy"
	standard := defaultPolicy()
	for _, f := range policyFields {
		if value := fieldString(f.field(&p)); value != fieldString(f.field(&standard)) {
			line += " " + f.name + "=" + value
		}
	}
	return line
}

func fieldString(field any) string {
	switch f := field.(type) {
	case *int:
		return strconv.Itoa(*f)
	case *int64:
		return strconv.FormatInt(*f, 10)
	case *uint64:
		return strconv.FormatUint(*f, 10)
	case *bool:
		return strconv.FormatBool(*f)
	case *time.Duration:
		return f.String()
	case *Signal:
		return f.String()
	case *Ready:
		return readyNames[*f]
	case *Respawn:
		return respawnNames[*f]
	case *map[Signal]Signal:
		return mapString(*f)
	case *map[int]int:
		return mapString(*f)
	}
	panic(fmt.Sprintf("unknown field %T", field))
}

func mapString[T interface{ Signal | int }](m map[T]T) string {
	var items []string
	for _, from := range slices.Sorted(maps.Keys(m)) {
		items = append(items, fmt.Sprintf("%v:%v", from, m[from]))
	}
	return strings.Join(items, ";")
}
