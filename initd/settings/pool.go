package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MostWorkers is how many workers there may be. It is more than a kernel is
// asked to schedule on purpose, and keeps a slip of the pen from being forked.
const MostWorkers = 4096

// pool finds sizes that contradict each other, and recycling that could never
// happen.
func (s *Settings) pool(problems Problems) (found Problems) {
	contradict := func(name string, value, least int, reason string) {
		p := s.Problem(name, strconv.Itoa(value), errors.New(reason))
		where, _, _ := strings.Cut(p.Example, "=")
		p.Expected, p.Example = fmt.Sprintf("%d or more", least), fmt.Sprintf("%s=%d", where, least)
		found = append(found, p)
	}
	known := func(names ...string) bool { return problems.about(names...) }
	if s.MaxWorkers < s.Workers && !known("workers", "max-workers") {
		contradict("max-workers", s.MaxWorkers, s.Workers,
			fmt.Sprintf("is less than workers (%d), which there are always", s.Workers))
	}
	if s.MaxIdle < s.MinIdle && !known("min-idle", "max-idle") {
		contradict("max-idle", s.MaxIdle, s.MinIdle,
			fmt.Sprintf("is less than min-idle (%d): what was started would be stopped at once", s.MinIdle))
	}
	if s.grows() && s.MinIdle > s.MaxWorkers && !known("workers", "max-workers", "min-idle") {
		p := s.Problem("min-idle", strconv.Itoa(s.MinIdle), fmt.Errorf("is more than max-workers (%d): there can never be so many", s.MaxWorkers))
		p.Expected, p.Example = "less than max-workers", row("max-workers").Flag()+"="+strconv.Itoa(min(2*s.MinIdle, MostWorkers))
		found = append(found, p)
	}
	if s.Scoreboard == NoScoreboard && s.MaxRequests > 0 && !known("scoreboard", "max-requests") {
		p := s.Problem("max-requests", strconv.Itoa(s.MaxRequests), errors.New("requests are counted on the scoreboard, and scoreboard=none does without"))
		p.Expected, p.Example = "no scoreboard=none with it", row("scoreboard").Flag()+"="+row("scoreboard").Example
		found = append(found, p)
	}
	return found
}

// grows reports whether the pool is of no fixed size.
func (s *Settings) grows() bool { return s.MaxWorkers > s.Workers }

// remarks are about what is not wrong, but does other than one may think.
func (s *Settings) remarks() (notes []string) {
	given := func(names ...string) (some []string) {
		for _, name := range names {
			if s.Given(name) {
				some = append(some, name)
			}
		}
		return some
	}
	note := func(names []string, about string, args ...any) {
		if len(names) > 0 {
			notes = append(notes, strings.Join(names, ", ")+": "+fmt.Sprintf(about, args...))
		}
	}
	if s.Respawn == Never {
		note(given("workers", "max-workers", "min-idle", "max-idle", "surge", "reuse-port", "scoreboard", "max-requests", "max-memory",
			"max-lifetime", "disconnect-signal", "watch", "hook-before-swap", "hook-after-swap", "hook-on-disconnect"),
			"left aside, for with respawn=never there is one command and no swap; take respawn=always for workers")
		return notes
	}
	if !s.Daemonize {
		note(given("hook-before-daemonize"), "left aside without daemonize: hook-after-init runs before the first worker in any case")
	}
	switch {
	case !s.grows():
		note(given("min-idle", "max-idle"), "left aside, for the pool is always of %d: set max-workers to more than that to have it grow", s.Workers)
	case s.MaxIdle >= s.MaxWorkers:
		note([]string{"max-idle"}, "%d, which is no less than max-workers (%d), so the pool never shrinks", s.MaxIdle, s.MaxWorkers)
	}
	switch {
	case s.Surge == 0:
	case s.Surge >= s.MaxWorkers:
		note([]string{"surge"}, "%d, but there are no more than %d workers: a swap is of all at once", s.Surge, s.MaxWorkers)
	case s.Interval == 0 && s.Ready != Notify && len(s.Probe) == 0:
		note([]string{"surge"}, "with interval 0 and ready=%s a worker counts as ready at once, and the next are swapped before it serves; "+
			"set ready=notify, a probe or an interval", s.Ready)
	}
	return notes
}
