package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const grafana = "../../../../deploy/grafana/"

// rules is what a file of rules has, for Prometheus.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func readAlerts(t *testing.T) (alerts []rule) {
	t.Helper()
	file, err := os.Open(grafana + "alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var all rules
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	for _, g := range all.Groups {
		alerts = append(alerts, g.Rules...)
	}
	return alerts
}

// An expression is one in PromQL, and where it stands.
type expression struct{ where, text string }

// readDashboard returns what the dashboard asks Prometheus, and its text.
func readDashboard(t *testing.T) (asked []expression, text []byte) {
	t.Helper()
	text, err := os.ReadFile(grafana + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
		Annotations struct {
			List []struct{ Name, Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %s asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			asked = append(asked, expression{"panel " + p.Title, target.Expr})
		}
	}
	for _, a := range d.Annotations.List {
		asked = append(asked, expression{"annotation " + a.Name, a.Expr})
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		query, ok := strings.CutPrefix(v.Definition, "label_values(")
		query, _, found := strings.Cut(query, ", "+v.Name+")")
		if !ok || !found {
			t.Errorf("the variable %s is %s", v.Name, v.Definition)
		}
		asked = append(asked, expression{"variable " + v.Name, query})
	}
	return asked, text
}

var (
	quoted   = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	matchers = regexp.MustCompile(`\{[^{}]*\}`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)`)
	ranges   = regexp.MustCompile(`\[[^\[\]]*\]`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)`)
	words    = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)

	// What may stand in an expression besides the names of metrics.
	language = []string{"and", "or", "unless", "sum", "max", "count", "rate", "increase", "changes"}
	// What every scrape adds to the labels of a metric.
	scraped = []string{"job", "instance"}
)

