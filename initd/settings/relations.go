package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"server-starter/initd/machine"
)

// relate is what several settings have to do with each other: the defaults that
// follow from others, what is right alone but not together, unless one of it is
// among the problems already and so has another value than the user thinks, and
// what the user should know although nothing is wrong.
func (s *Settings) relate(problems Problems, asked map[string]bool) Problems {
	s.derive()
	s.Notes = append(s.Notes, s.remarks()...)
	return slices.Concat(s.output(), s.files(), s.watched(problems), s.sizes(problems), s.neverReady(problems), s.request(asked))
}

// derive sets what nobody gave and what follows from other settings.
func (s *Settings) derive() {
	if !s.Given("start-timeout") && s.Ready.Value != machine.Notify && s.StartTimeout <= s.Interval {
		s.StartTimeout += s.Interval // a worker may need the interval to be ready
	}
	if s.MaxWorkers == 0 {
		s.MaxWorkers = Size(s.Workers)
	}
	if !s.Given("max-idle") {
		// With max-workers or more the pool would never shrink.
		s.MaxIdle = min(max(Size(s.Workers), s.MinIdle+1), max(s.MinIdle, s.MaxWorkers-1))
	}
	if s.Binds() {
		// seccomp(2) demands it of a program without CAP_SYS_ADMIN.
		if s.Given("no-new-privs") && !bool(s.NoNewPrivs) {
			s.Notes = append(s.Notes, "no-new-privs: it is always on with export=bind, which cannot work without")
		}
		s.NoNewPrivs = true
		s.sources["no-new-privs"] = source{flag: "export=" + BindProtocol}
	}
	if !s.Given("kill-old-delay") {
		s.KillOldDelay = 0
		if s.EnableAutoRestart {
			s.KillOldDelay = Duration(5 * time.Second)
		}
	}
}

// Binds reports whether initd is to answer what workers bind themselves.
func (s *Settings) Binds() bool { return slices.Contains(s.Export, BindProtocol) }

// contradiction is a Problem of which is known what to do about it.
func (s *Settings) contradiction(name, value, expected, example, reason string, args ...any) Problem {
	p := s.Problem(name, value, fmt.Errorf(reason, args...))
	p.Expected, p.Example = expected, example
	return p
}

// flag is a setting's example as a flag.
func flag(name string) string { return row(name).Flag() + "=" + row(name).tag("example") }

// output finds a daemon whose output nobody would see.
func (s *Settings) output() (found Problems) {
	if !s.Daemonize {
		return nil
	}
	if s.LogFile.IsZero() && s.ErrorLog.IsZero() {
		found = append(found, s.contradiction("daemonize", "", "a file or | command besides", "--log-file=/var/log/app.log",
			"nobody would see the output: log-file or error-log is needed with it"))
	}
	for _, log := range s.logs() {
		if slices.Contains([]string{"/dev/stdout", "/dev/stderr", "/dev/tty"}, log.path) {
			found = append(found, s.contradiction(log.name, log.path, "a file of its own or | command", row(log.name).Flag()+"=/var/log/app.log",
				"is let go with daemonize"))
		}
	}
	return found
}

type file struct{ name, path string }

func (s *Settings) logs() []file {
	return []file{{"log-file", s.LogFile.File}, {"access-log", s.AccessLog.File}, {"error-log", s.ErrorLog.File}}
}

// files finds one file for two settings. Logs may share one.
func (s *Settings) files() (found Problems) {
	used := make(map[string]string)
	alone := []file{{"pid-file", s.PidFile}, {"status-file", s.StatusFile}}
	for _, f := range []file{{"scoreboard", string(s.Scoreboard)}, {"control-socket", string(s.ControlSocket)}} {
		if f.path != noPath {
			alone = append(alone, f)
		}
	}
	for i, f := range slices.Concat(alone, s.logs()) {
		first, taken := used[f.path]
		switch {
		case f.path == "":
		case taken:
			found = append(found, s.contradiction(f.name, f.path, "a file of its own", row(f.name).Flag()+"=/run/app."+strings.TrimSuffix(f.name, "-file"),
				"is the %s, too", first))
		case i < len(alone):
			used[f.path] = f.name
		}
	}
	return found
}

func (s *Settings) watched(problems Problems) Problems {
	if !slices.Contains(s.Watch, WatchEnvdir) || s.Envdir != "" || problems.about("watch", "envdir") {
		return nil
	}
	return Problems{s.contradiction("watch", WatchEnvdir, "envdir besides, or ./envdir for a file of that name", flag("envdir"), "there is no envdir")}
}

// grows reports whether the pool is of no fixed size.
func (s *Settings) grows() bool { return s.MaxWorkers > Size(s.Workers) }

