package settings

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/machine"
)

// environment leaves the process no variable that initd reads but these.
func environment(t *testing.T, environ ...string) {
	t.Helper()
	names := []string{"ENVDIR", "ENABLE_AUTO_RESTART", "AUTO_RESTART_INTERVAL", "KILL_OLD_DELAY"}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, prefix) {
			name, _, _ := strings.Cut(kv, "=")
			names = append(names, name)
		}
	}
	for _, name := range names {
		t.Setenv(name, "") // has the old value restored at the end
		os.Unsetenv(name)
	}
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		t.Setenv(name, text)
	}
}

// load wants no problem.
func load(t *testing.T, args ...string) *Settings {
	t.Helper()
	s, err := Load(args)
	if err != nil {
		t.Fatalf("Load(%q): %v", args, err)
	}
	return s
}

// problems wants some.
func problems(t *testing.T, args ...string) Problems {
	t.Helper()
	_, err := Load(args)
	var ps Problems
	if !errors.As(err, &ps) || len(ps) == 0 {
		t.Fatalf("Load(%q) = %v, want Problems", args, err)
	}
	return ps
}

func TestDefaults(t *testing.T) {
	environment(t)
	s := load(t, "true")
	s.sources = nil
	want := &Settings{
		SocketMode: 0o777, Export: []string{"server-starter", "systemd"},
		Umask: -1, DeathSignal: Signal(syscall.SIGTERM),
		Interval: seconds(1), Ready: Choice[machine.Ready]{Value: machine.Auto}, StartTimeout: seconds(60), ProbeTimeout: seconds(5),
		SignalOnHUP: Signal(syscall.SIGTERM), SignalOnTERM: Signal(syscall.SIGTERM), AutoRestartInterval: seconds(360),
		KillGroup: true,
		Respawn:   Choice[machine.Respawn]{Value: machine.Always}, StableAfter: seconds(60), MaxBackoff: seconds(30),
		Workers: 1, MaxWorkers: 1, MinIdle: 1, MaxIdle: 1,
		WatchDebounce: seconds(1), HookTimeout: seconds(30),
		LogFormat: Choice[LogFormat]{Value: AutoFormat}, LogLevel: Choice[LogLevel]{Value: Info},
		Command: []string{"true"},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }

// The names are the contract with every user, so they are written out.
func TestNames(t *testing.T) {
	want := strings.Fields(`PORT PATH BACKLOG SOCKET_MODE SOCKET_OWNER EXPORT REUSE_PORT
		USER DIR UMASK ENVDIR NO_NEW_PRIVS DEATH_SIGNAL
		READY INTERVAL START_TIMEOUT PROBE PROBE_TIMEOUT
		SIGNAL_ON_HUP DRAIN_TIMEOUT MAX_OLD_GENERATIONS KILL_OLD_DELAY SURGE ENABLE_AUTO_RESTART AUTO_RESTART_INTERVAL
		STOP_DELAY SIGNAL_ON_TERM STOP_TIMEOUT KILL_GROUP
		RESPAWN WATCHDOG STABLE_AFTER MAX_BACKOFF MAX_FAILURES
		SIGNAL_MAP EXIT_MAP
		WORKERS MAX_WORKERS MIN_IDLE MAX_IDLE SCOREBOARD
		MAX_REQUESTS MAX_MEMORY MAX_LIFETIME
		DISCONNECT_SIGNAL HOOK_ON_DISCONNECT
		WATCH WATCH_DEBOUNCE
		HOOK_BEFORE_DAEMONIZE HOOK_AFTER_INIT HOOK_BEFORE_SWAP HOOK_AFTER_SWAP HOOK_BEFORE_SHUTDOWN HOOK_TIMEOUT
		CONTROL_SOCKET HTTP HTTP_HOST
		LOG_LEVEL LOG_FORMAT STDERR_LINES LOG_FILE ACCESS_LOG ERROR_LOG
		DAEMONIZE PID_FILE STATUS_FILE REQUIRE_ROOT`)
	var got, bare []string
	for _, r := range Table() {
		got = append(got, strings.TrimPrefix(r.Variable(), "SERVER_STARTER_"))
		if r.Bare {
			bare = append(bare, r.word)
		}
		if r.Flag() != "--"+strings.ReplaceAll(strings.ToLower(r.word), "_", "-") {
			t.Errorf("%s has the flag %s", r.Variable(), r.Flag())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if want := []string{"ENVDIR", "KILL_OLD_DELAY", "ENABLE_AUTO_RESTART", "AUTO_RESTART_INTERVAL"}; !slices.Equal(bare, want) {
		t.Errorf("read without prefix: %q, want %q", bare, want)
	}
}

// Each setting takes its own example from its variable and from its flag, and
// nothing but that setting changes.
func TestEverySetting(t *testing.T) {
	shown := func(s *Settings) map[string]string {
		m := make(map[string]string)
		for _, r := range all() {
			m[r.Name] = s.value(r).String() + " # " + s.sources[r.Name].String()
		}
		return m
	}
	follow := map[string][]string{ // those whose defaults follow from another setting
		"enable-auto-restart": {"kill-old-delay"}, "workers": {"max-workers", "max-idle"}, "max-workers": {"max-idle"}, "min-idle": {"max-idle"},
	}
	for _, r := range Table() {
		t.Run(r.Name, func(t *testing.T) {
			command := []string{"true"}
			if r.Name == "daemonize" {
				command = []string{"--log-file=x", "true"} // which it needs
			}
			environment(t)
			defaults := shown(load(t, command...))
			texts := []string{r.Variable() + "=" + r.Example, r.Flag() + "=" + r.Example}
			if r.Bare {
				texts = append(texts, r.word+"="+r.Example)
			}
			for _, text := range texts {
				environ, args := []string{text}, command
				if strings.HasPrefix(text, "--") {
					environ, args = nil, append([]string{text}, command...)
				}
				environment(t, environ...)
				got := shown(load(t, args...))
				from, _, _ := strings.Cut(text, "=")
				if value, source, _ := strings.Cut(got[r.Name], " # "); source != from || got[r.Name] == defaults[r.Name] || value == "" {
					t.Errorf("%s: got %q", text, got[r.Name])
				}
				for name := range defaults {
					if name != r.Name && got[name] != defaults[name] && !slices.Contains(follow[r.Name], name) {
						t.Errorf("%s changed %s to %q", text, name, got[name])
					}
				}
			}
		})
	}
}

// Nobody else's PORT, PATH or USER is read.
func TestOnlyFourWithoutPrefix(t *testing.T) {
	environment(t)
	for _, r := range Table() {
		if !r.Bare {
			t.Setenv(r.word, "nonsense")
		}
	}
	if s := load(t, "true"); len(s.Port) > 0 || len(s.Path) > 0 || s.User != (Account{}) {
		t.Errorf("got %+v", s)
	}
}

func TestPrecedence(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		args    []string
		want    time.Duration
		from    string
	}{
		{"default", nil, nil, 0, "default"},
		{"without prefix", []string{"KILL_OLD_DELAY=1"}, nil, 1 * time.Second, "KILL_OLD_DELAY"},
		{"with prefix", []string{"KILL_OLD_DELAY=1", "SERVER_STARTER_KILL_OLD_DELAY=2"}, nil, 2 * time.Second, "SERVER_STARTER_KILL_OLD_DELAY"},
		{"flag", []string{"KILL_OLD_DELAY=1", "SERVER_STARTER_KILL_OLD_DELAY=2"}, []string{"--kill-old-delay=3"}, 3 * time.Second, "--kill-old-delay"},
		{"last flag", nil, []string{"--kill-old-delay=3", "--kill-old-delay", "4"}, 4 * time.Second, "--kill-old-delay"},
		{"empty with prefix", []string{"KILL_OLD_DELAY=1", "SERVER_STARTER_KILL_OLD_DELAY="}, nil, 1 * time.Second, "KILL_OLD_DELAY"},
		{"blank", []string{"KILL_OLD_DELAY=\t", "SERVER_STARTER_KILL_OLD_DELAY= \n"}, nil, 0, "default"},
		{"trimmed", []string{"KILL_OLD_DELAY= 1.5\n"}, nil, 1500 * time.Millisecond, "KILL_OLD_DELAY"},
		{"plain init", []string{"KILL_OLD_DELAY=1"}, []string{"--respawn=never"}, 0, "default"},
		{"plain init, wrong", []string{"KILL_OLD_DELAY=soon", "SERVER_STARTER_RESPAWN=never"}, nil, 0, "default"},
		{"plain init, with prefix", []string{"KILL_OLD_DELAY=soon", "SERVER_STARTER_KILL_OLD_DELAY=2"}, []string{"--respawn=never"}, 2 * time.Second, "SERVER_STARTER_KILL_OLD_DELAY"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment(t, test.environ...)
			s := load(t, append(test.args, "true")...)
			if from := s.sources["kill-old-delay"].String(); time.Duration(s.KillOldDelay) != test.want || from != test.from {
				t.Errorf("got %v from %s, want %v from %s", s.KillOldDelay, from, test.want, test.from)
			}
			if s.Given("kill-old-delay") != (test.from != "default") {
				t.Errorf("Given = %v", s.Given("kill-old-delay"))
			}
		})
	}
}

func TestLists(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		args    []string
		want    []string
	}{
		{"variable", []string{"SERVER_STARTER_PORT= 80 ; [::1]:8080;;\n u53\r\n"}, nil, []string{"80", "[::1]:8080", "u53"}},
		{"flags", nil, []string{"--port=80", "--port", " 443 "}, []string{"80", "443"}},
		{"flags in place of the variable", []string{"SERVER_STARTER_PORT=1;2"}, []string{"--port=80"}, []string{"80"}},
		{"empty flag in place of the variable", []string{"SERVER_STARTER_PORT=1;2"}, []string{"--port="}, nil},
		{"semicolon in a flag", nil, []string{"--port=a;b"}, []string{"a;b"}},
		{"comma", []string{"SERVER_STARTER_PORT=a,b"}, nil, []string{"a,b"}},
		{"only separators", []string{"SERVER_STARTER_PORT=;\n ;"}, nil, nil},
		{"as start_server hands it down", []string{"SERVER_STARTER_PORT=127.0.0.1:8080=3;/tmp/app.sock=4"}, nil, []string{"127.0.0.1:8080=3", "/tmp/app.sock=4"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			environment(t, test.environ...)
			if s := load(t, append(test.args, "true")...); !slices.Equal(s.Port, test.want) {
				t.Errorf("got %q, want %q", s.Port, test.want)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	tests := []struct{ args, want []string }{
		{[]string{"ls"}, []string{"ls"}},
		{[]string{"ls", "-l", "--port=1", "--", "x"}, []string{"ls", "-l", "--port=1", "--", "x"}},
		{[]string{"--", "--port", "1"}, []string{"--port", "1"}},
		{[]string{"--kill-group", "ls"}, []string{"ls"}},
		{[]string{"--kill-group", "--", "--", "ls"}, []string{"--", "ls"}},
		{[]string{"--port", "1", "ls"}, []string{"ls"}},
		{[]string{"-", "x"}, []string{"-", "x"}},
		{[]string{"", "x"}, []string{"", "x"}},
	}
	environment(t)
	for _, test := range tests {
		if s := load(t, test.args...); !slices.Equal(s.Command, test.want) {
			t.Errorf("Load(%q): got %q, want %q", test.args, s.Command, test.want)
		}
	}
}

func TestScrub(t *testing.T) {
	in := []string{"PATH=/bin", "SERVER_STARTER_PORT=1", "SERVER_STARTER_PORT_X=1", "SERVER_STARTER_GENERATION=1", "SERVER_STARTER_LOG_LEVEL", "KILL_OLD_DELAY=1", "PORT=1", "=x"}
	want := []string{"PATH=/bin", "SERVER_STARTER_PORT_X=1", "KILL_OLD_DELAY=1", "PORT=1", "=x"}
	if got := Scrub(in); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, r := range Table() {
		if got := Scrub([]string{r.Variable() + "=x"}); len(got) > 0 {
			t.Errorf("%q is left", got)
		}
	}
	for _, v := range Variables {
		if got := Scrub([]string{v.Name + "=1"}); len(got) > 0 && strings.HasPrefix(v.Name, prefix) {
			t.Errorf("%q is left, of another initd", got)
		}
	}
}
