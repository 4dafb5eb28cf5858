package settings

// request takes note of what an initd that runs already is asked to do, and
// finds what is missing to find it.
func (s *Settings) request(asked map[string]bool) (problems Problems) {
	for _, r := range []Request{Restart, Stop} {
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
		need("pid-file", s.PidFile)
		if r == Restart {
			need("status-file", s.StatusFile)
		}
	}
	return problems
}
