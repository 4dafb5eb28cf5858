package doctor

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCheck: what is reported of servers that behave well and badly.
func TestCheck(t *testing.T) {
	needNamespaces(t)
	dir := t.TempDir()
	as := func(behaviour ...string) []string { return serverCommand(t, behaviour...) }
	// Those that die are to do so before the interval is over, however busy the machine is.
	local6, named6 := "port=[::1]:8443", `\[::1\]:8443`
	if !hasIPv6() {
		// Those that die are to do so before the interval is over, however busy the machine is.
		local6, named6 = "port=127.0.0.6:8443", "127.0.0.6:8443"
	}
	for _, test := range []struct {
		name   string
		args   []string
		status int
		has    []string
		hasNot []string
	}{
		{name: "Fit", args: flags(as("ready"), "port=8080"), status: 0,
			has: []string{
				`in an isolated network`, `ok +start +ready after \S+: READY=1\n`, `ok +sockets .*: 8080\n`, `8080 answers GET: HTTP/1.0 200 OK\n`,
				`ok +swap +a second`, `ok +TERM +exited \S+ after TERM \(100ms spent on an open request\): exit status 0\n`, `ok +requests +\d+ answered during the swap, none lost\n`,
				`ok +memory +\S+ MB for one instance, \S+ MB for two\n`, `ok +stop +exited \S+ after TERM: exit status 0\n`,
				`\nrecommended settings:\n  SERVER_STARTER_READY=notify\nready for hot swaps\n$`},
			hasNot: []string{"problem", "warning"}},
		{name: "AsSet", args: flags(as("ready"), "port=8080", "ready=notify"), status: 0,
			has: []string{`ok +stop .*\nready for hot swaps\n$`}},
		{name: "NoReadyButTheInterval", args: flags(as(), "port=8080", "interval=0.2"), status: 0,
			has:    []string{`ready after \S+: running for the interval, and seen to accept connections`, `sends no READY=1, but initd sees when it accepts connections; first answer`},
			hasNot: []string{"recommended settings", "warning"}},
		{name: "Late", args: flags(as("late=1.5s"), "port=8080", "interval=0.2"), status: 0,
			has: []string{`warning +ready .* before it answers, after \S+s\n`, `SERVER_STARTER_INTERVAL=\d+\n`, "ready for hot swaps, with warnings"}},
		{name: "Several", args: flags(as("ready"), "port=8080", local6, "port=192.0.2.7:80", "path="+dir+"/several", "path=@initd-check"), status: 0,
			has: []string{`ok +sockets .*: 8080, ` + named6 + `, 192.0.2.7:80, ` + dir + `/several, @initd-check\n`}},
		{name: "Pinned", args: flags(as("ready"), "port=8080=57", "port=localhost:0=0"), status: 0},
		{name: "Greets", args: flags(as("ready", "greets"), "port=8080"), status: 0,
			has: []string{`8080 speaks first: 220 hello\n`, `answered during the swap, none lost`}},
		{name: "Silent", args: flags(as("ready", "silent"), "port=8080"), status: 0,
			has: []string{`warning +protocol +8080 does not answer`, `connections during the swap, none refused`, "with warnings"}},
		{name: "NoListener", args: flags(as("ready", "deaf")), status: 0,
			has: []string{`sockets +none configured`}},
		{name: "Datagrams", args: flags(as("ready", "deaf"), "port=u8053"), status: 0,
			has: []string{`warning +sockets +UDP cannot be tested with connections: 8053`}},

		{name: "Deaf", args: flags(as("ready", "deaf"), "port=8080"), status: 1,
			has: []string{`problem +sockets +does not accept connections on 8080`, "not ready for hot swaps: see sockets"}},
		{name: "ItsOwn", args: flags(as("ready", "own=:8080"), "port=8080", "interval=20"), status: 1,
			has: []string{`problem +start +exited`, `problem +sockets +does not use the inherited socket.*: tcp (\[::\]|0\.0\.0\.0):8080\n`, "last lines of its output:", "address already in use",
				`\nwith SERVER_STARTER_EXPORT=bind:\n`, `ok +requests`, "SERVER_STARTER_EXPORT=bind\n", "but ready with these settings"}},
		{name: "AnotherOfItsOwn", args: flags(as("ready", "own=127.0.0.1:9000"), "port=8080"), status: 1,
			has: []string{`problem +sockets +does not use the inherited socket.*: tcp 127.0.0.1:9000\n`}},
		{name: "OneMore", args: flags(as("ready", "also=127.0.0.1:9000"), "port=8080", "max-failures=1"), status: 1,
			has: []string{`warning +sockets +accepts connections on 8080, but also binds its own socket, .*: tcp 127.0.0.1:9000\n`, `problem +swap +a second instance did not become ready`}},
		{name: "AnotherProtocol", args: flags(as("ready", "protocol=NGINX", "own=:8080"), "port=8080", "interval=20"), status: 1,
			has: []string{`problem +start`, `\nwith SERVER_STARTER_EXPORT=nginx:\n`, `ok +requests`, "SERVER_STARTER_EXPORT=nginx\n", "not ready for hot swaps as configured, but ready with these settings"}},

		{name: "Stubborn", args: flags(as("ready", "stubborn"), "port=8080", "drain-timeout=0.5", "stop-timeout=0.5"), status: 1,
			has: []string{`problem +TERM +does not exit on TERM, and was killed after \S+\n`, "SERVER_STARTER_DRAIN_TIMEOUT", "not ready for hot swaps: see TERM"}},
		{name: "LosesRequests", args: flags(as("ready", "abrupt"), "port=8080"), status: 1,
			has: []string{`problem +requests +\d+ of \d+ were lost during the swap: `, `with SERVER_STARTER_SIGNAL_ON_HUP=QUIT`, `ok +QUIT +exited`, "SERVER_STARTER_SIGNAL_ON_TERM=QUIT\n", "but ready with these settings"}},
		{name: "Leaves", args: flags(as("ready", "leaves"), "port=8080", "stop-timeout=1"), status: 0,
			has: []string{`warning +leftover +leaves processes behind .*: sleep \(\d+\)`, "with warnings"}},
		{name: "LeavesForGood", args: flags(as("ready", "leaves"), "port=8080", "stop-timeout=1", "kill-group=false"), status: 0,
			has: []string{`warning +leftover +processes of the old instance are still running: sleep \(\d+\)`, "with warnings"}},
		{name: "ShellWithoutExec", args: flags([]string{"sh", "-c", strings.Join(as("ready"), " ") + "; :"}, "port=8080"), status: 1,
			has: []string{`problem +TERM +ends only the command, not the server that it started: \S+ \(\d+\); .* with exec\n`, "not ready for hot swaps: see TERM"}},

		{name: "Dies", args: flags(as("dies=3"), "port=8080", "interval=20"), status: 1,
			has: []string{`problem +start +exited .*: exit status 3\n`, "last lines of its output:\n    there is nothing to live for\n", "not ready for hot swaps: see start"}},
		{name: "Background", args: flags(as("dies=0"), "port=8080", "interval=20"), status: 1,
			has: []string{`exit status 0\n`, "stay in the foreground"}},
		{name: "NeverReady", args: flags(as(), "port=8080", "ready=notify", "start-timeout=3"), status: 1,
			has: []string{`problem +start +not ready within start-timeout=3s`, "sends no READY=1", "SERVER_STARTER_READY=auto"}},
		{name: "Missing", args: flags([]string{dir + "/missing"}, "port=8080"), status: 1,
			has: []string{`cannot be executed: exec ` + dir + `/missing: no such file or directory`}},
		{name: "NoUser", args: flags(as(), "port=8080", "user=no-such-user"), status: 1,
			has: []string{`initd cannot start: SERVER_STARTER_USER`}},
		{name: "PlainInit", args: flags(as("ready"), "port=8080", "respawn=never"), status: 0,
			has: []string{"respawn=never is ignored"}},

		{name: "NamedInitd", args: append([]string{"--initd=" + program(t, "initd")}, flags(as("ready"), "port=8080")...), status: 0,
			has: []string{"ready for hot swaps"}},
		{name: "OtherInitd", args: append([]string{"--initd", "/bin/true"}, flags(as("ready"), "port=8080")...), status: 1,
			has: []string{`problem +start +initd cannot start`}},
		{name: "WrongSetting", args: flags(as(), "port=x"), status: 64},
		{name: "NoCommand", args: []string{"--port=8080"}, status: 64},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := listing(t, dir)
			status, report := run{args: test.args}.check(t)
			for tries := 1; tries < 5 && slices.Contains(test.hasNot, "warning") && slow.MatchString(report); tries++ {
				status, report = run{args: test.args}.check(t)
			}
			if status != test.status {
				t.Errorf("exit status %d, not %d", status, test.status)
			}
			for _, text := range test.has {
				if !regexp.MustCompile(text).MatchString(report) {
					t.Errorf("the report does not have %q", text)
				}
			}
			for _, text := range test.hasNot {
				if strings.Contains(report, text) {
					t.Errorf("the report has %q", text)
				}
			}
			if after := listing(t, dir); !slices.Equal(after, before) {
				t.Errorf("the directory had\n%q and has\n%q", before, after)
			}
		})
	}
}

