package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"server-starter/initd/machine"
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
	return "SERVER_STARTER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "=" + value
}

// judge draws the conclusions from a record.
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
	w := r.first
	after := func(m moment) time.Duration { return brief(m - w.started) }
	switch {
	case w.notExecuted != "":
		f.add(problem, "start", "cannot be executed: %s", w.notExecuted)
	case w.started == 0:
		f.add(problem, "start", "initd cannot start: %s", strings.TrimPrefix(strings.Join(r.output.last(), " "), "initd: "))
	case !r.up && w.killed != "":
		f.add(problem, "start", "not ready within start-timeout=%v", time.Duration(r.settings.StartTimeout))
		if w.notified == 0 && r.settings.Ready.Value == machine.Notify {
			f.add(problem, "ready", "sends no READY=1, which ready=notify waits for")
			if r.answered() {
				f.suggest(variable("ready", "auto")) // by which it is seen to accept connections
			}
		}
	case !r.up:
		f.add(problem, "start", "exited %v after its start, before it was ready: %s", after(w.ended), w.status)
		if w.status == "exit status 0" {
			f.add(problem, "start", "if it runs in the background (as a daemon), configure it to stay in the foreground")
		}
	case !r.lived:
		f.add(problem, "start", "counted as ready after %v, but exited %v after its start: %s", after(w.ready), after(w.ended), w.status)
	default:
		how := "still running after the interval"
		switch {
		case w.notified > 0 && w.notified <= w.ready:
			how = "READY=1"
		case w.readyBy == machine.ByAccepting.String():
			how = "running for the interval, and seen to accept connections"
		}
		if len(r.settings.Probe) > 0 {
			how += ", and the probe succeeded"
		}
		f.add(good, "start", "ready after %v: %s", after(w.ready), how)
	}
	if r.probed != "" {
		f.add(warning, "probe", "asks %s, where an old worker may answer instead of the new one; it must ask something that only the new one has, such as another port", r.probed)
	}
	if r.lived {
		r.judgeReadiness(f, after)
	}
}

func (r *record) judgeReadiness(f *findings, after func(moment) time.Duration) {
	w, set := r.first, r.settings
	var answered moment // by the last of its listeners
	for _, t := range r.targets {
		answered = max(answered, t.answered)
	}
	// On a busy machine everything takes longer, and not by a fixed time: an answer that comes as soon after READY=1 as
	// READY=1 came after the start says nothing against the server.
	const tolerated = 100 * time.Millisecond
	switch {
	case w.notified > 0 && answered > w.notified+max(tolerated, w.notified-w.started):
		f.add(warning, "ready", "sends READY=1 %v after its start, but answers only after %v", after(w.notified), after(answered))
	case w.notified > 0 && set.Ready.Value != machine.Notify:
		f.add(good, "ready", "sends READY=1 %v after its start; with ready=notify initd waits for that", after(w.notified))
		f.suggest(variable("ready", "notify"))
	case w.notified > 0:
		f.add(good, "ready", "sends READY=1 %v after its start", after(w.notified))
	case w.unverified != "":
		f.add(warning, "ready", "sends no READY=1, and initd cannot see when it accepts connections: have it send READY=1, or set probe; %s", w.unverified)
	case answered > w.ready+tolerated:
		f.add(warning, "ready", "sends no READY=1, and counts as ready before it answers, after %v", after(answered))
		f.suggest(variable("interval", fmt.Sprint(int(after(answered).Seconds()*1.5)+1)))
	case answered > 0 && w.readyBy == machine.ByAccepting.String():
		f.add(good, "ready", "sends no READY=1, but initd sees when it accepts connections; first answer %v after its start", after(answered))
	case answered > 0:
		f.add(good, "ready", "sends no READY=1; first answer %v after its start", after(answered))
	default:
		f.add(good, "ready", "sends no READY=1")
	}
}

func (r *record) judgeSockets(f *findings) {
	var own, refused, taken, unknown []string
	for _, s := range r.own {
		own = append(own, s.String())
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
		f.add(problem, "sockets", "does not use the inherited socket, but binds its own: %s", ofItsOwn)
	case !r.lived:
	case len(refused) > 0:
		f.add(problem, "sockets", "does not accept connections on %s: it does not use the inherited socket", strings.Join(refused, ", "))
	case len(own) > 0:
		f.add(warning, "sockets", "accepts connections on %s, but also binds its own socket, which swaps do not cover: %s", strings.Join(taken, ", "), ofItsOwn)
	case len(taken) > 0:
		f.add(good, "sockets", "accepts connections on the inherited socket: %s", strings.Join(taken, ", "))
	case len(r.targets) == 0:
		f.add(good, "sockets", "none configured; a server needs --port or --path")
	}
	if len(unknown) > 0 {
		f.add(warning, "sockets", "UDP cannot be tested with connections: %s", strings.Join(unknown, ", "))
	}
	if r.relistened {
		f.add(warning, "sockets", "calls shutdown(2) on a shared listener: connections waiting there are lost")
	}
	if !r.lived || !r.accepts {
		return
	}
	for _, t := range r.targets {
		switch t.behaviour {
		case http, answers:
			f.add(good, "protocol", "%s answers GET: %s", t.key, t.sample)
		case greets:
			f.add(good, "protocol", "%s speaks first: %s", t.key, t.sample)
		case silent:
			if t.network != "udp" {
				f.add(warning, "protocol", "%s does not answer GET: connections could be counted, but not lost requests", t.key)
			}
		}
	}
}
