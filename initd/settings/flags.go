package settings

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// questions are the flags that are no settings.
var questions = []string{"help", "version", "show-config", string(Restart), string(Stop), string(Check)}

// flags reads the arguments. They go to pflag one by one, since it stops at the
// first error it finds.
func (s *Settings) flags(rows []Setting, args []string) (asked map[string]bool, problems Problems) {
	set := pflag.NewFlagSet("initd", pflag.ContinueOnError)
	for _, r := range rows {
		f := set.VarPF(r.value, r.Name, "", r.Meaning)
		if _, ok := r.value.(*boolean); ok {
			f.NoOptDefVal = "true"
		}
	}
	asked = make(map[string]bool)
	for _, word := range questions {
		set.VarPF(new(boolean), word, "", "").NoOptDefVal = "true"
	}

	given := make(map[string][]string)
	collect := func(f *pflag.Flag, text string) error {
		given[f.Name] = append(given[f.Name], text)
		return nil
	}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if arg == "-h" {
			arg = "--help"
		}
		err := errors.New("no short flags") // not for pflag, which lets any -test.x pass
		if strings.HasPrefix(arg, "--") {
			err = set.ParseAll([]string{arg}, collect)
		}
		var missing *pflag.ValueRequiredError
		if errors.As(err, &missing) && len(args) > 0 {
			err = set.ParseAll([]string{arg, args[0]}, collect)
			args = args[1:]
		}
		switch {
		case err == nil:
		case errors.As(err, &missing):
			s.sources[missing.GetFlag().Name] = source{flag: arg}
			problems = append(problems, s.Problem(missing.GetFlag().Name, "", errEmpty))
		default:
			name, _, hasValue := strings.Cut(arg, "=")
			reason := "unknown flag: initd " + Version + " has none of that name"
			if near := nearest(strings.ReplaceAll(strings.Trim(name, "-"), "_", "-"), names(rows)); near != "" {
				reason = "unknown flag; did you mean --" + near + "?"
				// The next word is its value, if the flag that was meant has one.
				if set.Lookup(near).NoOptDefVal == "" && !hasValue && len(args) > 0 {
					args = args[1:]
				}
			}
			problems = append(problems, Problem{Flag: name, Reason: reason})
		}
	}
	s.Command = args

	for _, r := range rows {
		if texts := given[r.Name]; texts != nil {
			problems = append(problems, s.set(r, source{flag: r.Flag()}, texts...)...)
		}
	}
	for _, word := range questions {
		for _, text := range given[word] {
			var yes boolean
			if err := yes.Set(strings.TrimSpace(text)); err != nil {
				problems = append(problems, Problem{Flag: "--" + word, Value: text, Reason: err.Error()})
			}
			asked[word] = bool(yes)
		}
	}
	return asked, problems
}

func names(rows []Setting) []string {
	names := slices.Clone(questions)
	for _, r := range rows {
		if !r.Hidden {
			names = append(names, r.Name)
		}
	}
	return names
}
