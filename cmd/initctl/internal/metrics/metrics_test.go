package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"server-starter/initd/control"
)

var update = flag.Bool("update", false, "write the expositions in testdata and the table in docs/METRICS.md anew")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *time.Time {
	t := noon.Add(-d)
	return &t
}

// rich is a status in the middle of a swap that has every field that is
// exported, each with a number of its own.
func rich() *control.Status {
	next := noon.Add(4500 * time.Millisecond)
	return &control.Status{
		Version: "0.1.0", PID: 1, Time: noon, Started: *before(30 * time.Hour), Memory: 4_400_000,
		Health: control.Health{Live: true, Ready: true, Started: true, State: "reloading", Generation: 41,
			Flapping: &control.Flapping{Since: *before(5 * time.Minute), Losses: 6, Last: "exit status 1", LastAt: *before(time.Second)}},
		Attempt:     43,
		NextAttempt: &next,
		Failures:    2,
		Pool:        control.Pool{Workers: 5, Rest: 4, Max: 16, Ready: 3, Busy: 2, Idle: 1},
		Generations: []control.Generation{
			{Number: 38, State: "retiring", Began: *before(20 * time.Hour), Ready: before(19 * time.Hour), Workers: []control.Worker{
				{Slot: 0, PID: 380, State: "stopping", Memory: 70_000_000},
			}},
			{Number: 40, State: "retiring", Began: *before(2 * time.Hour), Ready: before(90 * time.Minute), Workers: []control.Worker{
				{Slot: 0, PID: 400, State: "stopping", Memory: 30_000_000}, {Slot: 1, PID: 401, State: "killed"},
			}},
			{Number: 41, State: "serving", Began: *before(11 * time.Minute), Ready: before(10 * time.Minute), Workers: []control.Worker{
				{Slot: 0, PID: 410, State: "ready", Memory: 20_000_000}, {Slot: 1, PID: 411, State: "ready"}, {Slot: 2, PID: 412, State: "ready"},
			}},
			{Number: 43, State: "starting", Began: *before(3 * time.Second), Workers: []control.Worker{{Slot: 0, PID: 430, State: "running"}}},
		},
		Listeners: []control.Listener{
			{Key: "0.0.0.0:80", Network: "tcp", Queue: 7, Backlog: 4096},
			{Key: `/run/a "b"\c.sock`, Network: "unix", Queue: 6},
			{Key: "53", Network: "udp", Queue: 2304, Backlog: 212992},
			{Key: "53", Network: "tcp", Queue: 8, Backlog: 128},
			{Key: "http", Network: "tcp", Queue: 9, Backlog: 100}, // two of one name
			{Key: "http", Network: "tcp", Queue: 11, Backlog: 200},
		},
		Swaps: []control.Swap{
			{Generation: 43, Began: *before(3 * time.Second), Seconds: 3, Outcome: "pending"},
			{Generation: 42, Began: *before(8 * time.Second), Ended: before(6 * time.Second), Seconds: 2.25, Outcome: "failed"},
			{Generation: 41, Began: *before(11 * time.Minute), Ended: before(10 * time.Minute), Seconds: 60, Outcome: "ready"},
			{Generation: 39, Began: *before(18 * time.Hour), Ended: before(17 * time.Hour), Seconds: 3600, Outcome: "ready"},
		},
		Counters: control.Counters{
			Swaps: map[string]int64{"ready": 31, "failed": 10, "refused": 1}, SwapSeconds: 77.5,
			Started: 301, Exited: 202, Died: 93, OOMKilled: 21, Killed: 14, Recycled: 25, Orphans: 1006, Requests: 123_456_789,
			Relistened: 17, HooksFailed: 18, Control: 1900, LinesDropped: 20,
		},
	}
}

func write(t *testing.T, s *control.Status) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExposition(t *testing.T) {
	for name, status := range map[string]*control.Status{"rich": rich(), "empty": {}} {
		t.Run(name, func(t *testing.T) { same(t, filepath.Join("testdata", name+".txt"), write(t, status)) })
	}
}

// same compares a text with what a file has, or writes it there.
func same(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, kept := strings.Split(text, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(kept)) {
		var a, b string
		if i < len(got) {
			a = got[i]
		}
		if i < len(kept) {
			b = kept[i]
		}
		if a != b {
			t.Fatalf("line %d is\n%s\nand %s has\n%s\n(-update writes it)", i+1, a, file, b)
		}
	}
}

