package settings

import "strings"

// Overrides are what an envdir may change while initd runs; nil: no change.
type Overrides struct {
	KillOldDelay        *Duration
	EnableAutoRestart   *Bool
	AutoRestartInterval *Duration
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
	for _, r := range all() {
		for _, name := range []string{r.word, r.Variable()} {
			if text, ok := given[name]; ok && r.isBare() {
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
// they do in start_server.
func (s *Settings) With(o Overrides) *Settings {
	t := *s
	if o.EnableAutoRestart != nil {
		t.EnableAutoRestart = *o.EnableAutoRestart
	}
	if o.AutoRestartInterval != nil {
		t.AutoRestartInterval = *o.AutoRestartInterval
	}
	t.derive()
	if o.KillOldDelay != nil {
		t.KillOldDelay = *o.KillOldDelay
	}
	return &t
}
