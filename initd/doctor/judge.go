package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// A mark is how good a finding is.
type mark string

const (
	good    mark = "ok"
	warning mark = "warning"
	problem mark = "problem"
)

// A finding is a line of the report.
type finding struct {
	mark  mark
	topic string
	text  string
}

// findings are what a record comes to, with the settings that it suggests.
type findings struct {
	all       []finding
	suggested []string
}

// add is called from everywhere, and what is inlined there is to be no bulk.
//
//go:noinline
func (f *findings) add(m mark, topic, format string, values ...any) {
	f.all = append(f.all, finding{m, topic, fmt.Sprintf(format, values...)})
}

// suggest takes a setting, and its value in the form of its variable.
func (f *findings) suggest(setting string) {
	if !slices.Contains(f.suggested, setting) {
		f.suggested = append(f.suggested, setting)
	}
}

// suggestions are the settings that make a plan permanent.
func (p plan) suggestions() (all []string) {
	if p.export != nil {
		all = append(all, variable("export", strings.Join(p.export, ";")))
	}
	if p.signal != 0 {
		name := machine.Signal(p.signal).String()
		all = append(all, variable("signal-on-hup", name), variable("signal-on-term", name))
	}
	return all
}

// variable is a setting as it is to be copied.
func variable(name, value string) string {
	for _, r := range settings.Table() {
		if r.Name == name {
			return r.Variable() + "=" + value
		}
	}
	panic("doctor: no setting " + name)
}

// judge says what is to be thought of a record.
func judge(r *record) findings {
	f := findings{suggested: r.plan.suggestions()}
	r.judgeStart(&f)
	if r.up || len(r.own) > 0 {
		r.judgeSockets(&f)
	}
	if r.lived && r.accepts {
		r.judgeSwap(&f)
	}
	return f
}

func (r *record) judgeStart(f *findings) {
	life := r.first
	after := func(m moment) time.Duration { return brief(m - life.started) }
	switch {
	case life.unstarted != "":
		f.add(problem, "start", "it cannot be executed: %s", life.unstarted)
	case life.started == 0:
		f.add(problem, "start", "initd itself cannot start: %s", strings.TrimPrefix(strings.Join(r.said(), " "), "initd: "))
	case !r.up && life.killed != "":
		f.add(problem, "start", "it was not ready in %v", time.Duration(r.settings.StartTimeout))
		if life.notified == 0 && r.settings.Ready.Value == machine.Notify {
			f.add(problem, "ready", "it sends no READY=1, for which ready=notify waits")
			if r.answers() {
				f.suggest(variable("ready", "auto"))
			}
		}
	case !r.up:
		f.add(problem, "start", "it ended by itself %v after its start, before it was ready: %s", after(life.ended), life.status)
		if life.status == "exit status 0" {
			f.add(problem, "start", "if it has put itself in the background, have it stay in the foreground")
		}
	case !r.lived:
		f.add(problem, "start", "it counted as ready after %v, but ended by itself %v after its start: %s", after(life.ready), after(life.ended), life.status)
	default:
		how := "it has lived for the interval"
		if life.notified > 0 && life.notified <= life.ready {
			how = "READY=1"
		}
		if len(r.settings.Probe) > 0 {
			how += ", and the probe"
		}
		f.add(good, "start", "ready after %v: %s", after(life.ready), how)
	}
	if r.lived {
		r.judgeReadiness(f, after)
	}
}

func (r *record) judgeReadiness(f *findings, after func(moment) time.Duration) {
	life, set := r.first, r.settings
	var answered moment // by the last of its listeners
	for _, t := range r.targets {
		answered = max(answered, t.answered)
	}
	const patience = 100 * time.Millisecond // of whoever comes first
	switch {
	case life.notified > 0 && answered > life.notified+patience:
		f.add(warning, "ready", "it sends READY=1, %v after its start, before it can answer: that took %v", after(life.notified), after(answered))
	case life.notified > 0 && set.Ready.Value != machine.Notify:
		f.add(good, "ready", "it sends READY=1, %v after its start: initd can go by that alone", after(life.notified))
		f.suggest(variable("ready", "notify"))
	case life.notified > 0:
		f.add(good, "ready", "it sends READY=1, %v after its start", after(life.notified))
	case answered > life.ready+patience:
		f.add(warning, "ready", "it sends no READY=1, and counts as ready before it can answer: that took %v", after(answered))
		f.suggest(variable("interval", fmt.Sprint(int(after(answered).Seconds()*1.5)+1)))
	case answered > 0:
		f.add(good, "ready", "it sends no READY=1; its first answer came %v after its start", after(answered))
	default:
		f.add(good, "ready", "it sends no READY=1")
	}
}

