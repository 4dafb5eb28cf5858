package settings

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/machine"
)

// assign sets one setting as a variable would and returns them all.
func assign(name, text string) (*Settings, Problems) {
	s := &Settings{Umask: -1, sources: make(map[string]source)}
	for _, r := range all() {
		if r.Name == name {
			return s, s.set(r, source{variable: r.Variable()}, text)
		}
	}
	panic(name)
}

func TestValues(t *testing.T) {
	const bad = -1
	const usr2, winch = machine.Signal(syscall.SIGUSR2), machine.Signal(syscall.SIGWINCH)
	many := func(texts string, want any) map[string]any {
		m := make(map[string]any)
		for _, text := range strings.Split(texts, "|") {
			m[text] = want
		}
		return m
	}
	tests := []struct {
		setting string
		field   func(*Settings) any
		texts   map[string]any
	}{
		{"interval", func(s *Settings) any { return time.Duration(s.Interval) }, map[string]any{
			"0": time.Duration(0), "10": 10 * time.Second, "1.5": 1500 * time.Millisecond, ".5": 500 * time.Millisecond, "010": 10 * time.Second,
			"500ms": 500 * time.Millisecond, "1m30s": 90 * time.Second, "0.000000001": time.Nanosecond,
			"9223372036": 9223372036 * time.Second, "2562047h47m16.854775807s": time.Duration(math.MaxInt64),
		}},
		{"interval", nil, many("x|-1|-1s|-.5|--1|1 s|1d|NaN|nan|Inf|+Inf|infinity|1e3|0x10|1_000|.|-|s|1..5|1,5|9223372037|2562047h48m|99999999999999999999", bad)},

		{"death-signal", func(s *Settings) any { return syscall.Signal(s.DeathSignal) }, many("TERM|SIGTERM|sigterm|Term|15|015", syscall.SIGTERM)},
		{"death-signal", func(s *Settings) any { return syscall.Signal(s.DeathSignal) }, map[string]any{
			"USR2": syscall.SIGUSR2, "CHLD": syscall.SIGCHLD, "CLD": syscall.SIGCHLD, "POLL": syscall.SIGIO, "SIGIO": syscall.SIGIO, "iot": syscall.SIGABRT, "KILL": syscall.SIGKILL,
			"RTMIN": syscall.Signal(34), "SIGRTMIN+1": syscall.Signal(35), "rtmin+30": syscall.Signal(64), "RTMAX": syscall.Signal(64), "RTMAX-0": syscall.Signal(64), "RTMAX-14": syscall.Signal(50),
			"1": syscall.SIGHUP, "31": syscall.SIGSYS, "34": syscall.Signal(34), "64": syscall.Signal(64),
		}},
		{"death-signal", nil, many("0|32|33|65|-1|+15|15.0|1000000000000|SIG|SIGSIGTERM|SIG15|SIG32|SIG34|FOO|TERM INT|RTMIN+31|RTMIN-1|RTMAX+1|RTMAX-31|RTMIN+|RTMIN++1|RTMIN1", bad)},

		{"socket-mode", func(s *Settings) any { return uint32(s.SocketMode) }, many("0777|777|0o777|0O777|00777", uint32(0o777))},
		{"socket-mode", func(s *Settings) any { return uint32(s.SocketMode) }, map[string]any{"0": uint32(0), "7777": uint32(0o7777), "4755": uint32(0o4755)}},
		{"socket-mode", nil, many("10000|8|0789|0x1ff|0b1|-1|+7|0o|0o0o7|7_7|rwx|99999999999999999999999", bad)},
		{"umask", func(s *Settings) any { return int(s.Umask) }, map[string]any{"0": 0, "022": 0o22, "0o77": 0o77}},
		{"umask", nil, many("10000|9", bad)},

		{"kill-group", func(s *Settings) any { return bool(s.KillGroup) }, many("1|true|yes|on|TRUE|Yes", true)},
		{"kill-group", func(s *Settings) any { return bool(s.KillGroup) }, many("0|false|no|off|OFF", false)},
		{"kill-group", nil, many("2|t|y|n|enabled|truefalse|-1", bad)},

		{"backlog", func(s *Settings) any { return int(s.Backlog) }, map[string]any{"0": 0, "128": 128, "2147483647": 1<<31 - 1}},
		{"backlog", nil, many("2147483648|-1|+1|1.5|0x10|1_0|lots|99999999999999999999", bad)},

		{"ready", func(s *Settings) any { return s.Ready.Value }, map[string]any{"alive": machine.Alive, "notify": machine.Notify, "auto": machine.Auto, "Notify": machine.Notify}},
		{"ready", nil, many("never|notfy|alive;auto", bad)},
		{"respawn", func(s *Settings) any { return s.Respawn.Value }, map[string]any{"always": machine.Always, "on-failure": machine.OnFailure, "never": machine.Never}},
		{"respawn", nil, many("no|onfailure", bad)},
		{"log-format", func(s *Settings) any { return s.LogFormat.Value }, map[string]any{"auto": AutoFormat, "text": Text, "json": JSON}},
		{"log-level", func(s *Settings) any { return s.LogLevel.Value }, map[string]any{"debug": Debug, "info": Info, "warn": Warn, "error": Error}},
		{"log-level", nil, many("warning|fatal|0", bad)},

		{"export", func(s *Settings) any { return []string(s.Export) }, map[string]any{
			"puma": []string{"puma"}, "systemd ; nginx\nphp-fpm": []string{"systemd", "nginx", "php-fpm"}, "unicorn;server-starter;unicorn": []string{"unicorn", "server-starter"},
		}},
		{"export", nil, many("apache|systemd,nginx|systemd;x", bad)},

		{"user", func(s *Settings) any { return s.User }, map[string]any{
			"app": Account{"app", ""}, "1000": Account{"1000", ""}, "app:app": Account{"app", "app"}, "1000:app": Account{"1000", "app"},
			"0:0": Account{"0", "0"}, "4294967294": Account{"4294967294", ""}, "my.user_1$": Account{"my.user_1$", ""},
		}},
		{"user", nil, many(":|app:|:app|a:b:c|-1|+1|1000:-1|a b|a/b|4294967295|4294967296|app:4294967295|99999999999999999999", bad)},
		{"socket-owner", func(s *Settings) any { return s.SocketOwner }, map[string]any{"www-data:www-data": Account{"www-data", "www-data"}}},

		{"signal-map", func(s *Settings) any { return map[machine.Signal]machine.Signal(s.SignalMap) }, map[string]any{
			"USR2:HUP;WINCH:0":   map[machine.Signal]machine.Signal{usr2: machine.HUP, winch: 0},
			" 12 : sighup \n":    map[machine.Signal]machine.Signal{usr2: machine.HUP},
			"RTMIN+3:KILL":       map[machine.Signal]machine.Signal{37: machine.KILL},
			"TERM:QUIT;QUIT:INT": map[machine.Signal]machine.Signal{machine.TERM: machine.QUIT, machine.QUIT: machine.INT},
		}},
		{"signal-map", nil, many("USR2|USR2:|:HUP|0:HUP|USR2:00|USR2:HUP:TERM|USR2=HUP|FOO:HUP|USR2:FOO|USR2:HUP;12:TERM|KILL:TERM|STOP:0|CHLD:0|URG:TERM|PIPE:0|USR2:HUP,WINCH:0", bad)},

		{"exit-map", func(s *Settings) any { return map[int]int(s.ExitMap) }, map[string]any{
			"143:0": map[int]int{143: 0}, "0:255; 255 : 0": map[int]int{0: 255, 255: 0},
		}},
		{"exit-map", nil, many("143|143:|:0|256:0|0:256|-1:0|TERM:0|1:2;1:3|1:0,2:0", bad)},

		{"probe", func(s *Settings) any { return []string(s.Probe) }, map[string]any{
			"test -e /ok; echo 1":   []string{"/bin/sh", "-c", "test -e /ok; echo 1"},
			`["curl", "a b", ""]`:   []string{"curl", "a b", ""},
			" [ \"x\" ] \n":         []string{"x"},
			`["\u00e9\t"]`:          []string{"é\t"},
			"a\nb":                  []string{"/bin/sh", "-c", "a\nb"},
			`{"not":"an array"}`:    []string{"/bin/sh", "-c", `{"not":"an array"}`},
			"probe --listen [::1]:": []string{"/bin/sh", "-c", "probe --listen [::1]:"},
		}},
		{"probe", nil, many("[ -f /ok ]&[]&[\"\"]&[null]&[\"a\", null]&[1]&[[\"a\"]]&[\"a\"&[\"a\"] x&[\"a\\u0000\"]&[\"\xff\"]", bad)},

		{"workers", func(s *Settings) any { return int(s.Workers) }, map[string]any{"1": 1, "4096": 4096, "007": 7}},
		{"workers", nil, many("0|4097|-1|+1|1.5|auto|99999999999999999999", bad)},
		{"max-workers", func(s *Settings) any { return int(s.MaxWorkers) }, map[string]any{"0": 0, "4096": 4096}},
		{"surge", nil, many("4097|-1|25%", bad)},

		{"max-memory", func(s *Settings) any { return int64(s.MaxMemory) }, many("512M|512m|512MB|512Mi|512mib|512MIB|0.5G|524288K|524288Ki|536870912|536870912B|536870912b|0512M", int64(512<<20))},
		{"max-memory", func(s *Settings) any { return int64(s.MaxMemory) }, map[string]any{
			"0": int64(0), "0M": int64(0), "0.0G": int64(0), "1.5G": int64(3 << 29), "1M": int64(1 << 20), "1.1M": int64(1153433), "2T": int64(2 << 40),
			"9223372036854775807": int64(math.MaxInt64), "8388607.5T": int64(math.MaxInt64>>40<<40 + 1<<39),
		}},
		{"max-memory", nil, many("512|1023K|0.9M|1.5|0.5|1048576.5|0.0000001M|.5G|1.G|.|M|Mi|i|1i|1iB|1P|1E|1KK|1BM|1 M|1,5G|1_0M|1e9|0x100000|-1|-1M|+1M|NaN|Inf|lots|50%|9223372036854775808|8388608T|8388607.99999999999999999999T|99999999999999999999M", bad)},

		{"disconnect-signal", func(s *Settings) any { return syscall.Signal(s.DisconnectSignal) }, map[string]any{"TERM": syscall.SIGTERM, "kill": syscall.SIGKILL, "10": syscall.SIGUSR1, "": syscall.Signal(0)}},
		{"disconnect-signal", nil, many("0|STOP|19|FOO|none", bad)},

		{"scoreboard", func(s *Settings) any { return string(s.Scoreboard) }, map[string]any{"/run/x": "/run/x", "none": NoScoreboard, "None": NoScoreboard, "./none": "./none", "./5": "./5", "5x": "5x"}},
		{"scoreboard", nil, many("5|007", bad)},
		{"control-socket", func(s *Settings) any { return string(s.ControlSocket) }, map[string]any{"/run/x": "/run/x", "none": NoControlSocket, "NONE": NoControlSocket, "./none": "./none"}},
		{"watch", func(s *Settings) any { return []string(s.Watch) }, map[string]any{"envdir; command\n/a b": []string{"envdir", "command", "/a b"}}},
		{"hook-after-init", func(s *Settings) any { return []string(s.HookAfterInit) }, map[string]any{`["a", "b c"]`: []string{"a", "b c"}, "a b": []string{"/bin/sh", "-c", "a b"}}},

		{"dir", func(s *Settings) any { return s.Dir }, map[string]any{" /a b;c ": "/a b;c", "rel": "rel"}},
	}
	for _, test := range tests {
		for texts, want := range test.texts {
			if test.setting != "probe" || want != bad {
				texts = strings.ReplaceAll(texts, "&", "\x00") // one text
			}
			for _, text := range strings.Split(texts, "&") {
				text = strings.ReplaceAll(text, "\x00", "&")
				s, problems := assign(test.setting, text)
				switch {
				case want == bad && len(problems) != 1:
					t.Errorf("%s=%q: %d problems, want 1: %v", test.setting, text, len(problems), problems)
				case want == bad && (problems[0].Reason == "" || problems[0].Expected == "" || problems[0].Value != strings.TrimSpace(text)):
					t.Errorf("%s=%q: %+v", test.setting, text, problems[0])
				case want != bad && len(problems) > 0:
					t.Errorf("%s=%q: %v", test.setting, text, problems)
				case want != bad && !reflect.DeepEqual(test.field(s), want):
					t.Errorf("%s=%q: got %v, want %v", test.setting, text, test.field(s), want)
				}
			}
		}
	}
}

