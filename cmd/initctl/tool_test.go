package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"server-starter/initd/control"
)

func statusOf(version string) script {
	return once(func(control.Request) control.Answer { return control.Answer{Status: &control.Status{Version: version}} })
}

func TestSocket(t *testing.T) {
	byFlag, byVariable, byPlace := newFake(t, statusOf("flag")), newFake(t, statusOf("variable")), newFake(t, statusOf("place"))
	dead := filepath.Join(t.TempDir(), "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	absent := filepath.Join(t.TempDir(), "absent")

	const hintPlaces = "\ninitd has a socket there if it is PID 1 and not a plain init (respawn=never), and elsewhere only if its setting\n" +
		"control-socket says so. Run initctl in the container of initd (docker exec), or name that other socket to initctl by\n" +
		"--control-socket or SERVER_STARTER_CONTROL_SOCKET.\n"
	for _, test := range []struct {
		name, flag, variable string
		places               []string
		status               int
		answers, complaint   string
	}{
		{"flag", byFlag.path, byVariable.path, []string{byPlace.path}, 0, "flag", ""},
		{"variable", "", " " + byVariable.path + "\n", []string{byPlace.path}, 0, "variable", ""},
		{"first place", "", "", []string{byPlace.path, absent}, 0, "place", ""},
		{"second place", "", "", []string{dead, byPlace.path}, 0, "place", ""},
		{"none by variable", "", "none", []string{byPlace.path}, 5, "",
			"initctl: no initd can be asked: SERVER_STARTER_CONTROL_SOCKET is none\nStart initd with SERVER_STARTER_CONTROL_SOCKET=PATH, and initctl with the same.\n"},
		{"flag beats none", byFlag.path, "none", nil, 0, "flag", ""},
		{"absent flag does not go on", absent, byVariable.path, []string{byPlace.path}, 5, "",
			"initctl: no initd answers: " + absent + ": no such file\n--control-socket names this place. Run initctl in the container of initd, and start initd with control-socket=" + absent + ".\n"},
		{"nowhere", "", "", []string{absent, dead}, 5, "",
			"initctl: no initd answers: " + absent + ": no such file; " + dead + ": nobody listens, the initd that made it has ended" + hintPlaces},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			tool := &tool{stdout: &stdout, stderr: &stderr, places: test.places,
				getenv: func(name string) string { return map[string]string{socketVariable: test.variable}[name] }}
			args := []string{"version"}
			if test.flag != "" {
				args = append(args, "--control-socket", test.flag)
			}
			if status := tool.run(context.Background(), args); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if test.answers != "" && !strings.HasSuffix(stdout.String(), "\ninitd "+test.answers+", protocol 1\n") {
				t.Errorf("answers %q, want %s", stdout.String(), test.answers)
			}
			if stderr.String() != test.complaint {
				t.Errorf("complains %q, want %q", stderr.String(), test.complaint)
			}
		})
	}
}

// TestNoSocket: what can never be a socket of initd is not taken for one that has ended.
func TestNoSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := "/" + strings.Repeat("x", 120)
	for path, want := range map[string]string{file: "not a socket", long: "longer than a unix socket's path can be, 107 bytes"} {
		if r := invoke(t, path, "health"); r != (result{1, "not ready: no initd answers: " + path + ": " + want + "\n", ""}) {
			t.Errorf("%+v, want %s", r, want)
		}
	}
}

func TestSocketOfAnother(t *testing.T) {
	none := &noInitd{tried: []attempt{{"/run/initd.sock", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}}}}
	if want := "no initd answers: /run/initd.sock: permission denied"; none.Error() != want {
		t.Errorf("is %q, want %q", none.Error(), want)
	}
	if !strings.HasPrefix(none.hint(), "Only root and the user that initd runs as") {
		t.Errorf("hint %q", none.hint())
	}
}

