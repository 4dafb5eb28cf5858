package machine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// eventNames are the events by the first word of their text.
var eventNames = map[string]func(*arguments) Event{
	"begin":     func(*arguments) Event { return Begin{} },
	"tick":      func(*arguments) Event { return Tick{} },
	"childless": func(*arguments) Event { return Childless{} },
	"signaled":  func(a *arguments) Event { return Signaled{a.signal("signal")} },
	"prepared": func(a *arguments) Event {
		return Prepared{a.number("generation"), Timing{
			KillOldDelay:        a.duration("kill_old_delay"),
			AutoRestart:         a.has("auto_restart"),
			AutoRestartInterval: a.duration("auto_restart"),
		}}
	},
	"refused": func(a *arguments) Event { return Refused{a.number("generation"), a.text("reason")} },
	"forked":  func(a *arguments) Event { return Forked{a.number("generation"), a.number("slot"), a.number("pid")} },
	"fork-failed": func(a *arguments) Event {
		return ForkFailed{a.number("generation"), a.number("slot"), a.number("exit_status"), a.text("reason")}
	},
	"executed": func(a *arguments) Event { return Executed{a.number("pid")} },
	"not-executed": func(a *arguments) Event {
		return NotExecuted{a.number("pid"), a.number("exit_status"), a.text("reason")}
	},
	"notified":          func(a *arguments) Event { return Notified{a.number("pid")} },
	"pinged":            func(a *arguments) Event { return Pinged{a.number("pid")} },
	"hung":              func(a *arguments) Event { return Hung{a.number("pid")} },
	"probed":            func(a *arguments) Event { return Probed{a.number("generation"), a.status()} },
	"extended":          func(a *arguments) Event { return Extended{a.number("pid"), a.duration("by")} },
	"handed-over":       func(a *arguments) Event { return HandedOver{a.number("pid"), a.number("to")} },
	"orphaned":          func(a *arguments) Event { return Orphaned{a.number("pid"), a.number("orphan")} },
	"exited":            func(a *arguments) Event { return Exited{a.number("pid"), a.status()} },
	"suspended":         func(a *arguments) Event { return Suspended{a.number("pid")} },
	"continued":         func(a *arguments) Event { return Continued{a.number("pid")} },
	"signal-refused":    func(a *arguments) Event { return SignalRefused{a.number("pid"), a.text("kill") == "true"} },
	"log-command-ended": func(a *arguments) Event { return LogCommandEnded{a.number("number")} },
	"http-ended":        func(*arguments) Event { return HTTPEnded{} },
	"swap-asked":        func(a *arguments) Event { return SwapAsked{a.number("client")} },
	"stop-asked":        func(a *arguments) Event { return StopAsked{a.number("client"), a.signal("signal")} },
	"scale-asked":       func(a *arguments) Event { return ScaleAsked{a.number("client"), a.number("workers")} },
	"signal-asked": func(a *arguments) Event {
		return SignalAsked{a.number("client"), a.signal("signal"), a.number("generation"), a.number("slot")}
	},
	"hooked":  func(a *arguments) Event { return Hooked{a.hook("hook"), a.status()} },
	"changed": func(a *arguments) Event { return Changed{a.text("name")} },
	"surveyed": func(a *arguments) Event {
		return Surveyed{a.number("queue"), a.numbers("queues"), a.samples("workers")}
	},
	"looked": func(a *arguments) Event { return Looked{a.glances()} },
}

// parseEvent reads the text of an event.
func parseEvent(text string) (Event, error) {
	name, rest, _ := strings.Cut(text, " ")
	parse := eventNames[name]
	if parse == nil {
		return nil, fmt.Errorf("%q is no event", name)
	}
	pairs, err := parsePairs(rest)
	if err != nil {
		return nil, err
	}
	a := &arguments{pairs: pairs}
	event := parse(a)
	for key := range a.pairs {
		a.fail(key, fmt.Errorf("%s has no such argument", name))
	}
	return event, a.err
}

// arguments are an event's that have not been read yet, and the first error.
type arguments struct {
	pairs map[string]string
	err   error
}

func (a *arguments) fail(key string, err error) {
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%s: %w", key, err)
	}
}

func (a *arguments) has(key string) bool { return a.pairs[key] != "" }

func (a *arguments) text(key string) string {
	value := a.pairs[key]
	delete(a.pairs, key)
	return value
}

func (a *arguments) number(key string) int {
	n, err := strconv.Atoi(a.text(key))
	a.fail(key, err)
	return n
}

// numbers are 0,1,3.
func (a *arguments) numbers(key string) (all []int) {
	for text := range strings.SplitSeq(a.text(key), ",") {
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		a.fail(key, err)
		all = append(all, n)
	}
	return all
}

func (a *arguments) hook(key string) Hook {
	text := a.text(key)
	for h := range hooks {
		if h.String() == text {
			return h
		}
	}
	a.fail(key, fmt.Errorf("%q is no hook", text))
	return 0
}

// samples are pid:activity:requests:clients:gone:cpu:memory with spaces between.
func (a *arguments) samples(key string) (all []Sample) {
	for _, text := range strings.Fields(a.text(key)) {
		fields := strings.Split(text, ":")
		if len(fields) != 7 {
			a.fail(key, fmt.Errorf("%q is no sample", text))
			continue
		}
		number := func(i int) int64 {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			a.fail(key, err)
			return n
		}
		s := Sample{PID: int(number(0)), Activity: -1, Requests: number(2), Clients: int(number(3)), Gone: int(number(4)), Memory: number(6)}
		for known := Silent; known <= Busy; known++ {
			if known.String() == fields[1] {
				s.Activity = known
			}
		}
		if s.Activity < 0 {
			a.fail(key, fmt.Errorf("%q is no activity", fields[1]))
			s.Activity = Silent
		}
		var err error
		s.CPU, err = time.ParseDuration(fields[5])
		a.fail(key, err)
		all = append(all, s)
	}
	return all
}

// glances are pid="sight reason", by pid.
func (a *arguments) glances() (all []Glance) {
	for key := range maps.Clone(a.pairs) {
		sight, reason, _ := strings.Cut(a.text(key), " ")
		pid, err := strconv.Atoi(key)
		a.fail(key, err)
		if !slices.Contains(sightNames, sight) {
			a.fail(key, fmt.Errorf("%q is no sight", sight))
		}
		all = append(all, Glance{pid, Sight(slices.Index(sightNames, sight)), reason})
	}
	slices.SortFunc(all, func(g, other Glance) int { return g.PID - other.PID })
	return all
}

func (a *arguments) duration(key string) time.Duration {
	if !a.has(key) {
		return 0
	}
	d, err := time.ParseDuration(a.text(key))
	a.fail(key, err)
	return d
}

func (a *arguments) signal(key string) Signal {
	s, err := parseSignal(a.text(key))
	a.fail(key, err)
	return s
}

func (a *arguments) status() Status {
	if a.has("signal") {
		return Status{Signal: a.signal("signal"), OOM: a.has("oom") && a.text("oom") == "true"}
	}
	return Status{Code: a.number("exit_status")}
}

func parseSignal(text string) (Signal, error) {
	for n := Signal(1); n <= RTMAX; n++ {
		if text == n.String() {
			return n, nil
		}
	}
	if text == REOPEN.String() {
		return REOPEN, nil
	}
	n, err := strconv.Atoi(text)
	return Signal(n), err
}
