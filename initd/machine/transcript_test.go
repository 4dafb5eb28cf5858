package machine

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// TestTranscript plays the transcripts of testdata/machine. A transcript is
//
//	# a comment
//	policy ready=alive interval=1s
//	0s begin
//	  prepare generation=1
//	1.5s signaled signal=HUP
//	  …
//	  deadline 6s
//
// the policy, in the words of the settings where it is not the default; then
// each event with the time since the start, the actions that follow from it,
// and the deadline where it has changed. With -update what follows is written
// anew. Instead of events and actions there may be lines of initd's own log at
// level debug, text or JSON, as they are; -update makes a transcript of them.
func TestTranscript(t *testing.T) {
	files, err := filepath.Glob("../../testdata/machine/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseTranscript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			played, err := s.play()
			if err != nil {
				t.Error(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(played.String()), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			s.compare(t, played)
		})
	}
}

// TestTranscriptOfLog makes of every transcript the log that initd would have
// written, and reads that.
func TestTranscriptOfLog(t *testing.T) {
	handlers := map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
		"text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
		"json": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
	}
	files, _ := filepath.Glob("../../testdata/machine/*.txt")
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				s, err := parseTranscript(string(text))
				if err != nil {
					t.Fatal(err)
				}
				var log strings.Builder
				h := handler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
				write := func(at time.Duration, level slog.Level, text, event string) {
					r := slog.NewRecord(time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC).Add(at), level, text, 0)
					r.Add("event", event)
					if err := h.Handle(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				want := (*transcript)(nil)
				if want, err = s.play(); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&log, "%s\n", strings.Join(s.head, "\n"))
				for i, c := range s.scenes {
					write(c.at, slog.LevelDebug, c.event.String(), "step")
					for j, f := range c.follows {
						if strings.HasPrefix(f, "deadline ") {
							want.scenes[i].follows = slices.Delete(want.scenes[i].follows, j, j+1)
							continue
						}
						write(c.at, slog.LevelDebug, f, "step")
						write(c.at, slog.LevelInfo, "generation 1 is serving", "serving")
						write(c.at, slog.LevelDebug, "orphan reaped", "orphan")
					}
				}
				read, err := parseTranscript(log.String())
				if err != nil {
					t.Fatalf("%s: %v\n%s", file, err, log.String())
				}
				if len(read.scenes) != len(s.scenes) {
					t.Fatalf("%s: %d events, want %d", file, len(read.scenes), len(s.scenes))
				}
				read.compare(t, want)
				for i, c := range read.scenes {
					if c.at != s.scenes[i].at || c.event.String() != s.scenes[i].event.String() {
						t.Errorf("%s: %v %v, want %v %v", file, c.at, c.event, s.scenes[i].at, s.scenes[i].event)
					}
				}
				if played, err := read.play(); err != nil || strings.Contains(played.String(), "deadline") {
					t.Errorf("%s: %v\n%v", file, err, played)
				}
			}
		})
	}
}

// TestTranscriptOfSimulation shows that a schedule that is printed can be kept
// as a transcript.
func TestTranscriptOfSimulation(t *testing.T) {
	for seed := range uint64(100) {
		w := play(newTape(seed + 1))
		s, err := parseTranscript(w.String())
		if err != nil {
			t.Fatalf("seed %d: %v", seed+1, err)
		}
		played, err := s.play()
		if err != nil {
			t.Fatalf("seed %d: %v", seed+1, err)
		}
		if got := played.String(); got != w.String() {
			t.Fatalf("seed %d: played\n%s\nread\n%s", seed+1, w, got)
		}
	}
}

func TestTranscriptErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no policy", "0s begin", "line 1: an event before the policy"},
		{"unknown setting", "policy wrong=1", "line 1: wrong is no setting"},
		{"wrong value", "policy interval=1", "line 1: interval: "},
		{"unknown choice", "policy ready=soon", `line 1: ready: "soon" is none of`},
		{"unknown event", "policy\n0s started pid=1", `line 2: "started" is no event`},
		{"unknown argument", "policy\n0s exited pid=1 exit_status=0 core=true", "line 2: core: exited has no such argument"},
		{"no number", "policy\n0s exited pid=x exit_status=0", "line 2: pid: "},
		{"argument missing", "policy\n0s forked generation=1 slot=0", "line 2: pid: "},
		{"no offset", "policy\nbegin", "line 2: "},
		{"time goes back", "policy\n1s begin\n999ms tick", "line 3: 999ms comes after 1s"},
		{"action first", "policy\n  prepare generation=1", "line 2: an action before the first event"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseTranscript(test.text); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// transcript is a file of testdata/machine.
type transcript struct {
	policy Policy
	head   []string // the lines up to the policy
	scenes []scene
	tail   []string
}

// scene is an event and what follows.
type scene struct {
	line     int
	head     []string // comments and empty lines before
	at       time.Duration
	event    Event
	follows  []string
	deadline bool // whether the deadline is told where it changes
}

func parseTranscript(text string) (*transcript, error) {
	s := &transcript{}
	var (
		head   []string
		policy bool
		base   time.Time // the log's time at the start of the transcript
	)
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		n := i + 1
		last := (*scene)(nil)
		if len(s.scenes) > 0 {
			last = &s.scenes[len(s.scenes)-1]
		}
		at, message, isLog := parseLog(line)
		first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var (
			offset time.Duration
			err    error
		)
		switch {
		case isLog && message == "": // nothing of the machine's
			continue
		case isLog:
			if base.IsZero() {
				base = at
				if last != nil {
					base = at.Add(-last.at)
				}
			}
			word, _, _ := strings.Cut(message, " ")
			if eventNames[word] == nil {
				if last == nil {
					return nil, fmt.Errorf("line %d: an action before the first event", n)
				}
				last.follows = append(last.follows, message)
				continue
			}
			offset, rest = at.Sub(base), message
		case first == "" || strings.HasPrefix(first, "#"):
			head = append(head, line)
			continue
		case !policy && first == "policy":
			if s.policy, err = parsePolicy(rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			s.head, head, policy = append(head, line), nil, true
			continue
		case line[0] == ' ' || line[0] == '\t':
			if last == nil {
				return nil, fmt.Errorf("line %d: an action before the first event", n)
			}
			last.follows = append(last.follows, strings.TrimSpace(line))
			continue
		default:
			if offset, err = time.ParseDuration(first); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if !policy {
			return nil, fmt.Errorf("line %d: an event before the policy", n)
		}
		if last != nil && offset < last.at {
			return nil, fmt.Errorf("line %d: %v comes after %v", n, offset, last.at)
		}
		event, err := parseEvent(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		s.scenes = append(s.scenes, scene{line: n, head: head, at: offset, event: event, deadline: !isLog})
		head = nil
	}
	s.tail = head
	return s, nil
}

// play plays the events anew, and has each step judged.
func (s *transcript) play() (*transcript, error) {
	played := &transcript{head: s.head, tail: s.tail}
	m, j := New(s.policy), newJudge(s.policy)
	var (
		deadline time.Time
		verdict  error
	)
	for _, c := range s.scenes {
		now := epoch.Add(c.at)
		actions := m.Step(now, c.event)
		if err := j.observe(now, c.event, actions, m.Deadline()); err != nil && verdict == nil {
			verdict = fmt.Errorf("line %d: %w", c.line, err)
		} else if err := j.observeView(m.View()); err != nil && verdict == nil {
			verdict = fmt.Errorf("line %d: %w", c.line, err)
		}
		c.follows = nil
		for _, a := range actions {
			c.follows = append(c.follows, a.String())
		}
		if c.deadline && !m.Deadline().Equal(deadline) {
			c.follows = append(c.follows, "deadline "+offset(m.Deadline()))
		}
		deadline = m.Deadline()
		played.scenes = append(played.scenes, c)
	}
	return played, verdict
}

func (s *transcript) compare(t *testing.T, played *transcript) {
	t.Helper()
	for i, c := range s.scenes {
		if got := played.scenes[i].follows; !slices.Equal(got, c.follows) {
			t.Fatalf("line %d: %v %v\n got\n  %s\nwant\n  %s", c.line, c.at, c.event, strings.Join(got, "\n  "), strings.Join(c.follows, "\n  "))
		}
	}
}

func (s *transcript) String() string {
	lines := slices.Clone(s.head)
	for _, c := range s.scenes {
		lines = append(lines, c.head...)
		lines = append(lines, fmt.Sprintf("%v %v", c.at, c.event))
		for _, f := range c.follows {
			lines = append(lines, "  "+f)
		}
	}
	return strings.Join(append(lines, s.tail...), "\n") + "\n"
}

// offset is how a deadline is told.
func offset(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Sub(epoch).String()
}

// parseLog takes a line of initd's log apart, if it is one. The message is
// empty where it is not of the machine's.
func parseLog(line string) (at time.Time, message string, ok bool) {
	fields := map[string]string{}
	switch {
	case strings.HasPrefix(line, "{"):
		var all map[string]any
		if json.Unmarshal([]byte(line), &all) != nil {
			return at, "", false
		}
		for k, v := range all {
			fields[k] = fmt.Sprint(v)
		}
	case strings.HasPrefix(line, "time="):
		var err error
		if fields, err = parsePairs(line); err != nil {
			return at, "", false
		}
	default:
		return at, "", false
	}
	at, err := time.Parse(time.RFC3339Nano, fields["time"])
	if err != nil {
		return at, "", false
	}
	if event := fields["event"]; fields["level"] != "DEBUG" || event != "" && event != "step" {
		return at, "", true
	}
	return at, fields["msg"], true
}

// parsePairs reads key=value pairs. A value may be quoted.
func parsePairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, ok := strings.Cut(text, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return nil, fmt.Errorf("%q is not key=value", text)
		}
		if _, ok := pairs[key]; ok {
			return nil, fmt.Errorf("%s comes twice", key)
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			pairs[key], _ = strconv.Unquote(quoted)
			text = rest[len(quoted):]
			continue
		}
		pairs[key], text, _ = strings.Cut(rest, " ")
	}
	return pairs, nil
}

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
	"notified":        func(a *arguments) Event { return Notified{a.number("pid")} },
	"pinged":          func(a *arguments) Event { return Pinged{a.number("pid")} },
	"hung":            func(a *arguments) Event { return Hung{a.number("pid")} },
	"probed":          func(a *arguments) Event { return Probed{a.number("generation"), a.status()} },
	"exited":          func(a *arguments) Event { return Exited{a.number("pid"), a.status()} },
	"logger-ended":    func(a *arguments) Event { return LoggerEnded{a.number("logger")} },
	"companion-ended": func(*arguments) Event { return CompanionEnded{} },
	"swap-asked":      func(a *arguments) Event { return SwapAsked{a.number("client")} },
	"stop-asked":      func(a *arguments) Event { return StopAsked{a.number("client"), a.signal("signal")} },
	"scale-asked":     func(a *arguments) Event { return ScaleAsked{a.number("client"), a.number("workers")} },
	"signal-asked": func(a *arguments) Event {
		return SignalAsked{a.number("client"), a.signal("signal"), a.number("generation"), a.number("slot")}
	},
	"hooked":  func(a *arguments) Event { return Hooked{a.hook("hook"), a.status()} },
	"changed": func(a *arguments) Event { return Changed{a.text("name")} },
	"surveyed": func(a *arguments) Event {
		return Surveyed{a.number("queue"), a.numbers("queues"), a.samples("workers")}
	},
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
		return Status{Signal: a.signal("signal")}
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

// The policy.

// defaultPolicy is that of the settings.
func defaultPolicy() Policy {
	return Policy{
		Workers: 1, Interval: time.Second, StartTimeout: time.Minute, ProbeTimeout: 5 * time.Second,
		SignalOnHup: TERM, SignalOnTerm: TERM, Timing: Timing{AutoRestartInterval: 6 * time.Minute}, MaxBackoff: 30 * time.Second,
	}
}

// policyFields are the settings that make a policy.
var policyFields = []struct {
	name  string
	field func(*Policy) any
}{
	{"workers", func(p *Policy) any { return &p.Workers }},
	{"max-workers", func(p *Policy) any { return &p.MaxWorkers }},
	{"min-idle", func(p *Policy) any { return &p.MinIdle }},
	{"max-idle", func(p *Policy) any { return &p.MaxIdle }},
	{"surge", func(p *Policy) any { return &p.Surge }},
	{"steer", func(p *Policy) any { return &p.Steer }},
	{"max-requests", func(p *Policy) any { return &p.MaxRequests }},
	{"max-memory", func(p *Policy) any { return &p.MaxMemory }},
	{"max-lifetime", func(p *Policy) any { return &p.MaxLifetime }},
	{"seed", func(p *Policy) any { return &p.Seed }},
	{"disconnect-signal", func(p *Policy) any { return &p.DisconnectSignal }},
	{"survey", func(p *Policy) any { return &p.Survey }},
	{"hook-after-init", func(p *Policy) any { return &p.Hooks[AfterInit] }},
	{"hook-before-swap", func(p *Policy) any { return &p.Hooks[BeforeSwap] }},
	{"hook-after-swap", func(p *Policy) any { return &p.Hooks[AfterSwap] }},
	{"hook-on-disconnect", func(p *Policy) any { return &p.Hooks[OnDisconnect] }},
	{"hook-before-shutdown", func(p *Policy) any { return &p.Hooks[BeforeShutdown] }},
	{"hook-timeout", func(p *Policy) any { return &p.HookTimeout }},
	{"watch-debounce", func(p *Policy) any { return &p.Debounce }},
	{"ready", func(p *Policy) any { return &p.Ready }},
	{"interval", func(p *Policy) any { return &p.Interval }},
	{"start-timeout", func(p *Policy) any { return &p.StartTimeout }},
	{"probe", func(p *Policy) any { return &p.Probe }},
	{"probe-timeout", func(p *Policy) any { return &p.ProbeTimeout }},
	{"watchdog", func(p *Policy) any { return &p.Watchdog }},
	{"signal-on-hup", func(p *Policy) any { return &p.SignalOnHup }},
	{"signal-on-term", func(p *Policy) any { return &p.SignalOnTerm }},
	{"drain-timeout", func(p *Policy) any { return &p.DrainTimeout }},
	{"max-old-generations", func(p *Policy) any { return &p.MaxOldGenerations }},
	{"kill-old-delay", func(p *Policy) any { return &p.Timing.KillOldDelay }},
	{"enable-auto-restart", func(p *Policy) any { return &p.Timing.AutoRestart }},
	{"auto-restart-interval", func(p *Policy) any { return &p.Timing.AutoRestartInterval }},
	{"stop-delay", func(p *Policy) any { return &p.StopDelay }},
	{"stop-timeout", func(p *Policy) any { return &p.StopTimeout }},
	{"kill-group", func(p *Policy) any { return &p.KillGroup }},
	{"leave-orphans", func(p *Policy) any { return &p.LeaveOrphans }},
	{"respawn", func(p *Policy) any { return &p.Respawn }},
	{"max-backoff", func(p *Policy) any { return &p.MaxBackoff }},
	{"max-failures", func(p *Policy) any { return &p.MaxFailures }},
	{"signal-map", func(p *Policy) any { return &p.SignalMap }},
	{"exit-map", func(p *Policy) any { return &p.ExitMap }},
	{"publish", func(p *Policy) any { return &p.Publish }},
	{"loggers", func(p *Policy) any { return &p.Loggers }},
	{"companion", func(p *Policy) any { return &p.Companion }},
}

func parsePolicy(text string) (Policy, error) {
	p := defaultPolicy()
	pairs, err := parsePairs(text)
	if err != nil {
		return p, err
	}
	for _, f := range policyFields {
		value, ok := pairs[f.name]
		if !ok {
			continue
		}
		delete(pairs, f.name)
		if err := parseField(f.field(&p), value); err != nil {
			return p, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for name := range pairs {
		return p, fmt.Errorf("%s is no setting of the policy's", name)
	}
	return p, nil
}

func parseField(field any, value string) (err error) {
	switch f := field.(type) {
	case *int:
		*f, err = strconv.Atoi(value)
	case *int64:
		*f, err = strconv.ParseInt(value, 10, 64)
	case *uint64:
		*f, err = strconv.ParseUint(value, 10, 64)
	case *bool:
		*f, err = strconv.ParseBool(value)
	case *time.Duration:
		*f, err = time.ParseDuration(value)
	case *Signal:
		*f, err = parseSignal(value)
	case *Ready:
		if *f = Ready(slices.Index(readyNames, value)); *f < 0 {
			err = fmt.Errorf("%q is none of %q", value, readyNames)
		}
	case *Respawn:
		if *f = Respawn(slices.Index(respawnNames, value)); *f < 0 {
			err = fmt.Errorf("%q is none of %q", value, respawnNames)
		}
	case *map[Signal]Signal:
		*f, err = parseMap(value, parseSignal)
	case *map[int]int:
		*f, err = parseMap(value, strconv.Atoi)
	default:
		panic(fmt.Sprintf("unknown field %T", field))
	}
	return err
}

// parseMap reads USR2:HUP;WINCH:0.
func parseMap[T comparable](text string, parse func(string) (T, error)) (map[T]T, error) {
	all := map[T]T{}
	for item := range strings.SplitSeq(text, ";") {
		from, to, _ := strings.Cut(item, ":")
		key, err := parse(from)
		if err != nil {
			return nil, err
		}
		if all[key], err = parse(to); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// policyLine is the policy as a transcript has it.
func policyLine(p Policy) string {
	line := "policy"
	standard := defaultPolicy()
	for _, f := range policyFields {
		if value := fieldString(f.field(&p)); value != fieldString(f.field(&standard)) {
			line += " " + f.name + "=" + value
		}
	}
	return line
}

func fieldString(field any) string {
	switch f := field.(type) {
	case *int:
		return strconv.Itoa(*f)
	case *int64:
		return strconv.FormatInt(*f, 10)
	case *uint64:
		return strconv.FormatUint(*f, 10)
	case *bool:
		return strconv.FormatBool(*f)
	case *time.Duration:
		return f.String()
	case *Signal:
		return f.String()
	case *Ready:
		return readyNames[*f]
	case *Respawn:
		return respawnNames[*f]
	case *map[Signal]Signal:
		return mapString(*f)
	case *map[int]int:
		return mapString(*f)
	}
	panic(fmt.Sprintf("unknown field %T", field))
}

func mapString[T interface{ Signal | int }](m map[T]T) string {
	var items []string
	for _, from := range slices.Sorted(maps.Keys(m)) {
		items = append(items, fmt.Sprintf("%v:%v", from, m[from]))
	}
	return strings.Join(items, ";")
}