// TestSocketIsNamed: a named place is meant, even one of the usual ones, whoever listens there; at a place that
// nobody has named only PID 1 is this container's initd.
func TestSocketIsNamed(t *testing.T) {
	health := once(func(control.Request) control.Answer {
		return control.Answer{Health: &control.Health{Live: true, Ready: true, Generation: 1, State: "ready"}}
	})
	f := newFake(t, health) // its peer is this process, which is not PID 1
	places := control.Places
	defer func() { control.Places = places }()
	control.Places = []string{f.path}
	for _, test := range []struct {
		variable string
		args     []string
		status   int
	}{
		{f.path, []string{"health", "--live"}, 0},
		{"", []string{"health", "--live", "--control-socket", f.path}, 0},
		{"", []string{"health", "--live"}, 1},
	} {
		var stdout, stderr strings.Builder
		tool := &tool{stdout: &stdout, stderr: &stderr, places: control.Places,
			getenv: func(name string) string { return map[string]string{socketVariable: test.variable}[name] }}
		status, done := tool.probe(test.args)
		if !done || status != test.status {
			t.Errorf("variable %q, %s: status %d, want %d: %s", test.variable, test.args, status, test.status, stdout.String())
		}
		if refused := strings.Contains(stdout.String(), "another container's initd listens there"); refused != (test.status != 0) {
			t.Errorf("variable %q, %s: it prints %q", test.variable, test.args, stdout.String())
		}
	}
}

func TestHealth(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		health control.Health
		status int
		line   string
	}{
		{"ready", nil, control.Health{Live: true, Ready: true, Started: true, State: "ready", Generation: 3}, 0, "ready: generation 3 is serving"},
		{"ready while another fails", []string{"--ready"}, control.Health{Live: true, Ready: true, Started: true, State: "reloading", Generation: 3, Reason: "generation 4 failed: worker ended after 1s: exit status 1\n"},
			0, "ready: reloading, generation 3 is serving; generation 4 failed: worker ended after 1s: exit status 1\ufffd"},
		{"not yet", nil, control.Health{Live: true, State: "not-ready"}, 1, "not ready: no generation has been ready yet"},
		{"not yet, and that is the reason", nil, control.Health{Live: true, State: "not-ready", Reason: "no generation has been ready yet"}, 1, "not ready: no generation has been ready yet"},
		{"not yet, but live", []string{"--live"}, control.Health{Live: true, State: "not-ready"}, 0, "live: not ready, no generation has been ready yet"},
		{"not live", []string{"--live"}, control.Health{State: "ready", Ready: true, Generation: 3}, 1, "not live: ready, generation 3 is serving"},
		{"not started", []string{"--startup"}, control.Health{Live: true, State: "not-ready", Reason: "generation 1 failed: no such file"}, 1, "not started: generation 1 failed: no such file"},
		{"failed, and not ready", nil, control.Health{Live: true, State: "not-ready", Reason: "generation 1 failed: no such file"}, 1, "not ready: generation 1 failed: no such file"},
		{"failed, but live", []string{"--live"}, control.Health{Live: true, State: "not-ready", Reason: "generation 1 failed: no such file"}, 0, "live: not ready, generation 1 failed: no such file"},
		{"not yet, and not started", []string{"--startup"}, control.Health{Live: true, State: "not-ready", Reason: "no generation has been ready yet"}, 1, "not started: no generation has been ready yet"},
		{"started, but lost", []string{"--startup"}, control.Health{Live: true, Started: true, State: "not-ready"}, 0, "started: not ready, no generation is serving"},
		{"lost", nil, control.Health{Live: true, Started: true, State: "not-ready", Reason: "no generation is serving"}, 1, "not ready: no generation is serving"},
		{"of another version", nil, control.Health{Live: true, Ready: true, State: "thinking\n", Generation: 3}, 0, "ready: thinking\ufffd, generation 3 is serving"},
		{"stopping", nil, control.Health{Live: true, Started: true, State: "stopping", Generation: 3, Reason: "initd is stopping"}, 1, "not ready: stopping, generation 3 is serving"},
		{"stopped", nil, control.Health{Live: true, Started: true, State: "stopping"}, 1, "not ready: stopping"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, once(func(control.Request) control.Answer { return control.Answer{Health: &test.health} }))
			for _, args := range [][]string{
				append([]string{"health"}, test.args...),
				append([]string{"--control-socket", f.path, "health"}, test.args...), // by way of cobra
				append([]string{"health", "--control-socket=" + f.path}, test.args...),
			} {
				if r := invoke(t, f.path, args...); r != (result{test.status, test.line + "\n", ""}) {
					t.Errorf("%s: %+v, want %d %s", args, r, test.status, test.line)
				}
			}
		})
	}
}

