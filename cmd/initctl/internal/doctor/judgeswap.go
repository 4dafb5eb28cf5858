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
		f.add(warning, "requests", "%d of %d were lost before any swap: %s", n, n+r.before.done, reasons(r.before))
	}
	r.judgeReplacement(f)
	r.judgeRequests(f)
	if len(r.left) > 0 {
		f.add(warning, "leftover", "processes of the old one are left: %s", list(r.left))
	}
	if r.both > 0 {
		f.add(good, "memory", "%s alone, %s while there are two", megabytes(r.alone), megabytes(r.both))
		if r.limit > 0 && r.limit < r.both+r.both/10 {
			f.add(warning, "memory", "the container's limit of %s leaves no room for two", megabytes(r.limit))
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
		f.add(problem, "swap", "a second one beside it did not become ready: %s", cmp.Or(second.status, second.failed, "it took too long"))
		return
	case !r.swapped && second.ended > 0:
		f.add(problem, "swap", "the second one ended by itself beside the first: %s", second.status)
		return
	case first.stop == 0:
		f.add(problem, "swap", "the first one ended by itself when a second was started: %s", first.status)
		return
	}
	f.add(good, "swap", "a second one beside it was ready after %v", brief(second.ready-second.started))
	took := brief(first.ended - first.stop)
	signal := cmp.Or(first.signal, machine.Signal(r.settings.SignalOnHUP).String())
	switch {
	case first.killed != "":
		f.add(problem, signal, "it does not end at %s, and was killed after %v", signal, took)
		f.suggest(variable("drain-timeout", "30"))
		f.suggest(variable("stop-timeout", "8"))
	case first.status == "signal "+signal:
		f.add(warning, signal, "%s kills it at once: it finishes no request that is under way", signal)
	default:
		busy := ""
		if r.held {
			busy = fmt.Sprintf(", %v of which it was kept busy", holdTime)
		}
		f.add(good, signal, "it ended %v after %s%s: %s", took, signal, busy, first.status)
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
		f.add(problem, "stop", "initd did not end after it was told to")
	case second.killed != "":
		f.add(problem, "stop", "it does not end at %s, and was killed after %v", second.signal, took)
		f.suggest(variable("stop-timeout", "8"))
	default:
		f.add(good, "stop", "it ended %v after %s: %s", took, second.signal, second.status)
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