// understand returns the metrics that an expression asks for, and complains of
// what Write does not write: metrics, and labels of them.
func understand(t *testing.T, e expression, written map[string]family) (names []string) {
	t.Helper()
	text := quoted.ReplaceAllString(e.text, `""`)
	labels := scraped
	for _, w := range words.FindAllString(grouping.ReplaceAllString(matchers.ReplaceAllString(ranges.ReplaceAllString(text, ""), ""), ""), -1) {
		f, isMetric := written[w]
		switch {
		case isMetric:
			names = append(names, f.name)
			if f.label != "" {
				labels = append(labels, f.label)
			}
		case !slices.Contains(language, w):
			t.Errorf("%s asks for %s, which is not written: %s", e.where, w, e.text)
		}
	}
	if len(names) == 0 {
		t.Errorf("%s asks for no metric: %s", e.where, e.text)
	}
	var used []string
	for _, m := range matchers.FindAllString(text, -1) {
		for _, pair := range matcher.FindAllStringSubmatch(m, -1) {
			used = append(used, pair[1])
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(text, -1) {
		used = append(used, words.FindAllString(g[2], -1)...)
	}
	for _, label := range used {
		if !slices.Contains(labels, label) {
			t.Errorf("%s asks for the label %s, which is not written: %s", e.where, label, e.text)
		}
	}
	// A value that a label never has finds nothing.
	for _, m := range regexp.MustCompile(`(state|outcome|reason)="([^"]*)"`).FindAllStringSubmatch(e.text, -1) {
		known := slices.Concat(states, outcomes, workerStates, generationStates, []string{"asked", "died"})
		if !slices.Contains(known, m[2]) {
			t.Errorf("%s asks for the %s %s, which is not written: %s", e.where, m[1], m[2], e.text)
		}
	}
	return names
}

// TestDeployed: what the dashboard and the alerts ask for is what is written.
func TestDeployed(t *testing.T) {
	written := map[string]family{}
	for line := range strings.Lines(write(t, rich())) {
		if name, _, _ := strings.Cut(strings.Fields(line)[0], "{"); name != "#" {
			for _, f := range families {
				if name == f.name || f.kind == summary && (name == f.name+"_sum" || name == f.name+"_count") {
					written[name] = f
				}
			}
		}
	}
	asked, text := readDashboard(t)
	for _, a := range readAlerts(t) {
		asked = append(asked, expression{"alert " + a.Alert, a.Expr})
		for _, name := range []string{"summary", "description", "runbook"} {
			if len(a.Annotations[name]) < 20 {
				t.Errorf("%s has the %s %q", a.Alert, name, a.Annotations[name])
			}
			for _, metric := range regexp.MustCompile(`initd_\w+`).FindAllString(a.Annotations[name], -1) {
				if _, ok := written[metric]; !ok {
					t.Errorf("%s speaks of %s", a.Alert, metric)
				}
			}
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
	}
	var used []string
	for _, e := range asked {
		used = append(used, understand(t, e, written)...)
	}
	// The rest is told for whoever asks.
	spared := []string{"initd_live", "initd_started", "initd_generations", "initd_last_swap_timestamp_seconds", "initd_flapping_since_timestamp_seconds",
		"initd_next_attempt_timestamp_seconds", "initd_attempts_total", "initd_listener_queue_bytes"}
	for _, f := range families {
		if slices.Contains(used, f.name) == slices.Contains(spared, f.name) {
			t.Errorf("%s is used: %v", f.name, slices.Contains(used, f.name))
		}
	}
	// A dashboard that was exported is tied to one data source.
	for _, uid := range regexp.MustCompile(`"uid": "([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		if uid[1] != "${datasource}" && uid[1] != "initd" {
			t.Errorf("the dashboard has the data source %s", uid[1])
		}
	}
}

// TestPanels: panels have numbers of their own, and none covers another.
func TestPanels(t *testing.T) {
	_, text := readDashboard(t)
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for i, p := range d.Panels {
		a := p.GridPos
		if a.W < 1 || a.H < 1 || a.X < 0 || a.X+a.W > 24 {
			t.Errorf("%s does not fit: %+v", p.Title, a)
		}
		for _, q := range d.Panels[:i] {
			b := q.GridPos
			if p.ID == q.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s and %s are one, or overlap", p.Title, q.Title)
			}
		}
	}
}

// TestPromtool has Prometheus' own tool parse everything and play the alerts.
func TestPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("INITD_REQUIRE_DOCKER") != "" {
			t.Fatalf("INITD_REQUIRE_DOCKER is set: rules are checked by promtool (Debian's package prometheus): %v", err)
		}
		t.Skipf("rules are checked by promtool (Debian's package prometheus): %v", err)
	}
	promtool := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	promtool("check", "rules", grafana+"alerts.yaml")
	promtool("test", "rules", grafana+"alerts_test.yaml")

	// What the dashboard asks is no rule, but parsed as one.
	asked, _ := readDashboard(t)
	var all rules
	all.Groups = append(all.Groups, struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}{Name: "dashboard"})
	for i, e := range asked {
		text := strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$job", ".*", "$instance", ".*").Replace(e.text)
		all.Groups[0].Rules = append(all.Groups[0].Rules, rule{Alert: fmt.Sprintf("A%d", i), Expr: text})
	}
	text, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, text, 0o666); err != nil {
		t.Fatal(err)
	}
	promtool("check", "rules", file)

	// Each alert is seen to come.
	played, err := os.ReadFile(grafana + "alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range readAlerts(t) {
		if !strings.Contains(string(played), a.Alert) {
			t.Errorf("%s is never played", a.Alert)
		}
	}
}

// TestAlertsDocumented keeps the table of alerts in docs/METRICS.md.
func TestAlertsDocumented(t *testing.T) {
	var table strings.Builder
	table.WriteString("| Alert | Severity | When | For |\n|---|---|---|---|\n")
	for _, a := range readAlerts(t) {
		fmt.Fprintf(&table, "| %s | %s | `%s` | %s |\n", a.Alert, a.Labels["severity"], strings.Join(strings.Fields(a.Expr), " "), a.For)
	}
	sameTable(t, "| Alert |", table.String())
}
