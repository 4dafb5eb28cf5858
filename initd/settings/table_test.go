package settings

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kelseyhightower/envconfig"

	"server-starter/initd/machine"
)

// The variables that are documented are those that envconfig reads, and it
// reads no others.
func TestNamesAreThoseOfEnvconfig(t *testing.T) {
	environment(t)
	for _, r := range all() {
		t.Setenv(r.Variable(), "x")
		if err := envconfig.CheckDisallowed(prefix, new(Settings)); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
	for _, name := range []string{"REQUEST", "COMMAND", "ANSWER", "NOTES", "HANDED", "SOURCES"} {
		environment(t, prefix+"_"+name+"=x")
		if envconfig.CheckDisallowed(prefix, new(Settings)) == nil {
			t.Errorf("%s can be set by a variable", name)
		}
	}
}

// A default is what its setting takes, and what is set is described.
func TestTags(t *testing.T) {
	s := &Settings{sources: make(map[string]source)}
	for _, r := range all() {
		if r.tag("desc") == "" || r.tag("example") == "" {
			t.Errorf("%s lacks a description or an example", r.Name)
		}
		if text := r.tag("default"); text != "" {
			if problems := s.set(r, source{}, text); len(problems) > 0 {
				t.Errorf("%s: %v", r.Name, problems)
			}
		}
		if words := s.value(r).Type(); strings.HasPrefix(words, "a whole number from") && !strings.Contains(words, " to 4096") {
			t.Errorf("%s expects %s", r.Name, words)
		}
	}
	for _, r := range Table() {
		for _, name := range r.See {
			if other, ok := lookup(name); !ok || other.isHidden() || name == r.Name {
				t.Errorf("%s interacts with %q", r.Name, name)
			}
		}
		if r.Kind == "" || strings.HasPrefix(r.Kind, "a ") {
			t.Errorf("%s is a %q", r.Name, r.Kind)
		}
	}
}

// Each setting is in one group, and settings of a group stand together.
func TestGroups(t *testing.T) {
	seen, count := map[string]bool{}, 0
	for _, g := range Groups() {
		if g.Title == "" || seen[g.Title] || !strings.HasSuffix(g.Intro, ".") || len(g.Settings) == 0 {
			t.Errorf("the group %q has %d settings and the introduction %q", g.Title, len(g.Settings), g.Intro)
		}
		seen[g.Title] = true
		count += len(g.Settings)
	}
	if want := len(Table()); count != want {
		t.Errorf("%d of %d settings are in a group", count, want)
	}
}

// A hidden setting can be given, and nobody is told of it.
func TestHidden(t *testing.T) {
	environment(t)
	s := load(t, "--examined", "--show-config", "true")
	if args := s.Arguments("examined"); !bool(s.Examined) || !slices.Equal(args, []string{"--examined=true"}) {
		t.Errorf("examined is %v, its arguments %q", s.Examined, args)
	}
	for what, text := range map[string]string{"--help": Usage(), "--help=all": FullUsage(), "--show-config": s.Answer} {
		if strings.Contains(strings.ToLower(text), "examined") {
			t.Errorf("%s has it", what)
		}
	}
	if slices.ContainsFunc(Table(), func(r Setting) bool { return r.Name == "examined" }) {
		t.Error("the table has it")
	}
	if ps := problems(t, "--examind", "true"); strings.Contains(ps.Error(), "examined") {
		t.Errorf("it is proposed: %v", ps)
	}
	environment(t, "SERVER_STARTER_EXAMINED=yes")
	if s := load(t, "true"); !s.Examined {
		t.Error("its variable is not read")
	}
	if got := Scrub([]string{"SERVER_STARTER_EXAMINED=1"}); len(got) > 0 {
		t.Errorf("%q is left for workers", got)
	}
	environment(t, "EXAMINED=1")
	if s := load(t, "true"); s.Examined {
		t.Error("it is read without prefix")
	}
}

// To read the environment leaves it as it was: workers have it from there.
func TestEnvironmentIsLeftAlone(t *testing.T) {
	variables := []string{
		"ENVDIR=", "KILL_OLD_DELAY= 3 ", "ENABLE_AUTO_RESTART=\n", "AUTO_RESTART_INTERVAL=5",
		"SERVER_STARTER_DIR=", "SERVER_STARTER_PORT= 80", "SERVER_STARTER_SCOREBOARD=9",
	}
	environment(t, variables...)
	s := load(t, "true")
	if s.Envdir != "" || s.KillOldDelay != seconds(3) || bool(s.EnableAutoRestart) || s.AutoRestartInterval != seconds(5) {
		t.Errorf("got %+v", s)
	}
	environ := os.Environ()
	for _, kv := range variables {
		if !slices.Contains(environ, kv) {
			t.Errorf("%q is gone", kv)
		}
	}
	t.Setenv("SERVER_STARTER_KILL_OLD_DELAY", " x ") // what is wrong stays, too, and is not read
	s, err := Load([]string{"true"})
	if err == nil || os.Getenv("SERVER_STARTER_KILL_OLD_DELAY") != " x " || s.KillOldDelay != seconds(3) {
		t.Errorf("got %v, %v", s.KillOldDelay, err)
	}
}

// What is decoded elsewhere than in Load fails there.
func TestDecode(t *testing.T) {
	var l List
	if err := l.Decode("a; b"); err != nil || !slices.Equal(l, List{"a", "b"}) {
		t.Errorf("got %q, %v", l, err)
	}
	var m SignalMap
	if err := m.Decode("USR1:X;USR2:HUP;KILL:0"); err == nil || !strings.Contains(err.Error(), `"X" is no signal`) || !strings.Contains(err.Error(), "KILL cannot be caught") {
		t.Errorf("got %v", err)
	}
}

// Each signal's name is read as the same signal.
func TestSignalNames(t *testing.T) {
	for n := machine.Signal(1); n <= machine.RTMAX; n++ {
		got, err := ParseSignal(n.String())
		if threads := n == 32 || n == 33; threads != (err != nil) || !threads && got != n {
			t.Errorf("%d is %v, which is read as %v, %v", n, n, got, err)
		}
	}
}