func (r *record) judgeSockets(f *findings) {
	var own, refused, taken, unknown []string
	for _, d := range r.own {
		own = append(own, d.String())
	}
	for _, t := range r.targets {
		switch {
		case t.network == "udp":
			unknown = append(unknown, t.key)
		case t.accepted:
			taken = append(taken, t.key)
		default:
			refused = append(refused, t.key)
		}
	}
	ofItsOwn := strings.Join(own, ", ")
	switch {
	case !r.lived && len(own) > 0, len(refused) > 0 && len(own) > 0:
		f.add(problem, "sockets", "it does not take the socket it is handed, but listens by itself: %s", ofItsOwn)
	case !r.lived:
	case len(refused) > 0:
		f.add(problem, "sockets", "nobody accepts on %s: it does not take the socket it is handed", strings.Join(refused, ", "))
	case len(own) > 0:
		f.add(warning, "sockets", "it takes %s, but also listens by itself, which a swap does not cover: %s", strings.Join(taken, ", "), ofItsOwn)
	case len(taken) > 0:
		f.add(good, "sockets", "it accepts on the socket it is handed: %s", strings.Join(taken, ", "))
	case len(r.targets) == 0:
		f.add(good, "sockets", "there is none: give --port or --path if it is a server")
	}
	if len(unknown) > 0 {
		f.add(warning, "sockets", "UDP cannot be judged by connections: %s", strings.Join(unknown, ", "))
	}
	if r.revived {
		f.add(warning, "sockets", "it shuts a listener down for everyone, shutdown(2): connections that wait there are lost")
	}
	if !r.lived || !r.accepts {
		return
	}
	for _, t := range r.targets {
		switch t.manner {
		case http, answers:
			f.add(good, "protocol", "%s answers to GET: %s", t.key, t.sample)
		case greets:
			f.add(good, "protocol", "%s speaks first: %s", t.key, t.sample)
		case silent:
			if t.network != "udp" {
				f.add(warning, "protocol", "%s does not answer to GET: only connections could be counted, not what is lost of them", t.key)
			}
		}
	}
}

// drains reports whether a worker ends as it should: by itself, and not before
// it has answered.
func (r *record) drains() bool {
	return r.during.losses() == 0 && r.first.killed == "" && r.first.ended > 0
}

// answers reports whether any client was answered.
func (r *record) answers() bool {
	return slices.ContainsFunc(r.targets, func(t *target) bool { return t.answered > 0 })
}

func (r *record) judgeSwap(f *findings) {
	first, second := r.first, r.second
	stopSignal := cmp.Or(first.signal, machine.Signal(r.settings.SignalOnHUP).String())
	if n := r.before.losses(); n > 0 {
		f.add(warning, "requests", "%d of %d were lost before any swap: %s", n, n+r.before.done, because(r.before))
	}
	switch {
	case second.ready == 0:
		f.add(problem, "swap", "a second one beside it did not become ready: %s", cmp.Or(second.status, second.failed, "it took too long"))
	case !r.swapped && second.ended > 0:
		f.add(problem, "swap", "the second one ended by itself beside the first: %s", second.status)
	case first.asked == 0:
		f.add(problem, "swap", "the first one ended by itself when a second was started: %s", first.status)
	default:
		f.add(good, "swap", "a second one beside it was ready after %v", brief(second.ready-second.started))
		took := brief(first.ended - first.asked)
		switch {
		case first.killed != "":
			f.add(problem, stopSignal, "it does not end at %s, and was killed after %v", stopSignal, took)
			f.suggest(variable("drain-timeout", "30"))
			f.suggest(variable("stop-timeout", "8"))
		case first.status == "signal "+stopSignal:
			f.add(warning, stopSignal, "%s kills it at once: it finishes no request that is under way", stopSignal)
		default:
			work := ""
			if r.held {
				work = fmt.Sprintf(", %v of which it was kept busy", holdTime)
			}
			f.add(good, stopSignal, "it ended %v after %s%s: %s", took, stopSignal, work, first.status)
		}
	}
	if n := r.during.losses(); n > 0 {
		f.add(problem, "requests", "%d of %d were lost during the swap: %s", n, n+r.during.done, because(r.during))
	} else if r.answers() && r.swapped {
		f.add(good, "requests", "%d answered during the swap, none lost", r.during.done)
	} else if r.during.done > 0 {
		f.add(good, "requests", "%d connections during the swap, none refused", r.during.done)
	}
	if len(r.left) > 0 {
		f.add(warning, "leftover", "processes of the old one are left: %s", list(r.left))
	}
	if r.both > 0 {
		f.add(good, "memory", "%s alone, %s while there are two", megabytes(r.alone), megabytes(r.both))
		if limit := memoryLimit(); limit > 0 && limit < r.both+r.both/10 {
			f.add(warning, "memory", "the container's limit of %s leaves no room for two", megabytes(limit))
		}
	}
	stop := brief(second.ended - second.asked)
	switch {
	case !r.swapped:
	case !r.stopped:
		f.add(problem, "stop", "initd did not end after it was told to")
	case second.killed != "":
		f.add(problem, "stop", "it does not end at %s, and was killed after %v", second.signal, stop)
		f.suggest(variable("stop-timeout", "8"))
	default:
		f.add(good, "stop", "it ended %v after %s: %s", stop, second.signal, second.status)
	}
}

func list(processes []process) string {
	var all []string
	for _, p := range processes {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}

// because are the reasons for losses, with how many each.
func because(t tally) string {
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
