package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"server-starter/initd/machine"
)

// drains reports whether a worker ends as it should: by itself, and not before
// it has answered.
func (r *record) drains() bool {
	return r.during.losses() == 0 && r.first.killed == "" && r.first.ended > 0
}

// answered reports whether any client was answered.
func (r *record) answered() bool {
	return slices.ContainsFunc(r.targets, func(t *target) bool { return t.answered > 0 })
}

func (r *record) judgeSwap(f *findings) {
	if n := r.before.losses(); n > 0 {
		f.add(warning, "requests", "%d of %d were lost before the swap: %s", n, n+r.before.done, reasons(r.before))
	}
	r.judgeReplacement(f)
	r.judgeRequests(f)
	if len(r.left) > 0 {
		f.add(warning, "leftover", "processes of the old instance are still running: %s", list(r.left))
	} else if len(r.orphans) > 0 {
		f.add(warning, "leftover", "leaves processes behind when it exits, which initd then stops: %s", list(r.orphans))
	}
	if r.both > 0 {
		f.add(good, "memory", "%s for one instance, %s for two", megabytes(r.alone), megabytes(r.both))
		if r.limit > 0 && r.limit < r.both+r.both/10 {
			f.add(warning, "memory", "the container's limit of %s is too low for two instances", megabytes(r.limit))
		}
	}
	if r.swapped {
		r.judgeStop(f)
	}
}

// judgeReplacement is about the second worker beside the first, and about the end
// of the first.
func (r *record) judgeReplacement(f *findings) {
	first, second := r.first, r.second
	switch {
	case second.ready == 0:
		f.add(problem, "swap", "a second instance did not become ready: %s", cmp.Or(second.status, second.failed, "timed out"))
		return
	case !r.swapped && second.ended > 0:
		f.add(problem, "swap", "the second instance exited while the first was running: %s", second.status)
		return
	case first.stop == 0:
		f.add(problem, "swap", "the first instance exited when the second was started: %s", first.status)
		return
	}
	f.add(good, "swap", "a second instance was ready after %v", brief(second.ready-second.started))
	took := brief(first.ended - first.stop)
	signal := cmp.Or(first.signal, machine.Signal(r.settings.SignalOnHUP).String())
	switch {
	case first.status == "signal "+signal && len(r.servers) > 0:
		f.add(problem, signal, "ends only the command, not the server that it started: %s; if the command is a shell script, let it start the server with exec", list(r.servers))
	case first.killed != "":
		f.add(problem, signal, "does not exit on %s, and was killed after %v", signal, took)
		f.suggest(variable("drain-timeout", "30"))
		f.suggest(variable("stop-timeout", "8"))
	case first.status == "signal "+signal:
		f.add(warning, signal, "does not handle %s, which kills it: requests in progress are lost", signal)
	default:
		busy := ""
		if r.held {
			busy = fmt.Sprintf(" (%v spent on an open request)", holdTime)
		}
		f.add(good, signal, "exited %v after %s%s: %s", took, signal, busy, first.status)
	}
}

func (r *record) judgeRequests(f *findings) {
	if n := r.during.losses(); n > 0 {
		f.add(problem, "requests", "%d of %d were lost during the swap: %s", n, n+r.during.done, reasons(r.during))
	} else if r.answered() && r.swapped {
		f.add(good, "requests", "%d answered during the swap, none lost", r.during.done)
	} else if r.during.done > 0 {
		f.add(good, "requests", "%d connections during the swap, none refused", r.during.done)
	}
}

func (r *record) judgeStop(f *findings) {
	second := r.second
	took := brief(second.ended - second.stop)
	switch {
	case !r.stopped:
		f.add(problem, "stop", "initd did not exit after it was asked to stop")
	case second.killed != "":
		f.add(problem, "stop", "does not exit on %s, and was killed after %v", second.signal, took)
		f.suggest(variable("stop-timeout", "8"))
	default:
		f.add(good, "stop", "exited %v after %s: %s", took, second.signal, second.status)
	}
}

func list(processes []process) string {
	var all []string
	for _, p := range processes {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}

// reasons are those of the losses, with how many each.
func reasons(t tally) string {
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(t.lost)) {
		all = append(all, fmt.Sprintf("%s (%d)", reason, t.lost[reason]))
	}
	return strings.Join(all, ", ")
}

func brief(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

func megabytes(bytes int) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