// slow is what is reported of any server where the machine is too busy to let it
// answer within a tenth of a second.
var slow = regexp.MustCompile(`warning +ready .* (before|but) (it )?answers`)

const readme = "../../../../README.md"

// TestQuotedReport: the report in README.md is that of hello, but for times and sizes.
func TestQuotedReport(t *testing.T) {
	needNamespaces(t)
	hello := program(t, "hello")
	_, report := run{args: flags([]string{hello}, "port=8080")}.check(t)
	for tries := 1; tries < 5 && slow.MatchString(report); tries++ {
		_, report = run{args: flags([]string{hello}, "port=8080")}.check(t)
	}
	report = strings.Replace(report, hello, "/tmp/initd-example/hello", 1)
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "check --port=8080 /tmp/initd-example/hello\n```\n\n```\n", "```\n"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no report between %q and %q", readme, begin, end)
	}
	numbers := regexp.MustCompile(`[0-9.]+(µs|ms|s)?`)
	switch same := numbers.ReplaceAllString(got, "#") == numbers.ReplaceAllString(report, "#"); {
	case same:
	case *update:
		if err := os.WriteFile(readme, []byte(before+begin+report+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("README.md (go test ./cmd/initctl/internal/doctor -run Quoted -update) has\n%s", got)
	}
}