func TestHealthOfNobody(t *testing.T) {
	for _, test := range []struct{ name, socket, line string }{
		{"absent", "/nonexistent/s", "not ready: no initd answers: /nonexistent/s: no such file\n"},
		{"default places", "", "not ready: no initd answers: /nonexistent/run/initd.sock: no such file; /nonexistent/shm/initd.sock: no such file\n"},
		{"none", "none", "not ready: no initd can be asked: SERVER_STARTER_CONTROL_SOCKET is none\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if r := invoke(t, test.socket, "health"); r != (result{1, test.line, ""}) {
				t.Errorf("%+v, want %s", r, test.line)
			}
		})
	}
	t.Run("hung", func(t *testing.T) {
		f := newFake(t, func(control.Request, func(control.Answer)) bool { return true })
		if r := invoke(t, f.path, "health", "--live", "--timeout", "20ms"); r != (result{1, "not live: no answer from initd at " + f.path + " within 0.02s\n", ""}) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("hangs up", func(t *testing.T) {
		f := newFake(t, func(control.Request, func(control.Answer)) bool { return false })
		if r := invoke(t, f.path, "health"); r != (result{1, "not ready: initd at " + f.path + " closed the connection\n", ""}) {
			t.Errorf("%+v", r)
		}
	})
}

func TestHealthIsQuick(t *testing.T) {
	f := newFake(t, once(func(control.Request) control.Answer { return control.Answer{Health: new(control.Health)} }))
	tool := &tool{stdout: new(strings.Builder), getenv: func(string) string { return f.path }}
	for args, quick := range map[string]bool{
		"health": true, "health --live": true, "health --ready --timeout=1": true, "health --startup --control-socket " + f.path: true,
		"health --help": false, "health --live --ready": false, "health now": false, "health --bogus": false, "status": false, "": false,
	} {
		if _, done := tool.probe(strings.Fields(args)); done != quick {
			t.Errorf("%q: answered without cobra: %v, want %v", args, done, quick)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{
		"bogus", "status --bogus", "status now", "status --wide --json", "restart --no-wait --timeout 3", "restart --timeout soon", "await", "await x", "await 0",
		"scale", "scale 0", "scale many", "signal", "signal USR1 --slot -1", "signal USR1 --generation 0", "env --generation 0", "health --live --ready",
		"health --bogus", "sleep", "sleep soon", "sleep -1", "install", "stop now",
	} {
		r := invoke(t, "/nonexistent/s", strings.Fields(args)...)
		if r.status != 64 || r.stdout != "" || !strings.HasPrefix(r.stderr, "initctl: ") {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// TestUsageSays: what was expected is said in the words of the tool, and not of its libraries.
func TestUsageSays(t *testing.T) {
	for args, want := range map[string]string{
		"await":                       "await takes 1 argument, not 0; usage: initctl await TICKET [flags]\nSee: initctl await --help\n",
		"status now":                  "status takes 0 arguments, not 1; usage: initctl status [flags]\nSee: initctl status --help\n",
		"signal USR1 --slot x":        "invalid argument \"x\" for \"--slot\" flag: not a whole number\nSee: initctl signal --help\n",
		"signal FOO":                  "\"FOO\" is no signal; expected TERM, SIGTERM or 15\n",
		"stop --no-wait --signal FOO": "\"FOO\" is no signal; expected TERM, SIGTERM or 15\n",
	} {
		if r := invoke(t, "/nonexistent/s", strings.Fields(args)...); r != (result{64, "", "initctl: " + want}) {
			t.Errorf("%s: %+v, want %q", args, r, want)
		}
	}
}

// TestHelp: each command says what it is for, and has an example.
func TestHelp(t *testing.T) {
	tool := &tool{places: control.Places}
	for _, c := range tool.command().Commands() {
		if c.Hidden {
			continue
		}
		if c.Short == "" || c.Example == "" && c.Name() != "version" {
			t.Errorf("%s: no summary or no example", c.Name())
		}
		r := invoke(t, "", c.Name(), "--help")
		if r.status != 0 || !strings.Contains(r.stdout, "Usage:\n  initctl "+c.Name()) || r.stderr != "" {
			t.Errorf("%+v", r)
		}
		for line := range strings.Lines(r.stdout) {
			if len(strings.TrimSuffix(line, "\n")) > 110 {
				t.Errorf("%s --help has a long line: %s", c.Name(), line)
			}
		}
	}
	if r := invoke(t, "", "completion", "bash"); r.status != 0 || !strings.Contains(r.stdout, "initctl") {
		t.Errorf("completion: %+v", r)
	}
	if r := invoke(t, "", "completion", "powershell"); strings.Contains(r.stdout, "Register-ArgumentCompleter") || strings.Contains(invoke(t, "", "completion", "--help").stdout, "powershell") {
		t.Errorf("completion for a shell that no container of Linux has: %+v", r)
	}
	if r := invoke(t, "", "--version"); r.status != 0 || !strings.HasPrefix(r.stdout, "initctl ") {
		t.Errorf("--version: %+v", r)
	}
}

// TestRequests: what is asked of initd, and what is said of the answer.
func TestRequests(t *testing.T) {
	refused := control.Answer{Answer: "error", Code: control.NotPossible, Error: "a plain init has no pool"}
	environment := &control.Environment{Generation: 3, Variables: []control.Variable{{Name: "A", Value: pointer("1 2")}, {Name: "B"}}}
	list := []control.Setting{{Name: "port", Values: []string{"8080", "a b"}, Source: "--port"}, {Name: "path", Source: "default"}, {Name: "probe", Values: []string{""}, Source: "SERVER_STARTER_PROBE"}}
	for _, test := range []struct {
		args           string
		request        control.Request
		answer         control.Answer
		status         int
		stdout, stderr string
	}{
		{"scale 8", control.Request{Request: "scale", Workers: 8}, control.Answer{Workers: pointer(8)}, 0, "8 workers when idle\n", ""},
		{"scale 1", control.Request{Request: "scale", Workers: 1}, control.Answer{Workers: pointer(1)}, 0, "1 worker when idle\n", ""},
		{"scale 9", control.Request{Request: "scale", Workers: 9}, refused, 1, "", "initctl: a plain init has no pool\n"},
		{"signal USR1", control.Request{Request: "signal", Signal: "USR1"}, control.Answer{Workers: pointer(4)}, 0, "sent USR1 to 4 workers\n", ""},
		{"signal 10 --generation 3 --slot 0", control.Request{Request: "signal", Signal: "10", Generation: 3, Slot: pointer(0)}, control.Answer{Workers: pointer(1)}, 0, "sent 10 to 1 worker\n", ""},
		{"signal USR1 --slot 5", control.Request{Request: "signal", Signal: "USR1", Slot: pointer(5)}, control.Answer{Workers: pointer(0)}, 1, "", "initctl: there is no such worker; no signal was sent\n"},
		{"env", control.Request{Request: "environment"}, control.Answer{Environment: environment}, 0, "A=1 2\nB\n", ""},
		{"env --generation 3 --values", control.Request{Request: "environment", Generation: 3, Values: true}, control.Answer{Environment: environment}, 0, "A=1 2\nB\n", ""},
		{"env --json", control.Request{Request: "environment"}, control.Answer{Environment: &control.Environment{Generation: 3}}, 0, "{\n  \"generation\": 3,\n  \"variables\": null\n}\n", ""},
		{"settings", control.Request{Request: "settings"}, control.Answer{Settings: list}, 0,
			"SETTING  VALUE       SOURCE\nport     8080 \"a b\"  --port\npath     -           default\nprobe    \"\"          SERVER_STARTER_PROBE\n", ""},
		{"settings --json", control.Request{Request: "settings"}, control.Answer{Settings: list[1:2]}, 0, "[\n  {\n    \"name\": \"path\",\n    \"values\": null,\n    \"source\": \"default\"\n  }\n]\n", ""},
		{"stop --no-wait --signal QUIT", control.Request{Request: "stop", Signal: "QUIT"}, control.Answer{}, 0, "", ""},
		{"status", control.Request{Request: "status"}, control.Answer{Answer: "error", Code: control.Forbidden, Error: "uid 1 may not"}, 1, "", "initctl: uid 1 may not\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			asked := make(chan control.Request, 1)
			f := newFake(t, once(func(r control.Request) control.Answer {
				asked <- r
				return test.answer
			}))
			if r := invoke(t, f.path, strings.Fields(test.args)...); r != (result{test.status, test.stdout, test.stderr}) {
				t.Errorf("%+v", r)
			}
			r := <-asked
			r.ID = 0
			switch {
			case (r.Slot == nil) != (test.request.Slot == nil), r.Slot != nil && *r.Slot != *test.request.Slot:
				t.Errorf("asked for slot %v, want %v", r.Slot, test.request.Slot)
			}
			if r.Slot = test.request.Slot; r != test.request {
				t.Errorf("asked for %+v, want %+v", r, test.request)
			}
		})
	}
}

func TestSleep(t *testing.T) {
	if r := invoke(t, "", "sleep", "1ms"); r != (result{}) {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := invokeContext(ctx, nil, "sleep", "1000h"); r.status != 130 {
		t.Errorf("interrupted: %+v", r)
	}
}