// FuzzParse: no text makes a setting panic, and what a setting says of its
// value is taken for the same value.
func FuzzParse(f *testing.F) {
	for _, r := range Table() {
		f.Add(r.Name, r.Example)
		f.Add(r.Name, r.Default)
	}
	for _, seed := range []string{"RTMAX-1:0;3:RTMIN+2\nUSR1:SIGUSR2", `["/bin/sh","-c"," x"]`, `["/bin/sh","-c","[x"]`, `["a\ud800<>"]`, "1h0m0.000000001s", "0o7", " a:b ", "1:2;2:1", "1.5G", "512MiB", "9007199254740993", "NONE", "[::1]:u80=3\n@x"} {
		for _, r := range Table() {
			f.Add(r.Name, seed)
		}
	}
	known := make(map[string]bool)
	for _, r := range Table() {
		known[r.Name] = true
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if !known[name] {
			return
		}
		first, problems := assign(name, text)
		if len(problems) > 0 {
			if problems.Error() == "" {
				t.Errorf("%s=%q: a problem without words", name, text)
			}
			return
		}
		said := shown(first, name)
		if said == "" {
			return // none; an empty variable counts as unset
		}
		again, problems := assign(name, said)
		if len(problems) > 0 {
			t.Fatalf("%s=%q gives %q, which is refused: %v", name, text, said, problems)
		}
		first.sources, again.sources = nil, nil // they tell the texts apart
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%s=%q gives %q, which gives %q", name, text, said, shown(again, name))
		}
	})
}

func shown(s *Settings, name string) string {
	for _, r := range all() {
		if r.Name == name {
			return s.value(r).String()
		}
	}
	panic(fmt.Sprint("no setting ", name))
}
