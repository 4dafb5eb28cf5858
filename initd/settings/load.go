package settings

import (
	"slices"

	"server-starter/initd/machine"
)

// Load reads the process's environment and its arguments, without argv[0]. The
// error is Problems, all that is wrong; the Settings are there even then, so
// that a caller who finds more wrong with them can add to it. With --help or
// --version nothing is wrong and nothing but the Answer is set.
func Load(args []string) (*Settings, error) {
	s := &Settings{Umask: noMode, sources: make(map[string]source)}
	problems := s.environment()
	asked, wrong := s.flags(args)
	problems = append(problems, wrong...)
	switch {
	case asked[fullHelp]:
		return &Settings{Answer: FullUsage()}, nil
	case asked["help"]:
		return &Settings{Answer: Usage()}, nil
	case asked["version"]:
		return &Settings{Answer: "initd " + Version + "\n"}, nil
	}
	if s.Respawn.Value == machine.Never {
		problems = s.forgetBare(problems)
	}
	problems = append(problems, s.unknown()...)
	problems = append(problems, s.relate(problems, asked)...)
	if asked["show-config"] {
		s.Answer = s.show()
	}
	// After an unknown flag nobody knows where the command begins.
	lost := slices.ContainsFunc(problems, func(p Problem) bool { return p.Flag != "" && p.Setting == "" })
	if len(s.Command) == 0 && s.Answer == "" && s.Request == None && !lost {
		problems = append(problems, Problem{
			Reason:   "no command was given",
			Expected: synopsis,
			// Docker does not pass CMD on to an ENTRYPOINT in the shell form.
			Example: `initd --port=8080 -- ./server, or in a Dockerfile, as JSON arrays: ENTRYPOINT ["/initd"] and CMD ["./server"]`,
		})
	}
	if len(problems) > 0 {
		return s, problems
	}
	return s, nil
}
