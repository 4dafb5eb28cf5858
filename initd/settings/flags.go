package settings

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// questions are the flags that are no settings.
var questions = []string{"help", "version", "show-config", string(Restart), string(Stop), string(Check)}

// fullHelp is the question of --help=all.
const fullHelp = "help=all"

// define adds a flag to the set, if there is one of that name. To define all,
// when a command line has a few, takes as long as all the rest of flags.
func define(set *pflag.FlagSet, name string) {
	if _, ok := lookup(name); !ok && !slices.Contains(questions, name) || set.Lookup(name) != nil {
		return
	}
	f := set.VarPF(new(text), name, "", "") // whose value is collected
	switch {
	case name == "help":
		f.NoOptDefVal = " " // as empty as a value can be here
	case !takesValue(name):
		f.NoOptDefVal = "true"
	}
}

// flags reads the arguments: flags up to the first word that is none, and the
// command.
func (s *Settings) flags(args []string) (asked map[string]bool, problems Problems) {
	given, problems := s.arguments(args)
	for _, r := range all() {
		if texts := given[r.Name]; texts != nil {
			problems = append(problems, s.set(r, source{flag: r.Flag()}, texts...)...)
		}
	}
	asked = make(map[string]bool)
	for _, text := range given["help"] {
		text = strings.TrimSpace(text)
		asked["help"], asked[fullHelp] = text == "", text == "all"
		if text != "" && text != "all" {
			problems = append(problems, Problem{
				Flag: "--help", Value: text, Reason: "there is no such help",
				Expected: "--help or --help=all", Example: "--help=all",
			})
		}
	}
	for _, word := range questions[1:] {
		for _, text := range given[word] {
			var yes Bool
			if err := yes.Set(strings.TrimSpace(text)); err != nil {
				problems = append(problems, Problem{Flag: "--" + word, Value: text, Reason: err.Error()})
			}
			asked[word] = bool(yes)
		}
	}
	return asked, problems
}

// arguments collects the texts of each flag. They go to pflag one by one, since
// it stops at the first error it finds.
func (s *Settings) arguments(args []string) (given map[string][]string, problems Problems) {
	set := pflag.NewFlagSet("initd", pflag.ContinueOnError)
	given = make(map[string][]string)
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
		switch arg {
		case "-h":
			arg = "--help"
		case "-v":
			arg = "--version"
		}
		flag, _, hasValue := strings.Cut(arg, "=")
		name, long := strings.CutPrefix(flag, "--")
		if takesValue(name) && !hasValue && len(args) > 0 {
			arg, args = arg+"="+args[0], args[1:]
		}
		err := errors.New("no short flags") // not for pflag, which lets any -test.x pass
		if long {
			define(set, name)
			err = set.ParseAll([]string{arg}, collect)
		}
		var missing *pflag.ValueRequiredError
		switch {
		case err == nil:
		case errors.As(err, &missing):
			s.sources[name] = source{flag: flag}
			problems = append(problems, s.Problem(name, "", errEmpty))
		default:
			reason := "unknown flag: initd " + Version + " has none of that name"
			if near := nearest(strings.ReplaceAll(strings.Trim(flag, "-"), "_", "-"), slices.Concat(questions, documented())); near != "" {
				reason = "unknown flag; did you mean --" + near + "?"
				// The next word is its value, if the flag that was meant has one.
				if takesValue(near) && !hasValue && len(args) > 0 {
					args = args[1:]
				}
			}
			problems = append(problems, Problem{Flag: flag, Reason: reason})
		}
	}
	s.Command = args
	return given, problems
}

// takesValue reports whether a setting's flag has to; that of a Bool may go
// without.
func takesValue(name string) bool {
	r, ok := lookup(name)
	return ok && r.field.Type != reflect.TypeFor[Bool]()
}
