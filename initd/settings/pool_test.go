package settings

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// What nobody gave follows from what somebody did.
func TestPoolDefaults(t *testing.T) {
	environment(t)
	for _, test := range []struct {
		args                   string
		most, minIdle, maxIdle Size
	}{
		{"", 1, 1, 1},
		{"--workers=4", 4, 1, 3},
		{"--workers=4 --max-workers=0", 4, 1, 3},
		{"--workers=4 --max-workers=16", 16, 1, 4},
		{"--max-workers=16 --min-idle=5", 16, 5, 6},
		{"--max-workers=2", 2, 1, 1}, // with 2 it would never shrink
		{"--workers=2 --max-workers=4 --min-idle=3", 4, 3, 3},
		{"--workers=2 --max-workers=4 --min-idle=4", 4, 4, 4},
		{"--workers=2 --max-workers=9 --min-idle=0 --max-idle=0", 9, 0, 0},
		{"--workers=4096 --max-workers=4096 --min-idle=4096", 4096, 4096, 4096},
	} {
		s := load(t, append(strings.Fields(test.args), "true")...).With(Overrides{})
		if s.MaxWorkers != test.most || s.MinIdle != test.minIdle || s.MaxIdle != test.maxIdle {
			t.Errorf("%s: max-workers %d, min-idle %d, max-idle %d; want %d, %d, %d",
				test.args, s.MaxWorkers, s.MinIdle, s.MaxIdle, test.most, test.minIdle, test.maxIdle)
		}
	}
}

// Each contradiction is told with an example that, put in its place, mends it.
func TestPoolProblems(t *testing.T) {
	environment(t)
	for _, test := range []struct {
		args  string
		flags string // that are named, in order
	}{
		{"--workers=4 --max-workers=4", ""},
		{"--workers=4 --max-workers=3", "--max-workers"},
		{"--workers=20 --max-workers=19", "--max-workers"},
		{"--workers=x --max-workers=3", "--workers"},
		{"--max-workers=9 --min-idle=3 --max-idle=3", ""},
		{"--max-workers=9 --min-idle=3 --max-idle=2", "--max-idle"},
		{"--max-workers=9 --max-idle=0", "--max-idle"},
		{"--max-workers=9 --min-idle=9", ""},
		{"--max-workers=9 --min-idle=10", "--min-idle"},
		{"--max-workers=9 --min-idle=10 --max-idle=3", "--max-idle --min-idle"},
		{"--max-workers=x --min-idle=10", "--max-workers"},
		{"--workers=x --max-workers=9 --min-idle=10", "--workers"},
		{"--max-workers=9 --min-idle=x --max-idle=0", "--min-idle"},
		{"--min-idle=10", ""}, // of which a note tells
		{"--max-requests=5 --scoreboard=none", "--max-requests"},
		{"--max-requests=0 --scoreboard=none", ""},
		{"--max-requests=x --scoreboard=none", "--max-requests"},
		{"--max-requests=5 --scoreboard=./none", ""},
		{"--workers=4 --max-workers=3 --min-idle=2 --max-idle=1 --max-requests=5 --scoreboard=none --watch=envdir", "--watch --max-workers --max-idle --max-requests"},
		{"--watch=envdir", "--watch"},
		{"--watch=./envdir --watch=command", ""},
		{"--watch=envdir --envdir=/e", ""},
		{"--pid-file=/x --scoreboard=/x", "--scoreboard"},
		{"--scoreboard=/x --error-log=/x", "--error-log"},
		{"--scoreboard=none --error-log=none --access-log=none", ""},
	} {
		args := append(strings.Fields(test.args), "true")
		_, err := Load(args)
		var ps Problems
		errors.As(err, &ps)
		var flags []string
		mended := slices.Clone(args)
		for _, p := range ps {
			flags = append(flags, p.Flag)
			if p.Expected == "" || p.Example == "" || p.Reason == "" {
				t.Errorf("%s: %+v", test.args, p)
			}
			mended = slices.Insert(mended, len(mended)-1, strings.ReplaceAll(p.Example, "'", ""))
		}
		if got := strings.Join(flags, " "); got != test.flags {
			t.Errorf("%s: got %v, want %q", test.args, err, test.flags)
		}
		if _, err := Load(mended); err != nil && !strings.Contains(test.args, "=x") && len(ps) == 1 {
			t.Errorf("%s: with what is proposed: %v", test.args, err)
		}
	}
	// The example is of where the wrong one came from.
	environment(t, "SERVER_STARTER_WORKERS=8", "SERVER_STARTER_MAX_WORKERS=4")
	if ps := problems(t, "true"); ps[0].Variable != "SERVER_STARTER_MAX_WORKERS" || ps[0].Example != "SERVER_STARTER_MAX_WORKERS=8" {
		t.Errorf("got %+v", ps)
	}
}

// A setting that does nothing, or other than one may think, is told of; others
// are not.
func TestRemarks(t *testing.T) {
	environment(t)
	for _, test := range []struct{ args, want string }{ // how the note begins; empty: there is none
		{"", ""},
		{"--workers=4", ""},
		{"--workers=4 --max-workers=8", ""},
		{"--max-workers=2", ""},
		{"--workers=4 --max-workers=8 --max-idle=7", ""},
		{"--workers=4 --max-workers=8 --max-idle=8", "max-idle: 8, which"},
		{"--workers=4 --max-workers=8 --min-idle=8", "max-idle: 8, which"},
		{"--min-idle=10", "min-idle: left aside"},
		{"--workers=4 --max-workers=4 --min-idle=2 --max-idle=3", "min-idle, max-idle: left aside"},
		{"--workers=4 --surge=1", ""},
		{"--workers=4 --surge=4", "surge: 4, but"},
		{"--surge=1", "surge: 1, but"},
		{"--workers=4 --max-workers=8 --surge=4", ""},
		{"--workers=4 --surge=1 --interval=0", "surge: with interval 0 and ready=auto"},
		{"--workers=4 --surge=1 --interval=0 --ready=alive", "surge: with interval 0 and ready=alive"},
		{"--workers=4 --surge=1 --interval=0 --ready=notify", ""},
		{"--workers=4 --surge=1 --interval=0 --probe=true", ""},
		{"--respawn=never --probe=true --kill-old-delay=3 --hook-after-init=true", ""},
		{"--respawn=never --workers=4 --surge=9 --watch=/x --hook-after-swap=true", "workers, surge, watch, hook-after-swap: left aside"},
	} {
		s := load(t, append(strings.Fields(test.args), "true")...)
		if test.want == "" && len(s.Notes) > 0 || test.want != "" && (len(s.Notes) != 1 || !strings.HasPrefix(s.Notes[0], test.want)) {
			t.Errorf("%s: got %q, want %q", test.args, s.Notes, test.want)
		}
	}
}
