package settings

import (
	"strings"
	"time"
)

// Overrides are what an envdir may change while initd runs; nil: no change.
type Overrides struct {
	KillOldDelay        *time.Duration
	EnableAutoRestart   *bool
	AutoRestartInterval *time.Duration
}

// Reload finds the overrides in an envdir's K=V strings, under their names with
// or without prefix; with prefix wins. The error is Problems, all of them.
func Reload(environ []string) (Overrides, error) {
	given := make(map[string]string)
	for _, kv := range environ {
		if name, text, ok := strings.Cut(kv, "="); ok && strings.TrimSpace(text) != "" {
			given[name] = text
		}
	}
	s := &Settings{sources: make(map[string]source)}
	var problems Problems
	for _, r := range s.table() {
		if !r.Bare {
			continue
		}
		for _, name := range []string{r.bare(), r.Variable()} {
			if text, ok := given[name]; ok {
				problems = append(problems, s.set(r, source{variable: name}, text)...)
			}
		}
	}
	if len(problems) > 0 {
		return Overrides{}, problems
	}
	var o Overrides
	if s.Given("kill-old-delay") {
		o.KillOldDelay = &s.KillOldDelay
	}
	if s.Given("enable-auto-restart") {
		o.EnableAutoRestart = &s.EnableAutoRestart
	}
	if s.Given("auto-restart-interval") {
		o.AutoRestartInterval = &s.AutoRestartInterval
	}
	return o, nil
}

// With is a copy of the settings with the overrides, which beat flags too, as
// they do in start_server. It also settles what nobody gave and what depends on
// others.
func (s *Settings) With(o Overrides) *Settings {
	t := *s
	if !s.Given("start-timeout") && s.Ready != Notify && s.StartTimeout <= s.Interval {
		t.StartTimeout += s.Interval // a worker may need the interval to be ready
	}
	if t.MaxWorkers == 0 {
		t.MaxWorkers = t.Workers
	}
	if !s.Given("max-idle") {
		// With max-workers or more the pool would never shrink.
		t.MaxIdle = min(max(t.Workers, t.MinIdle+1), max(t.MinIdle, t.MaxWorkers-1))
	}
	if o.EnableAutoRestart != nil {
		t.EnableAutoRestart = *o.EnableAutoRestart
	}
	if o.AutoRestartInterval != nil {
		t.AutoRestartInterval = *o.AutoRestartInterval
	}
	switch {
	case o.KillOldDelay != nil:
		t.KillOldDelay = *o.KillOldDelay
	case s.Given("kill-old-delay"):
	case t.EnableAutoRestart:
		t.KillOldDelay = 5 * time.Second
	default:
		t.KillOldDelay = 0
	}
	return &t
}
