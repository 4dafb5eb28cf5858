package settings

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// All problems come at once, each with where it is, what was given, why it is
// wrong, what is expected and an example.
func TestAllProblems(t *testing.T) {
	environment(t,
		"SERVER_STARTER_INTERVAL=soon", "SERVER_STARTER_SIGNAL_MAP=USR2:HUP;FOO:HUP;USR1:BAR", "KILL_OLD_DELAY=-1",
		"SERVER_STARTER_PROT=80", "SERVER_STARTER_STOP_TIMEOUT=x", "SERVER_STARTER_READY=alife")
	_, err := Load([]string{"--stop-timeout=3", "--redy", "notify", "--backlog=-1", "--bogus=secret", "-port", "--export=systemd", "--export=ngin", "--umask"})
	want := strings.TrimSpace(`
wrong usage or settings:
  KILL_OLD_DELAY="-1": negative
      expected seconds (10, 1.5) or Go's form (500ms, 1m30s), 292 years at most; example: KILL_OLD_DELAY=5
  SERVER_STARTER_READY="alife": unknown word; did you mean alive?
      expected alive, notify, accepting or auto; example: SERVER_STARTER_READY=notify
  SERVER_STARTER_INTERVAL="soon": not a duration
      expected seconds (10, 1.5) or Go's form (500ms, 1m30s), 292 years at most; example: SERVER_STARTER_INTERVAL=10
  SERVER_STARTER_STOP_TIMEOUT="x": not a duration
      expected seconds (10, 1.5) or Go's form (500ms, 1m30s), 292 years at most; example: SERVER_STARTER_STOP_TIMEOUT=25
  SERVER_STARTER_SIGNAL_MAP="USR2:HUP;FOO:HUP;USR1:BAR": "FOO:HUP": "FOO" is no signal
      expected SIGNAL:SIGNAL, SIGNAL:0 to drop it, or SIGNAL:REOPEN, several separated by semicolons; example: SERVER_STARTER_SIGNAL_MAP='USR2:HUP;WINCH:0'
  SERVER_STARTER_SIGNAL_MAP="USR2:HUP;FOO:HUP;USR1:BAR": "USR1:BAR": "BAR" is no signal
      expected SIGNAL:SIGNAL, SIGNAL:0 to drop it, or SIGNAL:REOPEN, several separated by semicolons; example: SERVER_STARTER_SIGNAL_MAP='USR2:HUP;WINCH:0'
  --redy: unknown flag; did you mean --ready?
  --bogus: unknown flag: initd 0.1.0 has none of that name
  -port: unknown flag; did you mean --port?
  --umask: needs a value
      expected an octal mode (0777, 777 or 0o777) up to 07777; example: --umask=022
  --backlog="-1": not a whole number of 0 or more
      expected a whole number, 0 or more; example: --backlog=1024
  --export="ngin": unknown word; did you mean nginx?
      expected server-starter, systemd, nginx, php-fpm, unicorn, puma or bind, or several separated by semicolons; example: --export=systemd
  SERVER_STARTER_PROT: unknown setting; did you mean SERVER_STARTER_PORT?
All settings are explained by: initd --help=all`)
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// A caller that finds a port wrong adds to what is known.
func TestProblemOfCaller(t *testing.T) {
	environment(t, "SERVER_STARTER_PORT=80;http", "SERVER_STARTER_PATH=x")
	s := load(t, "--path=/y", "true")
	got := []Problem{
		s.Problem("port", "http", errors.New("no such port")),
		s.Problem("path", "/y", errors.New("too long")),
		s.Problem("dir", "", errors.New("gone")),
	}
	for i, want := range []string{
		`SERVER_STARTER_PORT="http": no such port` + "\n      expected a list: the flag repeated, or in a variable separated by semicolons or newlines; example: SERVER_STARTER_PORT=8080",
		`--path="/y": too long` + "\n      expected a list: the flag repeated, or in a variable separated by semicolons or newlines; example: --path=/run/app.sock",
		"dir: gone\n      expected a path; example: --dir=/app",
	} {
		if got[i].Error() != want {
			t.Errorf("got\n%s\nwant\n%s", got[i].Error(), want)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	tests := []struct{ variable, want string }{
		{"SERVER_STARTER_PORTS", "did you mean SERVER_STARTER_PORT?"},
		{"SERVER_STARTER_PROT", "did you mean SERVER_STARTER_PORT?"},
		{"SERVER_STARTER_interval", "did you mean SERVER_STARTER_INTERVAL?"},
		{"SERVER_STARTER_SIGNALONHUP", "did you mean SERVER_STARTER_SIGNAL_ON_HUP?"},
		{"SERVER_STARTER_WORKRES", "did you mean SERVER_STARTER_WORKERS?"},
		{"SERVER_STARTER_SCOREBORD", "did you mean SERVER_STARTER_SCOREBOARD?"},
		{"SERVER_STARTER_MAXMEMORY", "did you mean SERVER_STARTER_MAX_MEMORY?"},
		{"SERVER_STARTER_HOOK_BEFORE_SHUTDWN", "did you mean SERVER_STARTER_HOOK_BEFORE_SHUTDOWN?"},
		{"SERVER_STARTER_HTPT", "did you mean SERVER_STARTER_HTTP?"},
		{"SERVER_STARTER_PIDFILE", "did you mean SERVER_STARTER_PID_FILE?"},
		{"SERVER_STARTER_RESTART", "has none of that name"}, // a flag only
		{"SERVER_STARTER_", "has none of that name"},
		{"SERVER_STARTER_HELP", "has none of that name"},
	}
	for _, test := range tests {
		environment(t, test.variable+"=hunter2")
		ps := problems(t, "true")
		if len(ps) != 1 || ps[0].Variable != test.variable || !strings.Contains(ps[0].Reason, test.want) {
			t.Errorf("%s: got %v, want %q", test.variable, ps, test.want)
		}
		if strings.Contains(ps.Error(), "hunter2") {
			t.Errorf("%s: its value may be a secret, but is told: %v", test.variable, ps)
		}
	}
	environment(t, "SERVER_STARTER_PORTS= ", "SERVER_STARTER_GENERATION=3", "SERVER_STARTER_WORKER=0",
		"SERVER_STARTER_SCOREBOARD= 9\n", "SERVER_STARTER_SCOREBOARD_ROW=1", "SERVER_STARTER_EVENT=x", "SERVER_STARTERS=1", "server_starter_x=1")
	if s := load(t, "true"); len(s.Notes) > 0 || s.Scoreboard != "" || s.Given("scoreboard") {
		t.Errorf("scoreboard %q, notes: %q", s.Scoreboard, s.Notes)
	}
}

func TestServiceLinks(t *testing.T) {
	extra := []string{
		"SERVER_STARTER_SERVICE_HOST=10.0.0.1", "SERVER_STARTER_SERVICE_PORT=80", "SERVER_STARTER_SERVICE_PORT_HTTP=80",
		"SERVER_STARTER_PORT_80_TCP=tcp://10.0.0.1:80", "SERVER_STARTER_PORT_80_TCP_PROTO=tcp", "SERVER_STARTER_PORT_80_TCP_PORT=80", "SERVER_STARTER_PORT_80_TCP_ADDR=10.0.0.1",
		"SERVER_STARTER_PORT_53_UDP=udp://10.0.0.1:53", "SERVER_STARTER_WEB_SERVICE_HOST=10.0.0.2", "SERVER_STARTER_WEB_PORT=tcp://10.0.0.2:80",
	}
	port := "SERVER_STARTER_PORT=tcp://10.0.0.1:80"

	environment(t, extra...)
	s := load(t, "true")
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "enableServiceLinks: false") {
		t.Errorf("notes: %q", s.Notes)
	}
	for _, kv := range extra {
		if name, _, _ := strings.Cut(kv, "="); len(s.Notes) > 0 && !strings.Contains(s.Notes[0], name) {
			t.Errorf("%s is not named in %q", name, s.Notes[0])
		}
	}

	environment(t, append(extra, port)...)
	ps := problems(t, "true")
	if len(ps) != 1 || ps[0].Setting != "port" || !strings.Contains(ps[0].Reason, "enableServiceLinks: false") || !strings.Contains(ps.Error(), port[len("SERVER_STARTER_PORT="):]) {
		t.Errorf("got %v", ps)
	}
	if s := load(t, "--port=80", "true"); !slices.Equal(s.Port, []string{"80"}) || len(s.Notes) != 1 {
		t.Errorf("got %q, notes %q", s.Port, s.Notes)
	}

	// Near, but a user's own mistakes.
	for _, kv := range []string{"SERVER_STARTER_PORT_X_TCP=1", "SERVER_STARTER_PORT_80=1", "SERVER_STARTER_PORT_80_XTP=1", "SERVER_STARTER_SERVICE_PORTS=1", "SERVER_STARTER_WEB_PORT=80", "SERVER_STARTER_PORT_80_TCP_X=1"} {
		environment(t, kv)
		if ps := problems(t, "true"); len(ps) != 1 || ps[0].Setting != "" {
			t.Errorf("%s: got %v", kv, ps)
		}
	}
	environment(t, "SERVER_STARTER_PORT=http://x")
	load(t, "true") // for the socket grammar to refuse
}

func TestFlags(t *testing.T) {
	tests := []struct {
		args []string
		want []string // where the problems are
	}{
		{nil, []string{"no command was given"}},
		{[]string{"--"}, []string{"no command was given"}},
		{[]string{"--kill-group"}, []string{"no command was given"}},
		{[]string{"--interval=x"}, []string{"--interval", "no command was given"}},
		{[]string{"--interval="}, []string{"--interval", "no command was given"}},
		{[]string{"--interval"}, []string{"--interval", "no command was given"}},
		{[]string{"--kill-group=maybe", "true"}, []string{"--kill-group"}},
		{[]string{"--kill-group", "--interval=x", "--interval=y", "true"}, []string{"--interval", "--interval"}},
		{[]string{"--portt", "80", "--interval=x", "true"}, []string{"--portt", "--interval"}},
		{[]string{"--portt=80", "--interval=x", "true"}, []string{"--portt", "--interval"}},
		{[]string{"--kill-groop", "--interval=x", "true"}, []string{"--kill-groop", "--interval"}},
		{[]string{"--kill_group", "true"}, []string{"--kill_group"}},
		{[]string{"--zzz"}, []string{"--zzz"}}, // and nobody knows about the command
		{[]string{"---port=1", "true"}, []string{"---port"}},
		{[]string{"--=1", "true"}, []string{"--"}},
		{[]string{"-test.run=x", "true"}, []string{"-test.run"}},
		{[]string{"-hx", "true"}, []string{"-hx"}},
		{[]string{"--help=perhaps", "true"}, []string{"--help"}},
		{[]string{"--workers=0", "--surge=x", "--max-memory=1", "--scoreboard=5", "--disconnect-signal=STOP", "true"},
			[]string{"--surge", "--workers", "--scoreboard", "--max-memory", "--disconnect-signal"}},
		{[]string{"--workers=4097", "--max-workers=4097", "true"}, []string{"--workers", "--max-workers"}},
		{[]string{"--stderr-lines=-1", "--stderr-lines=many", "true"}, []string{"--stderr-lines", "--stderr-lines"}},
		{[]string{"--control-socket=/run/x", "--pid-file=/run/x", "true"}, []string{"--control-socket"}},
	}
	environment(t)
	for _, test := range tests {
		var got []string
		for _, p := range problems(t, test.args...) {
			where := p.Flag
			if where == "" {
				where = p.Reason
			}
			got = append(got, where)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("Load(%q): problems with %q, want %q", test.args, got, test.want)
		}
	}
}

// What is wrong is wrong even where something right beats it.
func TestOverriddenIsStillWrong(t *testing.T) {
	environment(t, "KILL_OLD_DELAY=x", "SERVER_STARTER_KILL_OLD_DELAY=y")
	s, err := Load([]string{"--kill-old-delay=3", "true"})
	var ps Problems
	errors.As(err, &ps)
	if len(ps) != 2 || ps[0].Variable != "KILL_OLD_DELAY" || ps[1].Variable != "SERVER_STARTER_KILL_OLD_DELAY" {
		t.Errorf("got %v", err)
	}
	if s == nil || time.Duration(s.KillOldDelay) != 3*time.Second {
		t.Errorf("got %+v", s)
	}
}

func TestImpossible(t *testing.T) {
	tests := []struct {
		args []string
		want string // the flag that is named, or the setting
	}{
		{[]string{"--ready=alive", "--interval=10", "--start-timeout=9.999"}, "--start-timeout"},
		{[]string{"--ready=alive", "--interval=90"}, ""},
		{[]string{"--ready=alive", "--start-timeout=500ms"}, "--start-timeout"},
		{[]string{"--ready=alive", "--interval=10", "--start-timeout=10"}, ""},
		{[]string{"--ready=alive", "--interval=10", "--start-timeout=0"}, ""},
		{[]string{"--ready=auto", "--interval=90"}, ""},
		{[]string{"--ready=notify", "--interval=90"}, ""},
		{[]string{"--respawn=never", "--kill-old-delay=3", "--watchdog=3", "--probe-timeout=0"}, ""},
	}
	environment(t)
	for _, test := range tests {
		_, err := Load(append(test.args, "true"))
		var ps Problems
		errors.As(err, &ps)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%q: %v", test.args, err)
		case test.want != "" && (len(ps) != 1 || ps[0].Flag != test.want):
			t.Errorf("%q: got %v, want one of %s", test.args, err, test.want)
		}
	}
	// Not when one of them is wrong itself, and so has another value.
	if ps := problems(t, "--ready=alive", "--interval=x", "--start-timeout=0.5", "true"); len(ps) != 1 {
		t.Errorf("got %v", ps)
	}
}
