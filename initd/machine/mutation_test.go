package machine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMutations shows that the simulation can fail: each of these defects is
// put into a copy of the machine, and the simulation has to find it.
func TestMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the tests anew for each mutation")
	}
	mutations := []struct {
		name, file, old, new string
	}{
		{"old worker stopped in the trial", "life.go",
			"if m.serving() != nil && m.timing.KillOldDelay > 0 {", "if false {"},
		{"old worker stopped for one that was killed", "life.go",
			"if g.allReady() && (m.serving() == nil || m.due(g.readyAt.Add(m.timing.KillOldDelay))) {",
			"if m.serving() == nil || m.due(g.readyAt.Add(m.timing.KillOldDelay)) {"},
		{"old worker stopped before all slots are ready", "generation.go",
			"if w == nil || w.state != ready {", "if w == nil || w.state < running {"},
		{"HUP dropped", "machine.go",
			"m.wanted = m.wanted || m.phase == operating", "m.wanted = m.wanted || m.phase == operating && m.candidate() == nil"},
		{"request dropped by a loss", "life.go",
			"m.wanted, m.notBefore, a.Next = true, next, wait", "m.notBefore, a.Next = next, wait"},
		{"two swaps at once", "life.go",
			"|| !m.wanted || m.candidate() != nil {", "|| !m.wanted {"},
		{"drain-timeout ignored", "life.go",
			"after(m.now, m.policy.DrainTimeout)", "after(m.now, m.policy.DrainTimeout/2)"},
		{"stop-timeout ignored", "life.go",
			"terminating, after(m.now, m.policy.StopTimeout)", "terminating, m.now"},
		{"start after a stop", "machine.go",
			"g.state != Preparing || m.phase != operating {", "g.state != Preparing {"},
		{"attempt after initd has given up", "life.go",
			"if m.phase != operating || !m.wanted ||", "if !m.wanted ||"},
		{"deadline not cleared", "machine.go",
			"\t\tm.deadline = time.Time{}\n", ""},
		{"deadline forgotten", "machine.go",
			"if m.deadline.IsZero() || t.Before(m.deadline) {", "if m.deadline.IsZero() {"},
		{"back-off not reset", "machine.go",
			"\t\tm.failures = 0\n", ""},
		{"back-off does not grow", "policy.go",
			"wait *= 2", "wait *= 1"},
		{"exit with workers alive", "machine.go",
			"if m.workers() == 0 {", "if true {"},
		{"logger started again at once", "logger.go",
			"l.startAt = l.started.Add(m.policy.backoff(l.failures))", "l.startAt = m.now"},
		{"given up and not told", "life.go",
			"m.swappedAt, m.gaveUp = m.now, g.number", "m.swappedAt = m.now"},
		{"worker on trial not told of", "life.go",
			"if g.state < Trial || g.state == Failed {", "if g.state < Serving || g.state == Failed {"},
		{"watchdog not fed", "machine.go",
			"\t\tw.heard = m.now\n", ""},
	}
	source, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`seed \d+: ([IL]\d*): .*`)
	for _, mutation := range mutations {
		t.Run(mutation.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(source, mutation.file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), mutation.old); n != 1 {
				t.Fatalf("%q is %d times in %s", mutation.old, n, mutation.file)
			}
			dir := t.TempDir()
			mutant := filepath.Join(dir, mutation.file)
			text = []byte(strings.Replace(string(text), mutation.old, mutation.new, 1))
			if err := os.WriteFile(mutant, text, 0o666); err != nil {
				t.Fatal(err)
			}
			// go help build: -overlay puts a file in another's place.
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutant}})
			if err != nil {
				t.Fatal(err)
			}
			overlaid := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(overlaid, overlay, 0o666); err != nil {
				t.Fatal(err)
			}
			run := exec.Command("go", "test", "-overlay="+overlaid, "-vet=off", "-count=1", "-timeout=1m",
				"-run=^TestSimulation$", ".", "-schedules=10000", "-brief")
			output, err := run.CombinedOutput()
			if err == nil {
				t.Fatalf("the simulation has not found it:\n%s", output)
			}
			line := found.FindString(string(output))
			if line == "" {
				t.Fatalf("not the simulation has failed:\n%s", output)
			}
			t.Log(line)
		})
	}
}
