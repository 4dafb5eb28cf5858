package doctor

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

const ms = time.Millisecond

func ready(r machine.Ready) settings.Choice[machine.Ready] {
	return settings.Choice[machine.Ready]{Value: r}
}

func respawn(r machine.Respawn) settings.Choice[machine.Respawn] {
	return settings.Choice[machine.Respawn]{Value: r}
}

// newRecord is of a server in HTTP at port 8080 that is fit: it is ready after 5 ms,
// and answers after 6. The change makes it another one.
func newRecord(change func(*record)) *record {
	r := &record{
		examined: &examined{
			settings: limited(settings.Settings{Ready: ready(machine.Notify), SignalOnHUP: settings.Signal(machine.TERM), SignalOnTERM: settings.Signal(machine.TERM), StartTimeout: settings.Duration(time.Minute)}),
			targets:  []*target{{key: "8080", network: "tcp", behaviour: http, sample: "HTTP/1.0 200 OK", accepted: true, answered: 106 * ms}},
		},
		first:  worker{pid: 10, started: 100 * ms, notified: 105 * ms, ready: 105 * ms, stop: time.Second, signal: "TERM", ended: time.Second + 117*ms, status: "exit status 0"},
		second: worker{pid: 11, started: 500 * ms, ready: 507 * ms, stop: 3 * time.Second, signal: "TERM", ended: 3*time.Second + 2*ms, status: "exit status 0"},
		up:     true, lived: true, accepts: true, swapped: true, stopped: true, held: true,
		alone: 7_400_000, both: 9_000_000, during: tally{done: 3695},
	}
	if change != nil {
		change(r)
	}
	return r
}

// ended makes a record of one that has ended by itself.
func ended(r *record) {
	r.up, r.lived, r.accepts, r.swapped = false, false, false, false
	r.first = worker{pid: 10, started: 100 * ms, ended: 350 * ms, status: "exit status 3"}
	r.targets[0].accepted, r.targets[0].answered = false, 0
}

// late makes a record of one that was not ready in time.
func late(r *record) {
	ended(r)
	r.first = worker{pid: 10, started: 100 * ms, killed: "not ready in time", ended: time.Second, status: "signal KILL"}
}

func at(address string) []openSocket { return []openSocket{{network: "tcp", address: address}} }

