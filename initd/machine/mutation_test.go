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
		{"old worker stopped in the trial", "attempt.go",
			"if m.serving() != nil && m.timing.KillOldDelay > 0 {", "if false && m.serving() != nil {"},
		{"old worker stopped for one that was killed", "attempt.go",
			"if m.allReady(g) && (m.serving() == nil || m.due(g.trialAt)) {",
			"if m.serving() == nil || m.due(g.trialAt) {"},
		{"old worker stopped before all slots are ready", "pool.go",
			"w == nil || w.state != ready {\n\t\t\t\treturn false", "w == nil || w.state < running {\n\t\t\t\treturn false"},
		{"ready worker killed for another one's failure", "failure.go",
			"p.worker.state != ready && !m.livesLongEnough(p.worker)", "true"},
		{"HUP dropped", "machine.go",
			"\t\tm.request(OnSignal)\n", "\t\tif m.candidate() == nil {\n\t\t\tm.request(OnSignal)\n\t\t}\n"},
		{"request dropped by a loss", "loss.go",
			"\t\tm.request(OnLoss)\n", ""},
		{"two swaps at once", "attempt.go",
			"m.waiting.ticket == 0 || m.candidate() != nil || m.hooks", "m.waiting.ticket == 0 || m.hooks"},
		{"drain-timeout ignored", "stop.go",
			"after(m.now, m.policy.DrainTimeout)", "after(m.now, m.policy.DrainTimeout/2)"},
		{"stop-timeout ignored", "shutdown.go",
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
		{"log command started again at once", "service.go",
			"s.startAt = s.started.Add(m.policy.backoff(s.failures))", "s.startAt = m.now"},
		{"given up and not in the view", "failure.go",
			"time.Time{}\n\t\tm.swappedAt, m.gaveUp = m.now, g.number", "time.Time{}\n\t\tm.swappedAt = m.now"},
		{"worker on trial not published", "view.go",
			"return Trial <= g.state &&", "return Trial < g.state &&"},
		{"watchdog not fed", "machine.go",
			"\t\tw.lastPing = m.now\n", ""},
		{"max-workers counts no worker that leaves", "pool.go",
			"n += len(g.leaving)", "n += 0"},
		{"busy worker's slot closed", "pool.go",
			"return m.now.Add(1) // busy", "return time.Time{}"},
		{"slot closed that has come to be missed", "pool.go",
			"return !m.accepts(number)", "return true"},
		{"slot closed without a grace", "survey.go",
			"!asked.Before(s.closing.Add(steerGrace))", "true"},
		{"connections steered to what is being closed", "pool.go",
			"to := s.staysOpen() && (", "to := s.open && ("},
		{"surge ignored", "batch.go",
			"if size == 0 || m.serving() == nil {", "if true {"},
		{"next batch before there is room", "batch.go",
			"if m.policy.Surge > 0 && other.state <= Partial && len(other.leaving) > 0 {", "if other == nil {"},
		{"failed batch takes the others with it", "failure.go",
			"if m.pool.owned(g.number) != \"\" {", "if false {"},
		{"slot of a failed swap left empty", "loss.go",
			"\t\tm.giveBack(g, w.slot, next)\n", ""},
		{"served slot fails the attempt", "loss.go",
			"(g.places[w.slot].inBatch || !m.wasStable(w))", "(true || g.places[w.slot].inBatch)"},
		{"old generation replaced while it shares the slots", "loss.go",
			"g.isCandidate(), m.pool.shared():", "g.isCandidate():"},
		{"recycled during a swap", "recycle.go",
			"m.waiting.ticket != 0 || m.candidate() != nil ||", "m.waiting.ticket != 0 ||"},
		{"two recycled at once", "recycle.go",
			"if g.places[slot].replacement != nil {", "if g.places[slot].replacement != nil && slot > 9 {"},
		{"replacements do not back off", "recycle.go",
			"w.started.Add(m.policy.backoff(m.recycling.failures))", "m.now"},
		{"replacement left beside a swap", "attempt.go",
			"\tm.cancelReplacements()\n", ""},
		{"starting workers not counted", "survey.go",
			"m.policy.MinIdle-idle-starting,", "m.policy.MinIdle-idle,"},
		{"grown for a queue seen once", "survey.go",
			"if p.waits > 1", "if p.waits > 0"},
		{"grown while workers fail", "survey.go",
			"if size <= p.size || m.failures > 0 {", "if size <= p.size {"},
		{"grown beyond max-workers", "survey.go",
			"min(p.size+min(need, p.step), max(m.policy.MaxWorkers, p.base))", "p.size+min(need, p.step)"},
		{"shrunk at once", "survey.go",
			"m.now.Sub(p.surplus) >= p.shrinkAfter && m.candidate() == nil", "m.candidate() == nil"},
		{"never shrunk while workers fail", "survey.go",
			"starting > 0 && m.failures == 0", "starting > 0"},
		{"recycled before the last one of the slot is gone", "recycle.go",
			"isClosing() || g.hasSecondWorker(slot)", "isClosing() || g.forking(slot) != nil"},
		{"shrunk during a swap", "survey.go",
			">= p.shrinkAfter && m.candidate() == nil", ">= p.shrinkAfter"},
		{"shrunk as soon as ever under a load that comes and goes", "survey.go",
			"p.shrinkAfter = min(2*p.shrinkAfter, maxShrinkAfter)", "p.shrinkAfter = minShrinkAfter"},
		{"two surveys at once", "survey.go",
			"every == 0 || !m.survey.askedAt.IsZero() ||", "every == 0 ||"},
		{"sample of the pid's last owner believed", "survey.go",
			"w != nil && w.started.Before(asked) &&", "w != nil &&"},
		{"signal for gone clients sent again and again", "survey.go",
			"w.clientsGone == 2", "w.clientsGone >= 2"},
		{"TTIN beyond max-workers", "pool.go",
			"base = min(base, max(m.policy.MaxWorkers, p.base))", ""},
		{"before-swap's refusal ignored", "hook.go",
			"case failure != \"\":\n\t\t\tm.refuse(", "case false:\n\t\t\tm.refuse("},
		{"hook-timeout ignored", "hook.go",
			"m.hooks[h].runs && m.due(m.hooks[h].until)", "false"},
		{"after-swap does not run for the latest", "hook.go",
			"\t\th.next = []RunHook{a}\n", ""},
		{"workers asked to end before before-shutdown is over", "machine.go",
			"!m.hooks[BeforeShutdown].runs && (m.workers()", "(m.workers()"},
		{"attempt before after-init has succeeded", "attempt.go",
			" || m.hooks[AfterInit].runs", ""},
		{"change dropped during an attempt", "watch.go",
			"if m.phase != operating ||", "if m.candidate() != nil || m.phase != operating ||"},
		{"swap waits for changes without end", "watch.go",
			"m.due(quiet) || m.due(limit)", "m.due(quiet) || false && m.due(limit)"},
		{"two swaps of one update", "attempt.go",
			"m.current, m.waiting, m.watch = m.waiting, request{}, debounce{}", "m.current, m.waiting = m.waiting, request{}"},
		{"request during an attempt shares its ticket", "ticket.go",
			"\tm.ticket++\n", "\tif m.current.ticket == 0 {\n\t\tm.ticket++\n\t}\n"},
		{"request during a back-off shares the ticket that has failed", "ticket.go",
			"m.waiting.ticket != 0 && !m.waiting.failed {", "m.waiting.ticket != 0 {"},
		{"trigger of the last request counts", "ticket.go",
			"!m.waiting.failed {\n", "!m.waiting.failed {\n\t\tm.waiting.trigger = t\n"},
		{"superseded retry not reported", "ticket.go",
			"\tm.supersede(&retry)\n", "\t_ = retry\n"},
		{"retry takes the place of a newer request", "ticket.go",
			"if m.waiting.ticket != 0 {\n\t\tm.supersede", "if false {\n\t\tm.supersede"},
		{"retry has the last ticket that was given", "ticket.go",
			"\tm.waiting.failed = true\n", "\tm.waiting.failed, m.waiting.ticket = true, m.ticket+1\n"},
		{"ticket left open by a stop", "shutdown.go",
			"\t\tm.stopTickets(stops)\n", ""},
		{"ticket left open by initd's own end", "shutdown.go",
			"\tm.stopTickets(reason)\n", ""},
		{"ticket ready with its first batch", "batch.go",
			"\tm.enter(g, Starting, \"\")\n\tm.stopUnneeded()\n",
			"\tm.decided(&m.current, Outcome{Result: OutcomeReady, Generation: g.number})\n\tm.enter(g, Starting, \"\")\n\tm.stopUnneeded()\n"},
		{"given up, and reported to be tried again", "failure.go",
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
		{"signal to workers that were killed", "forward.go",
			"running <= w.state && w.state < killed && to(g, w)", "running <= w.state && to(g, w)"},
		{"KILL forwarded", "command.go",
			"\tKILL: \"a worker is killed by initd, when a limit such as drain-timeout is over\",\n", ""},
		{"HTTP process started when orphans are ended", "service.go",
			"if m.phase < orphaned {", "if true {"},
		{"HTTP process left running at the exit", "shutdown.go",
			"\t\tm.stopHTTP()\n", ""},
		{"worker that is being started published", "view.go",
			"g.isCandidate() && !g.place(w.slot).inBatch", "g.isCandidate()"},
		{"worker that is no process published", "view.go",
			"if w.pid != 0 && m.isPublic(g, w) &&", "if m.isPublic(g, w) &&"},
		{"idle beside an old generation", "view.go",
			"len(m.generations) == 1 && m.serving() != nil", "m.serving() != nil"},
		{"idle with a request that waits", "view.go",
			"m.waiting.ticket == 0 && len(m.generations) == 1", "len(m.generations) == 1"},
		{"idle while not all are ready", "view.go",
			"m.isComplete(m.serving())", "true"},
		{"refused and not in the view", "failure.go",
			"m.swappedAt, m.gaveUp = m.now, g.number\n\t\tm.do(", "m.swappedAt = m.now\n\t\tm.do("},
		{"reloading without a candidate", "view.go",
			"case m.candidate() != nil:\n\t\treturn Reloading", "case len(m.generations) > 1:\n\t\treturn Reloading"},
		{"view of a back-off that is over", "view.go",
			"m.waiting.ticket != 0 && m.candidate() == nil", "m.waiting.ticket != 0"},
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
