package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// What --help prints fits two screens.
func TestUsageIsShort(t *testing.T) {
	text := Usage()
	if lines := strings.Count(text, "\n"); lines > 48 {
		t.Errorf("%d lines", lines)
	}
	isNarrow(t, text, 80)
	for _, want := range []string{"--help=all", "SERVER_STARTER_STOP_TIMEOUT", "\n  initd --port=8080 ", "  HUP ", "  126, 127 "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, r := range Table() {
		if want := r.Flag() + "=" + r.Example; r.Common != "" && !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func isNarrow(t *testing.T, text string, width int) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if utf8.RuneCountInString(line) > width || strings.TrimRight(line, " ") != line {
			t.Errorf("line %d is too long, or ends with a blank: %q", i+1, line)
		}
	}
}

// What --help=all prints has everything.
func TestFullUsage(t *testing.T) {
	text := FullUsage()
	isNarrow(t, text, 80)
	running := strings.Join(strings.Fields(text), " ")
	want := slices.Clone(Syntax)
	for _, g := range Groups() {
		want = append(want, g.Title+" "+g.Settings[0].Flag())
		for _, r := range g.Settings {
			want = append(want, fmt.Sprintf("%s %s %s (%s", r.Flag(), r.Variable(), r.Meaning, r.Kind))
			if r.Default != "" {
				want = append(want, "; default "+r.Default)
			}
			if r.Bare {
				want = append(want, "; also read from "+r.word+")")
			}
		}
	}
	for _, r := range slices.Concat(Types, Commands, Signals, ExitStatuses) {
		want = append(want, r.Word+" "+r.Meaning)
	}
	for _, text := range append(want, SignalNotes...) {
		if !strings.Contains(running, text) {
			t.Errorf("%q is missing", text)
		}
	}
}

func TestAnswers(t *testing.T) {
	// Help and version are for those who have it wrong, too.
	environment(t, "SERVER_STARTER_INTERVAL=x", "SERVER_STARTER_NONSENSE=1")
	for _, args := range [][]string{{"--help"}, {"-h"}, {"--nonsense", "--help"}, {"--version", "--help", "true"}} {
		if s := load(t, args...); s.Answer != Usage() {
			t.Errorf("%q: got %q", args, s.Answer)
		}
	}
	for _, args := range [][]string{{"--help=all"}, {"--help", "--help=all"}, {"--help=ALL", "--help=all", "true"}} {
		if s := load(t, args...); s.Answer != FullUsage() {
			t.Errorf("%q: got %q", args, s.Answer)
		}
	}
	for _, args := range [][]string{{"--version"}, {"-v"}, {"--version", "--show-config"}, {"--version", "--port=x", "true"}} {
		if s := load(t, args...); s.Answer != "initd "+Version+"\n" {
			t.Errorf("%q: got %q", args, s.Answer)
		}
	}
	if ps := problems(t, "--show-config"); len(ps) != 2 {
		t.Errorf("--show-config: got %v, want the two wrong variables", ps)
	}
	environment(t)
	for _, word := range []string{"junk", "no", "true", "port"} {
		ps := problems(t, "--help="+word, "true")
		if len(ps) != 1 || ps[0].Flag != "--help" || ps[0].Value != word || ps[0].Expected != "--help or --help=all" {
			t.Errorf("--help=%s: got %v", word, ps)
		}
	}
	for _, args := range [][]string{{"true", "--help"}, {"--", "--version"}, {"true", "--help=all"}} {
		if s := load(t, args...); s.Answer != "" {
			t.Errorf("%q: the command's own, but answered %q", args, s.Answer)
		}
	}
}

func TestShowConfig(t *testing.T) {
	environment(t, "SERVER_STARTER_PATH=/a b;@c", "ENVDIR=-", "SERVER_STARTER_SIGNAL_MAP=WINCH:0;10:12", "SERVER_STARTER_UMASK=22", "SERVER_STARTER_DIR=",
		"SERVER_STARTER_WATCH=envdir;/etc/app", "SERVER_STARTER_MIN_IDLE=5", "SERVER_STARTER_DISCONNECT_SIGNAL=USR1")
	s := load(t, "--show-config", "--port=[::1]:80", "--port=a;b", "--auto-restart-interval=3600", "--enable-auto-restart",
		`--probe=["x", "", "é # --port"]`, "--export=",
		"--workers=4", "--max-memory=1.5G", "--hook-before-swap=nginx -t", "--disconnect-signal=", "--scoreboard=NONE", "ls", "-l", "a b")
	got := make(map[string]string)
	var titles []string
	for line := range strings.Lines(s.Answer) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name == "#" {
			titles = append(titles, rest)
			continue
		}
		got[name] = strings.Join(strings.Fields(rest), " ")
	}
	for name, want := range map[string]string{
		"port":                  `[::1]:80 "a;b" # --port`,
		"path":                  `"/a b" @c # SERVER_STARTER_PATH`,
		"envdir":                `"-" # ENVDIR`,
		"dir":                   `- # default`,
		"user":                  `- # default`,
		"export":                `- # --export`,
		"umask":                 `0022 # SERVER_STARTER_UMASK`,
		"socket-mode":           `0777 # default`,
		"signal-map":            `USR1:USR2 WINCH:0 # SERVER_STARTER_SIGNAL_MAP`,
		"start-timeout":         `1m # default`,
		"auto-restart-interval": `1h # --auto-restart-interval`,
		"watchdog":              `0s # default`,
		"kill-old-delay":        `5s # default`,
		"workers":               `4 # --workers`,
		"max-workers":           `4 # default`,
		"min-idle":              `5 # SERVER_STARTER_MIN_IDLE`,
		"max-idle":              `5 # default`,
		"max-memory":            `1536M # --max-memory`,
		"watch":                 `envdir /etc/app # SERVER_STARTER_WATCH`,
		"hook-before-swap":      `/bin/sh -c "nginx -t" # --hook-before-swap`,
		"disconnect-signal":     `- # --disconnect-signal`,
		"scoreboard":            `none # --scoreboard`,
		"probe":                 `x "" "é # --port" # --probe`,
		"command":               `ls -l "a b" # arguments`,
	} {
		if got[name] != want {
			t.Errorf("%s: got %s, want %s", name, got[name], want)
		}
	}
	var groups []string
	for _, g := range Groups() {
		groups = append(groups, g.Title)
	}
	if want := append(groups, "Command"); !slices.Equal(titles, want) {
		t.Errorf("groups %q, want %q", titles, want)
	}
	if len(got) != len(Table())+1 {
		t.Errorf("%d lines, want %d", len(got), len(Table())+1)
	}
}

func TestNearest(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"port", "port", 0}, {"", "abc", 3}, {"abc", "", 3}, {"prot", "port", 1}, {"prots", "port", 2}, {"por", "port", 1}, {"path", "port", 3}, {"kitten", "sitting", 3}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// TestInForceIsAList: what is not set has no items, which clients are told as a list of none.
func TestInForceIsAList(t *testing.T) {
	for _, v := range load(t, "server").InForce() {
		if v.Values == nil {
			t.Errorf("%s has no list of values", v.Name)
		}
	}
}