// TestJudge: of each thing that can be seen, what is concluded from it. The lines
// are those that have to be among the findings.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name      string
		change    func(*record)
		lines     string
		suggested string
	}{
		{"fit", nil, `
ok start ready after 5ms: READY=1
ok ready sends READY=1 5ms after its start
ok sockets accepts connections on the inherited socket: 8080
ok protocol 8080 answers GET: HTTP/1.0 200 OK
ok swap a second instance was ready after 7ms
ok TERM exited 117ms after TERM (100ms spent on an open request): exit status 0
ok requests 3695 answered during the swap, none lost
ok memory 7.4 MB for one instance, 9.0 MB for two
ok stop exited 2ms after TERM: exit status 0`, ""},

		{"cannot be executed", func(r *record) { ended(r); r.first.notExecuted = "exec /x: no such file or directory" },
			"problem start cannot be executed: exec /x: no such file or directory", ""},
		{"initd does not start", func(r *record) { ended(r); r.first = worker{}; r.output.add("initd: no such user\n") },
			"problem start initd cannot start: no such user", ""},
		{"not ready in time", late, `
problem start not ready within start-timeout=1m0s
problem ready sends no READY=1, which ready=notify waits for`, ""},
		{"not ready, but answers", func(r *record) { late(r); r.targets[0].answered = 106 * ms }, `
problem start not ready within start-timeout=1m0s
problem ready sends no READY=1, which ready=notify waits for`, "SERVER_STARTER_READY=auto"},
		{"not ready in time by the interval", func(r *record) { late(r); r.settings.Ready = ready(machine.Auto) },
			"problem start not ready within start-timeout=1m0s", ""},
		{"ends before it is ready", ended, "problem start exited 250ms after its start, before it was ready: exit status 3", ""},
		{"goes to the background", func(r *record) { ended(r); r.first.status = "exit status 0" }, `
problem start exited 250ms after its start, before it was ready: exit status 0
problem start if it runs in the background (as a daemon), configure it to stay in the foreground`, ""},
		{"ends after it was ready", func(r *record) { ended(r); r.up, r.first.ready = true, 200*ms },
			"problem start counted as ready after 100ms, but exited 250ms after its start: exit status 3", ""},

		{"ready by the interval", func(r *record) { r.first.notified, r.settings.Ready = 0, ready(machine.Auto); r.first.ready = 300 * ms }, `
ok start ready after 200ms: still running after the interval
ok ready sends no READY=1; first answer 6ms after its start`, ""},
		{"ready by accepting", func(r *record) {
			r.first.notified, r.settings.Ready, r.first.readyBy = 0, ready(machine.Auto), "accepting"
			r.first.ready = 300 * ms
		}, `
ok start ready after 200ms: running for the interval, and seen to accept connections
ok ready sends no READY=1, but initd sees when it accepts connections; first answer 6ms after its start`, ""},
		{"cannot be seen", func(r *record) {
			r.first.notified, r.settings.Ready, r.first.unverified = 0, ready(machine.Auto), "it may or may not"
			r.first.ready = 300 * ms
		}, "warning ready sends no READY=1, and initd cannot see when it accepts connections: have it send READY=1, or set probe; it may or may not", ""},
		{"ready by the probe", func(r *record) { r.settings.Probe = []string{"true"} }, "ok start ready after 5ms: READY=1, and the probe succeeded", ""},
		{"could be ready by READY=1", func(r *record) { r.settings.Ready = ready(machine.Auto) },
			"ok ready sends READY=1 5ms after its start; with ready=notify initd waits for that", "SERVER_STARTER_READY=notify"},
		{"READY=1 too early", func(r *record) { r.targets[0].answered = 400 * ms },
			"warning ready sends READY=1 5ms after its start, but answers only after 300ms", ""},
		{"READY=1 not too early for a slow machine", func(r *record) {
			r.first.notified, r.targets[0].answered = r.first.started+224*ms, r.first.started+391*ms
		},
			"ok ready sends READY=1 224ms after its start", ""},
		{"ready too early", func(r *record) { r.first.notified = 0; r.targets[0].answered = 1600 * ms },
			"warning ready sends no READY=1, and counts as ready before it answers, after 1.5s", "SERVER_STARTER_INTERVAL=3"},
		{"answers nothing", func(r *record) {
			r.first.notified, r.targets[0].answered = 0, 0
			r.targets[0].behaviour = silent
			r.during.done = 9
		}, `
ok ready sends no READY=1
warning protocol 8080 does not answer GET: connections could be counted, but not lost requests
ok requests 9 connections during the swap, none refused`, ""},

		{"takes no socket", func(r *record) { r.accepts, r.targets[0].accepted = false, false },
			"problem sockets does not accept connections on 8080: it does not use the inherited socket", ""},
		{"listens by itself instead", func(r *record) { r.accepts, r.targets[0].accepted, r.own = false, false, at("[::]:9000") },
			"problem sockets does not use the inherited socket, but binds its own: tcp [::]:9000", ""},
		{"cannot listen by itself", func(r *record) { ended(r); r.own = at("[::]:8080") },
			"problem sockets does not use the inherited socket, but binds its own: tcp [::]:8080", ""},
		{"listens by itself, too", func(r *record) { r.own = at("[::]:9000") },
			"warning sockets accepts connections on 8080, but also binds its own socket, which swaps do not cover: tcp [::]:9000", ""},
		{"has no listener", func(r *record) { r.targets = nil }, "ok sockets none configured; a server needs --port or --path", ""},
		{"UDP", func(r *record) { r.targets = []*target{{key: "8053", network: "udp", behaviour: silent}} },
			"warning sockets UDP cannot be tested with connections: 8053", ""},
		{"shuts a listener down", func(r *record) { r.relistened = true },
			"warning sockets calls shutdown(2) on a shared listener: connections waiting there are lost", ""},
		{"greets", func(r *record) { r.targets[0].behaviour, r.targets[0].sample = greets, "220 hello" }, "ok protocol 8080 speaks first: 220 hello", ""},
		{"answers otherwise", func(r *record) { r.targets[0].behaviour, r.targets[0].sample = answers, "what?" }, "ok protocol 8080 answers GET: what?", ""},

		{"loses requests before the swap", func(r *record) {
			r.before = tally{done: 97, lost: map[string]int{"connection refused": 2, errCut.Error(): 1}}
		},
			"warning requests 3 of 100 were lost before the swap: answer cut short (1), connection refused (2)", ""},
		{"loses requests during the swap", func(r *record) { r.during = tally{done: 8, lost: map[string]int{errHungUp.Error(): 2}} },
			"problem requests 2 of 10 were lost during the swap: closed without an answer (2)", ""},
		{"second does not start", func(r *record) { r.swapped, r.second = false, worker{status: "exit status 1", failed: "f"} },
			"problem swap a second instance did not become ready: exit status 1", ""},
		{"second is not ready", func(r *record) { r.swapped, r.second = false, worker{failed: "not ready in time"} },
			"problem swap a second instance did not become ready: not ready in time", ""},
		{"second takes too long", func(r *record) { r.swapped, r.second = false, worker{} },
			"problem swap a second instance did not become ready: timed out", ""},
		{"second ends", func(r *record) { r.swapped, r.second.status = false, "exit status 2" },
			"problem swap the second instance exited while the first was running: exit status 2", ""},
		{"first ends", func(r *record) { r.swapped, r.first.stop, r.second.ended = false, 0, 0 },
			"problem swap the first instance exited when the second was started: exit status 0", ""},
		{"has to be killed", func(r *record) { r.first.killed, r.first.status = "too late", "signal KILL" },
			"problem TERM does not exit on TERM, and was killed after 117ms", "SERVER_STARTER_DRAIN_TIMEOUT=30 SERVER_STARTER_STOP_TIMEOUT=8"},
		{"is killed by the signal", func(r *record) { r.first.status = "signal TERM" },
			"warning TERM does not handle TERM, which kills it: requests in progress are lost", ""},
		{"no request was held", func(r *record) { r.held = false }, "ok TERM exited 117ms after TERM: exit status 0", ""},
		{"another signal", func(r *record) {
			r.plan.signal, r.first.signal, r.second.signal = syscall.SIGQUIT, "QUIT", "QUIT"
		}, `
ok QUIT exited 117ms after QUIT (100ms spent on an open request): exit status 0
ok stop exited 2ms after QUIT: exit status 0`, "SERVER_STARTER_SIGNAL_ON_HUP=QUIT SERVER_STARTER_SIGNAL_ON_TERM=QUIT"},
		{"another protocol", func(r *record) { r.plan.export = []string{"nginx", "puma"} }, "", "SERVER_STARTER_EXPORT=nginx;puma"},
		{"a shell without exec", func(r *record) {
			r.first.status = "signal TERM"
			r.orphans, r.servers = []process{{pid: 7, name: "server"}}, []process{{pid: 7, name: "server"}}
		},
			"problem TERM ends only the command, not the server that it started: server (7); if the command is a shell script, let it start the server with exec", ""},
		{"the probe asks a listener", func(r *record) { r.probed = "8080" },
			"warning probe asks 8080, where an old worker may answer instead of the new one; it must ask something that only the new one has, such as another port", ""},
		{"leaves a process that initd ends", func(r *record) { r.orphans = []process{{pid: 7, name: "sleep"}} },
			"warning leftover leaves processes behind when it exits, which initd then stops: sleep (7)", ""},
		{"leaves a process", func(r *record) { r.left = []process{{pid: 7, name: "sleep"}, {pid: 8, name: "cat"}} },
			"warning leftover processes of the old instance are still running: sleep (7), cat (8)", ""},
		{"little memory", func(r *record) { r.limit = 9_500_000 }, "warning memory the container's limit of 9.5 MB is too low for two instances", ""},
		{"initd does not end", func(r *record) { r.stopped = false }, "problem stop initd did not exit after it was asked to stop", ""},
		{"does not stop", func(r *record) { r.second.killed = "too late" },
			"problem stop does not exit on TERM, and was killed after 2ms", "SERVER_STARTER_STOP_TIMEOUT=8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := judge(newRecord(test.change))
			var all string
			for _, finding := range f.all {
				all += string(finding.mark) + " " + finding.topic + " " + finding.text + "\n"
			}
			for line := range strings.Lines(strings.TrimPrefix(test.lines, "\n")) {
				if line = strings.TrimSuffix(line, "\n") + "\n"; !strings.Contains("\n"+all, "\n"+line) {
					t.Errorf("there is no finding %q", line)
				}
			}
			if got := strings.Join(f.suggested, " "); got != test.suggested {
				t.Errorf("it suggests %q, not %q", got, test.suggested)
			}
			if t.Failed() {
				t.Log("the findings are\n" + all)
			}
		})
	}
}