func TestLint(t *testing.T) {
	for name, status := range map[string]*control.Status{"rich": rich(), "empty": {}} {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(Collector(status))
		problems, err := testutil.GatherAndLint(registry)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

func TestNames(t *testing.T) {
	if !strings.HasPrefix(ContentType, "text/plain; version=0.0.4") {
		t.Error(ContentType)
	}
	labels := map[string]bool{"": true, "version": true, "state": true, "outcome": true, "reason": true, "listener": true}
	seen := map[string]bool{}
	for _, f := range families {
		switch {
		case seen[f.name]:
			t.Errorf("%s stands twice", f.name)
		case !regexp.MustCompile(`^initd_[a-z]+(_[a-z]+)*$`).MatchString(f.name):
			t.Errorf("%s is no name for a metric of initd", f.name)
		case strings.HasSuffix(f.name, "_total") != (f.kind == counter):
			t.Errorf("%s is a %s", f.name, f.kind)
		case strings.HasSuffix(f.name, "_info") != (f.label == "version"):
			t.Errorf("%s has the label %q", f.name, f.label)
		case !labels[f.label]:
			t.Errorf("%s has the label %q, whose values may have no bound", f.name, f.label)
		case !strings.HasSuffix(f.help, ".") || strings.ContainsAny(f.help, "\n|"):
			t.Errorf("%s: %q is no sentence for a table", f.name, f.help)
		}
		seen[f.name] = true
	}
}

// TestBounded sees to it that a day of swaps makes no series: neither numbers of
// generations nor pids nor slots are in any label.
func TestBounded(t *testing.T) {
	series := func(s *control.Status) (n int) {
		for line := range strings.Lines(write(t, s)) {
			if !strings.HasPrefix(line, "#") {
				n++
			}
		}
		return n
	}
	s := rich()
	few := series(s)
	for i := range 500 {
		g := control.Generation{Number: 100 + i, State: generationStates[i%len(generationStates)], Began: noon, Ready: &noon}
		for slot := range 10 {
			g.Workers = append(g.Workers, control.Worker{Slot: slot, PID: 1000*i + slot, State: workerStates[slot%len(workerStates)]})
		}
		s.Generations = append(s.Generations, g)
		s.Swaps = append(s.Swaps, control.Swap{Generation: g.Number, Trigger: "signal", Outcome: "pending", Reason: fmt.Sprint(i)})
	}
	if many := series(s); many != few {
		t.Errorf("%d series have become %d", few, many)
	}
}

// TestCountersGrow sees to it that what only grows in a status only grows here,
// series by series.
func TestCountersGrow(t *testing.T) {
	counters := func(s *control.Status) map[string]float64 {
		values := map[string]float64{}
		for _, f := range families {
			if f.kind == gauge {
				continue
			}
			for _, sample := range f.samples(s) {
				values[f.name+"{"+sample.label+"}"] = sample.value
				if f.kind == summary {
					values[f.name+"_count"] = float64(sample.count)
				}
			}
		}
		return values
	}
	s := rich()
	old := counters(s)
	c := &s.Counters
	for _, n := range []*int64{&c.Started, &c.Exited, &c.Died, &c.OOMKilled, &c.Killed, &c.Recycled, &c.Orphans, &c.Requests,
		&c.Relistened, &c.HooksFailed, &c.Control, &c.LinesDropped} {
		*n++
	}
	for _, outcome := range outcomes {
		c.Swaps[outcome]++
	}
	c.SwapSeconds++
	s.Attempt++
	for series, v := range counters(s) {
		if was, ok := old[series]; !ok || v != was+1 {
			t.Errorf("%s was %v and is %v", series, was, v)
		}
	}
}

// TestOutcomeUnknown: an initd that is newer may have an outcome or a state
// more, and bytes that are no UTF-8 must not cost all metrics.
func TestOutcomeUnknown(t *testing.T) {
	s := rich()
	s.Counters.Swaps["postponed"] = 3
	s.Listeners[0].Key = "\xff"
	text := write(t, s)
	for _, want := range []string{`initd_swaps_total{outcome="postponed"} 3`, "initd_listener_queue_connections{listener=\"\uFFFD\"} 7"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestOldGenerationAge(t *testing.T) {
	s := rich() // 38 was replaced by 39, which has gone
	if got, want := oldAge(s), (17 * time.Hour).Seconds(); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	s.Swaps = nil // and is forgotten: 40 is the next that is known
	if got, want := oldAge(s), (90 * time.Minute).Seconds(); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	s.Generations = s.Generations[2:]
	if got := oldAge(s); got != 0 {
		t.Errorf("%v with no old generation", got)
	}
}

const page = "../../../../docs/METRICS.md"

// TestDocumented keeps the table of docs/METRICS.md as the program has it.
func TestDocumented(t *testing.T) {
	var table strings.Builder
	table.WriteString("| Metric | Type | Label | Meaning |\n|---|---|---|---|\n")
	for _, f := range families {
		label := f.label
		if label != "" {
			label = "`" + label + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", f.name, f.kind, label, f.help)
	}
	sameTable(t, "| Metric |", table.String())

	// The table is of what is really written.
	written := write(t, rich())
	for _, f := range families {
		if !strings.Contains(written, fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)) {
			t.Errorf("%s is not written as it is documented", f.name)
		}
	}
	if n := strings.Count(written, "# TYPE "); n != len(families) {
		t.Errorf("%d metrics are written and %d are documented", n, len(families))
	}
}

// sameTable compares a table with the one in docs/METRICS.md that begins so.
func sameTable(t *testing.T, begin, table string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatalf("%s has no table that begins with %s", page, begin)
	}
	same(t, page, head+table+"\n"+tail)
}