// sizes finds those of a pool that contradict each other, and recycling that
// could never happen.
func (s *Settings) sizes(problems Problems) (found Problems) {
	least := func(name string, value, least Size, reason string) {
		example := fmt.Sprintf("%s=%d", cmp.Or(s.sources[name].variable, row(name).Flag()), least)
		found = append(found, s.contradiction(name, value.String(), fmt.Sprintf("%d or more", least), example, reason, least))
	}
	if s.MaxWorkers < Size(s.Workers) && !problems.about("workers", "max-workers") {
		least("max-workers", s.MaxWorkers, Size(s.Workers), "is less than workers (%d), which there are always")
	}
	if s.MaxIdle < s.MinIdle && !problems.about("min-idle", "max-idle") {
		least("max-idle", s.MaxIdle, s.MinIdle, "is less than min-idle (%d): what was started would be stopped at once")
	}
	if s.grows() && s.MinIdle > s.MaxWorkers && !problems.about("workers", "max-workers", "min-idle") {
		found = append(found, s.contradiction("min-idle", s.MinIdle.String(), "less than max-workers",
			row("max-workers").Flag()+"="+strconv.Itoa(min(2*int(s.MinIdle), MostWorkers)), "is more than max-workers (%d): there can never be so many", s.MaxWorkers))
	}
	if s.Scoreboard == NoScoreboard && s.MaxRequests > 0 && !problems.about("scoreboard", "max-requests") {
		found = append(found, s.contradiction("max-requests", s.MaxRequests.String(), "no scoreboard=none with it", flag("scoreboard"),
			"requests are counted on the scoreboard, and scoreboard=none does without"))
	}
	return found
}

// neverReady finds an interval that no worker can outlive.
func (s *Settings) neverReady(problems Problems) Problems {
	if problems.about("ready", "interval", "start-timeout") || s.Ready.Value != machine.Alive || s.StartTimeout == 0 || s.StartTimeout >= s.Interval {
		return nil
	}
	timeout, interval := time.Duration(s.StartTimeout), time.Duration(s.Interval)
	return Problems{s.contradiction("start-timeout", timeout.String(), "start-timeout 0 (no limit) or not less than interval", "--start-timeout=60",
		"no worker could ever be ready: with ready=alive it must live for interval (%v), but is killed after start-timeout (%v)", interval, timeout)}
}

// request takes note of what is asked instead of serving, and finds what is
// missing to find an initd that runs already.
func (s *Settings) request(asked map[string]bool) (found Problems) {
	for _, r := range []Request{Restart, Stop, Check} {
		if !asked[string(r)] {
			continue
		}
		own := "--" + string(r)
		if s.Request != None {
			found = append(found, Problem{Flag: own, Reason: "cannot be asked together with --" + string(s.Request)})
		}
		s.Request = r
		need := func(name, value string) {
			if value == "" {
				found = append(found, Problem{
					Flag: own, Reason: "needs " + name + ", to find the initd that is meant",
					Expected: "the " + name + " that it was started with", Example: flag(name),
				})
			}
		}
		if r != Check {
			need("pid-file", s.PidFile)
		}
		if r == Restart {
			need("status-file", s.StatusFile)
		}
	}
	return found
}

// remarks are about what is not wrong, but does other than one may think.
func (s *Settings) remarks() (notes []string) {
	given := func(names ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return !s.Given(name) })
	}
	note := func(names []string, about string, args ...any) {
		if len(names) > 0 {
			notes = append(notes, strings.Join(names, ", ")+": "+fmt.Sprintf(about, args...))
		}
	}
	if s.Respawn.Value == machine.Never {
		note(given("workers", "max-workers", "min-idle", "max-idle", "surge", "reuse-port", "scoreboard", "max-requests", "max-memory",
			"max-lifetime", "disconnect-signal", "watch", "hook-before-swap", "hook-after-swap", "hook-on-disconnect"),
			"left aside, for with respawn=never there is one command and no swap; take respawn=always for workers")
		return notes
	}
	if listener := s.ProbedListener(); listener != "" {
		note([]string{"probe"}, "it asks %s, where old workers accept connections as well: one of them may answer, and a swap to a program that never accepts any succeeds; "+
			"let it ask something that only a new worker has, such as another port", listener)
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
	case s.Interval == 0 && s.Ready.Value != machine.Notify && len(s.Probe) == 0:
		note([]string{"surge"}, "with interval 0 and ready=%s a worker counts as ready at once, and the next are swapped before it serves; "+
			"set ready=notify, a probe or an interval", s.Ready)
	}
	return notes
}