// TestSuggested: what is suggested is a setting, with a value that it can have.
func TestSuggested(t *testing.T) {
	for _, variables := range [][]string{
		plan{export: []string{"nginx", "puma"}, signal: syscall.SIGQUIT}.suggestions(),
		{variable("ready", "auto"), variable("interval", "3"), variable("drain-timeout", "30"), variable("stop-timeout", "8")},
	} {
		for _, v := range variables {
			name, value, _ := strings.Cut(v, "=")
			t.Setenv(name, value)
		}
	}
	if _, err := settings.Load([]string{"true"}); err != nil {
		t.Error(err)
	}
}

func TestPlan(t *testing.T) {
	set := settings.Settings{Workers: 4, MaxWorkers: 8, Respawn: respawn(machine.Never), EnableAutoRestart: true, Export: []string{"systemd"}, DrainTimeout: settings.Duration(time.Hour)}
	s := plan{}.apply(set)
	if s.Workers != 1 || s.MaxWorkers != 1 || s.Respawn.Value != machine.Always || s.EnableAutoRestart || s.MaxFailures != 1 ||
		time.Duration(s.StopTimeout) != grace || time.Duration(s.StartTimeout) != time.Minute ||
		time.Duration(s.KillOldDelay) != overlap || time.Duration(s.DrainTimeout) != time.Hour ||
		s.Export[0] != "systemd" || s.SignalOnHUP != 0 {
		t.Errorf("as set: %+v", s)
	}
	s = plan{export: []string{"nginx"}, signal: syscall.SIGQUIT}.apply(set)
	if s.Export[0] != "nginx" || s.SignalOnHUP != settings.Signal(machine.QUIT) || s.SignalOnTERM != settings.Signal(machine.QUIT) ||
		time.Duration(s.DrainTimeout) != tryTime || time.Duration(s.StopTimeout) != tryTime {
		t.Errorf("with another protocol and signal: %+v", s)
	}
}
