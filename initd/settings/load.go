package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Load reads the process's environment and its arguments, without argv[0]. The
// error is Problems, all that is wrong; the Settings are there even then, so
// that a caller who finds more wrong with them can add to it. With --help or
// --version nothing is wrong and nothing but the Answer is set.
func Load(args []string) (*Settings, error) {
	s := &Settings{Umask: -1, sources: make(map[string]source)}
	rows := s.table()

	var problems Problems
	for _, r := range rows {
		if r.Default != "" {
			problems = append(problems, s.set(r, source{}, r.Default)...)
		}
	}
	problems = append(problems, s.environment(rows)...)
	asked, wrong := s.flags(rows, args)
	problems = append(problems, wrong...)
	switch {
	case asked["help"]:
		return &Settings{Answer: Usage()}, nil
	case asked["version"]:
		return &Settings{Answer: "initd " + Version + "\n"}, nil
	}
	problems = append(problems, s.unknown(rows, os.Environ())...)
	s = s.With(Overrides{})
	problems = append(problems, s.impossible(problems)...)
	s.Notes = append(s.Notes, s.remarks()...)
	problems = append(problems, s.request(asked)...)
	if asked["show-config"] {
		s.Answer = s.show()
	}
	// After an unknown flag nobody knows where the command begins.
	lost := slices.ContainsFunc(problems, func(p Problem) bool { return p.Flag != "" && p.Setting == "" })
	if len(s.Command) == 0 && s.Answer == "" && s.Request == None && !lost {
		problems = append(problems, Problem{
			Reason:   "no command was given",
			Expected: synopsis, Example: "initd --port=8080 -- ./server",
		})
	}
	if len(problems) > 0 {
		return s, problems
	}
	return s, nil
}

// set puts texts in place of what the setting had.
func (s *Settings) set(r Setting, from source, texts ...string) (problems Problems) {
	from.text = texts[len(texts)-1]
	s.sources[r.Name] = from
	several, isSeveral := r.value.(plural)
	if isSeveral {
		several.clear()
	}
	_, verbatim := r.value.(*list)
	for _, text := range texts {
		text = strings.TrimSpace(text)
		items := []string{text}
		if isSeveral && !(verbatim && from.flag != "") {
			items = split(text)
		}
		for _, item := range items {
			if err := r.value.Set(item); err != nil {
				if item != text {
					err = fmt.Errorf("%q: %w", item, err)
				}
				problems = append(problems, s.Problem(r.Name, text, err))
			}
		}
	}
	return problems
}

// impossible finds values that are right alone but not together, unless one of
// them is among the problems already.
func (s *Settings) impossible(problems Problems) (found Problems) {
	if s.Daemonize && s.LogFile.IsZero() && s.ErrorLog.IsZero() {
		p := s.Problem("daemonize", "", errors.New("nobody would see the output: log-file or error-log is needed with it"))
		p.Expected, p.Example = "a file or | command besides", "--log-file=/var/log/app.log"
		found = append(found, p)
	}
	type named struct{ name, path string }
	alone := []named{
		{"pid-file", s.PidFile}, {"status-file", s.StatusFile}, {"scoreboard", s.Scoreboard}, {"control-socket", s.ControlSocket},
	}
	logs := []named{ // which may have one file together
		{"log-file", s.LogFile.File}, {"access-log", s.AccessLog.File}, {"error-log", s.ErrorLog.File},
	}
	for _, log := range logs {
		if s.Daemonize && (log.path == "/dev/stdout" || log.path == "/dev/stderr" || log.path == "/dev/tty") {
			p := s.Problem(log.name, log.path, errors.New("is let go with daemonize"))
			p.Expected, p.Example = "a file of its own or | command", row(log.name).Flag()+"=/var/log/app.log"
			found = append(found, p)
		}
	}
	used := make(map[string]string)
	for _, file := range slices.Concat(alone, logs) {
		switch first := used[file.path]; {
		case file.path == "" || file.path == noPath && (file.name == "scoreboard" || file.name == "control-socket"):
		case slices.ContainsFunc(alone, func(f named) bool { return f.name == first }):
			p := s.Problem(file.name, file.path, errors.New("is the "+first+", too"))
			p.Expected, p.Example = "a file of its own", row(file.name).Flag()+"=/run/app."+strings.TrimSuffix(file.name, "-file")
			found = append(found, p)
		default:
			used[file.path] = file.name
		}
	}
	if slices.Contains(s.Watch, WatchEnvdir) && s.Envdir == "" && !problems.about("watch", "envdir") {
		p := s.Problem("watch", WatchEnvdir, errors.New("there is no envdir"))
		p.Expected, p.Example = "envdir besides, or ./envdir for a file of that name", row("envdir").Flag()+"="+row("envdir").Example
		found = append(found, p)
	}
	return slices.Concat(found, s.pool(problems), s.neverReady(problems))
}

// neverReady finds an interval that no worker can outlive.
func (s *Settings) neverReady(problems Problems) Problems {
	if problems.about("ready", "interval", "start-timeout") || s.Ready != Alive || s.StartTimeout == 0 || s.StartTimeout >= s.Interval {
		return nil
	}
	p := s.Problem("start-timeout", s.StartTimeout.String(), fmt.Errorf(
		"no worker could ever be ready: with ready=alive it must live for interval (%v), but is killed after start-timeout (%v)", s.Interval, s.StartTimeout))
	p.Expected, p.Example = "start-timeout 0 (no limit) or not less than interval", "--start-timeout=60"
	return Problems{p}
}
