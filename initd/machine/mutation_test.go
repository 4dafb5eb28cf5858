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

// mutate says whether TestMutations has its turn.
var mutate = true

// TestMutations shows that the simulation can fail: each of these defects is
// put into a copy of the machine, and the simulation has to find it.
func TestMutations(t *testing.T) {
	if testing.Short() || !mutate {
		t.Skip("builds the tests anew for each mutation, and not with -short or -race")
	}
	mutations := []struct {
		name, file, old, new string
	}{
		{"old worker stopped in the trial", "life.go",
			"if m.serving() != nil && m.timing.KillOldDelay > 0 {", "if false && m.serving() != nil {"},
		{"old worker stopped for one that was killed", "life.go",
			"if m.allReady(g) && (m.serving() == nil || m.due(g.trialAt)) {",
			"if m.serving() == nil || m.due(g.trialAt) {"},
		{"old worker stopped before all slots are ready", "pool.go",
			"w == nil || w.state != ready {\n\t\t\t\treturn false", "w == nil || w.state < running {\n\t\t\t\treturn false"},
		{"ready worker killed for another one's failure", "life.go",
			"p.worker.state != ready && !m.ripe(p.worker)", "true"},
		{"HUP dropped", "machine.go",
			"\t\tm.request(OnSignal)\n", "\t\tif m.candidate() == nil {\n\t\t\tm.request(OnSignal)\n\t\t}\n"},
		{"request dropped by a loss", "life.go",
			"\t\tm.request(OnLoss)\n", ""},
		{"two swaps at once", "life.go",
			"m.wish.ticket == 0 || m.candidate() != nil || m.hooks", "m.wish.ticket == 0 || m.hooks"},
		{"drain-timeout ignored", "life.go",
			"after(m.now, m.policy.DrainTimeout)", "after(m.now, m.policy.DrainTimeout/2)"},
		{"stop-timeout ignored", "life.go",
			"terminating, after(m.now, m.policy.StopTimeout)", "terminating, m.now"},
		{"start after a stop", "machine.go",
			"g.state != Preparing || m.phase != operating {", "g.state != Preparing {"},
		{"request after initd has given up", "ticket.go",
			"\tif m.phase != operating {\n\t\treturn 0\n\t}\n", ""},
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
		{"logger started again at once", "attendant.go",
			"a.startAt = a.started.Add(m.policy.backoff(a.failures))", "a.startAt = m.now"},
		{"given up and not in the view", "life.go",
			"time.Time{}\n\t\tm.swappedAt, m.gaveUp = m.now, g.number", "time.Time{}\n\t\tm.swappedAt = m.now"},
		{"worker on trial not published", "view.go",
			"return Trial <= g.state &&", "return Trial < g.state &&"},
		{"watchdog not fed", "machine.go",
			"\t\tw.heard = m.now\n", ""},
		{"max-workers counts no worker that leaves", "pool.go",
			"n += len(g.leaving)", "n += 0"},
		{"busy worker's slot closed", "pool.go",
			"return m.now.Add(1) // busy", "return time.Time{}"},
		{"slot closed that has come to be missed", "pool.go",
			"return !m.accepts(number)", "return true"},
		{"slot closed without a grace", "survey.go",
			"!asked.Before(s.closing.Add(steerGrace))", "true"},
		{"connections steered to what is being closed", "pool.go",
			"to := s.stays() && (", "to := s.open && ("},
		{"surge ignored", "life.go",
			"if size == 0 || m.serving() == nil {", "if true {"},
		{"next batch before there is room", "life.go",
			"if m.policy.Surge > 0 && other.state <= Partial && len(other.leaving) > 0 {", "if other == nil {"},
		{"failed batch takes the others with it", "life.go",
			"if m.pool.owned(g.number) != \"\" {", "if false {"},
		{"slot of a failed swap left empty", "life.go",
			"\t\tm.giveBack(g, w.slot, next)\n", ""},
		{"served slot fails the attempt", "life.go",
			"(g.places[w.slot].called || !m.hadSettled(w))", "(true || g.places[w.slot].called)"},
		{"old generation replaced while it shares the slots", "life.go",
			"g.isCandidate(), m.pool.shared():", "g.isCandidate():"},
		{"recycled during a swap", "recycle.go",
			"m.wish.ticket != 0 || m.candidate() != nil ||", "m.wish.ticket != 0 ||"},
		{"two recycled at once", "recycle.go",
			"if g.places[slot].successor != nil {", "if g.places[slot].successor != nil && slot > 9 {"},
		{"replacements do not back off", "recycle.go",
			"w.started.Add(m.policy.backoff(m.recycling.failures))", "m.now"},
		{"successor left beside a swap", "life.go",
			"\tm.cancelSuccessor()\n", ""},
		{"starting workers not counted", "survey.go",
			"m.policy.MinIdle-idle-starting,", "m.policy.MinIdle-idle,"},
		{"grown for a queue seen once", "survey.go",
			"if p.waits > 1", "if p.waits > 0"},
		{"grown while workers fail", "survey.go",
			"if size <= p.size || m.failures > 0 {", "if size <= p.size {"},
		{"grown beyond max-workers", "survey.go",
			"min(p.size+min(need, p.step), max(m.policy.MaxWorkers, p.base))", "p.size+min(need, p.step)"},
		{"shrunk without patience", "survey.go",
			"m.now.Sub(p.surplus) >= p.patience && m.candidate() == nil", "m.candidate() == nil"},
		{"never shrunk while workers fail", "survey.go",
			"starting > 0 && m.failures == 0", "starting > 0"},
		{"recycled before the last one of the slot is gone", "recycle.go",
			"isClosing() || g.isCrowded(slot)", "isClosing() || g.forking(slot) != nil"},
		{"shrunk during a swap", "survey.go",
			">= p.patience && m.candidate() == nil", ">= p.patience"},
		{"no more patience with a load that comes and goes", "survey.go",
			"p.patience = min(2*p.patience, maxPatience)", "p.patience = patience"},
		{"two surveys at once", "survey.go",
			"every == 0 || !m.survey.askedAt.IsZero() ||", "every == 0 ||"},
		{"sample of the pid's last owner believed", "survey.go",
			"w != nil && w.started.Before(asked) &&", "w != nil &&"},
		{"told of gone clients again and again", "survey.go",
			"w.forsaken == 2", "w.forsaken >= 2"},
		{"TTIN beyond max-workers", "pool.go",
			"base = min(base, max(m.policy.MaxWorkers, p.base))", ""},
		{"before-swap's refusal ignored", "hook.go",
			"case failure != \"\":\n\t\t\tm.refuse(", "case false:\n\t\t\tm.refuse("},
		{"hook-timeout ignored", "hook.go",
			"m.hooks[h].runs && m.due(m.hooks[h].until)", "false"},
		{"after-swap not told of the latest", "hook.go",
			"\t\th.next = []RunHook{a}\n", ""},
		{"workers told to end before before-shutdown is over", "machine.go",
			"!m.hooks[BeforeShutdown].runs && (m.workers()", "(m.workers()"},
		{"attempt before after-init has succeeded", "life.go",
			" || m.hooks[AfterInit].runs", ""},
		{"change dropped during an attempt", "watch.go",
			"if m.phase != operating ||", "if m.candidate() != nil || m.phase != operating ||"},
		{"swap waits for changes without end", "watch.go",
			"m.due(quiet) || m.due(limit)", "m.due(quiet) || false && m.due(limit)"},
		{"two swaps of one update", "life.go",
			"m.trying, m.wish, m.watch = m.wish, wish{}, debounce{}", "m.trying, m.wish = m.wish, wish{}"},
		{"request during an attempt shares its ticket", "ticket.go",
			"\tm.ticket++\n", "\tif m.trying.ticket == 0 {\n\t\tm.ticket++\n\t}\n"},
		{"request during a back-off shares the ticket that has failed", "ticket.go",
			"m.wish.ticket != 0 && !m.wish.failed {", "m.wish.ticket != 0 {"},
		{"trigger of the last request counts", "ticket.go",
			"!m.wish.failed {\n", "!m.wish.failed {\n\t\tm.wish.trigger = t\n"},
		{"superseded retry not told", "ticket.go",
			"\tm.supersede(&retry)\n", "\t_ = retry\n"},
		{"retry takes the place of a newer request", "ticket.go",
			"if m.wish.ticket != 0 {\n\t\tm.supersede", "if false {\n\t\tm.supersede"},
		{"retry has the last ticket that was given", "ticket.go",
			"\tm.wish.failed = true\n", "\tm.wish.failed, m.wish.ticket = true, m.ticket+1\n"},
		{"ticket left open by a stop", "life.go",
			"\t\tm.stopTickets(stops)\n", ""},
		{"ticket left open by initd's own end", "life.go",
			"\tm.stopTickets(reason)\n", ""},
		{"ticket ready with its first batch", "life.go",
			"\tm.enter(g, Starting, \"\")\n\tm.dismiss()\n",
			"\tm.tell(&m.trying, Outcome{Result: OutcomeReady, Generation: g.number})\n\tm.enter(g, Starting, \"\")\n\tm.dismiss()\n"},
		{"given up, and told to be tried again", "life.go",
			"Result: OutcomeGivenUp, Generation: g.number,", "Result: OutcomeFailed, Generation: g.number,"},
		{"swap asked while initd stops", "command.go",
			"\tcase m.phase != operating:\n\t\ta.Refusal = stops\n\tcase m.policy.Respawn == Never:\n\t\ta.Refusal = neverSwaps\n",
			"\tcase m.policy.Respawn == Never:\n\t\ta.Refusal = neverSwaps\n"},
		{"plain init stopped instead of its command", "command.go",
			"case m.policy.Respawn == Never && m.phase == operating:", "case false:"},
		{"scaled beyond max-workers", "command.go",
			"most > 0 && e.Workers > most", "false"},
		{"signal to all slots", "command.go",
			"(e.Slot == -1 || e.Slot == w.slot)", "true"},
		{"signal to workers that were killed", "life.go",
			"running <= w.state && w.state < killed && to(g, w)", "running <= w.state && to(g, w)"},
		{"KILL forwarded", "command.go",
			"\tKILL: \"a worker is killed by initd, when a limit such as drain-timeout is over\",\n", ""},
		{"companion started when orphans are ended", "attendant.go",
			"if m.phase < orphaned {", "if true {"},
		{"companion left running at the exit", "life.go",
			"\t\tm.stopCompanion()\n", ""},
		{"worker that is being started published", "view.go",
			"g.isCandidate() && !g.place(w.slot).called", "g.isCandidate()"},
		{"worker that is no process published", "view.go",
			"if w.pid != 0 && m.isPublic(g, w) &&", "if m.isPublic(g, w) &&"},
		{"idle beside an old generation", "view.go",
			"len(m.generations) == 1 && m.serving() != nil", "m.serving() != nil"},
		{"idle with a request that waits", "view.go",
			"m.wish.ticket == 0 && len(m.generations) == 1", "len(m.generations) == 1"},
		{"idle while not all are ready", "view.go",
			"m.isWhole(m.serving())", "true"},
		{"refused and not in the view", "life.go",
			"m.swappedAt, m.gaveUp = m.now, g.number\n\t\tm.do(", "m.swappedAt = m.now\n\t\tm.do("},
		{"reloading without a candidate", "view.go",
			"case m.candidate() != nil:\n\t\treturn Reloading", "case len(m.generations) > 1:\n\t\treturn Reloading"},
		{"view of a back-off that is over", "view.go",
			"m.wish.ticket != 0 && m.candidate() == nil", "m.wish.ticket != 0"},
		{"view of a worker that has lost its slot", "view.go",
			"g.places[w.slot].worker == w && (g.state", "(g.state"},
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
			run := exec.Command("go", "test", "-overlay="+overlaid, "-vet=off", "-count=1", "-timeout=5m",
				"-run=^TestSimulation$", ".", "-schedules=20000", "-brief")
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
