package settings

// request takes note of what is asked instead of serving, and finds what is
// missing to find an initd that runs already.
func (s *Settings) request(asked map[string]bool) (problems Problems) {
	for _, r := range []Request{Restart, Stop, Check} {
		if !asked[string(r)] {
			continue
		}
		flag := "--" + string(r)
		if s.Request != None {
			problems = append(problems, Problem{Flag: flag, Reason: "cannot be asked together with --" + string(s.Request)})
		}
		s.Request = r
		need := func(name, value string) {
			if value == "" {
				row := row(name)
				problems = append(problems, Problem{
					Flag: flag, Reason: "needs " + name + ", to find the initd that is meant",
					Expected: "the " + name + " that it was started with", Example: row.Flag() + "=" + row.Example,
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
	return problems
}
