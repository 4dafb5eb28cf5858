package machine

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
// and the deadline where it has changed. After a line "views", which may follow
// the policy, there is also what the views are then, where that has changed:
//
//	= readiness=ready serving=1 attempt=1 given_up=0 idle=true published="1:101"
//
// It is derived by the test, and none of the machine's actions. With -update what
// follows is written anew. Instead of events and actions there may be lines of initd's own log at
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
					want.scenes[i].follows = slices.DeleteFunc(want.scenes[i].follows, isDerived)
					for _, f := range c.follows {
						if isDerived(f) {
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

// TestTranscriptOfSimulation shows that a schedule that is printed can be seenService
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
	views  bool     // whether there are lines for the views where they change
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
	deadline bool // whether there is a line for the deadline where it changes
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
		case policy && line == "views" && last == nil:
			s.views = true
			head = append(head, line)
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
		view     = viewLine(m)
		verdict  error
	)
	for _, c := range s.scenes {
		now := epoch.Add(c.at)
		actions := m.Step(now, c.event)
		if err := j.observe(now, c.event, actions, m.Deadline()); err != nil && verdict == nil {
			verdict = fmt.Errorf("line %d: %w", c.line, err)
		} else if err := j.observeView(m); err != nil && verdict == nil {
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
		if now := viewLine(m); s.views && now != view {
			view = now
			c.follows = append(c.follows, view)
		}
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

// viewLine is what is to be seen of a machine from outside.
func viewLine(m *Machine) string {
	var workers []string
	for generation, pid := range m.Published {
		workers = append(workers, fmt.Sprintf("%d:%d", generation, pid))
	}
	v := m.Outline()
	s := fmt.Sprintf("= readiness=%v serving=%d attempt=%d given_up=%d idle=%v published=%q",
		v.Readiness, v.Serving, v.Attempt, v.GivenUp, v.Idle, strings.Join(workers, " "))
	if f := v.Flapping; !f.Since.IsZero() {
		s += fmt.Sprintf(" flapping_since=%s losses=%d last=%q", offset(f.Since), f.Losses, f.Last.Words())
	}
	return s
}

// isDerived reports whether a line of what follows is no action.
func isDerived(line string) bool {
	return strings.HasPrefix(line, "deadline ") || strings.HasPrefix(line, "= ")
}

// offset is the text for a deadline.
func offset(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Sub(epoch).String()
}
