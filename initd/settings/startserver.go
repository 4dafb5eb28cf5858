package settings

import (
	"os"
	"slices"
	"strings"
)

// StartServer is the name under which initd keeps to what start_server does.
const StartServer = "start_server"

// originalVersion is the Server::Starter whose contract is kept.
const originalVersion = "0.35"

// original are the options of start_server; whether they take a value is known
// from the settings.
var original = []string{
	"port", "path", "interval", "log-file", "pid-file", "dir", "signal-on-hup", "signal-on-term", "backlog", "envdir",
	"enable-auto-restart", "daemonize", "auto-restart-interval", "kill-old-delay", "status-file", "restart", "stop", "help", "version",
}

// LoadStartServer is Load for a command line that was written for start_server.
// Beyond that, the four settings which start_server passes on to workers, in
// variables without prefix, are handed on where a flag gave them.
func LoadStartServer(args []string) (*Settings, error) {
	flags := translate(args)
	s, err := Load(flags)
	// For initd an empty value may mean none, but Getopt::Long wants one.
	problems, _ := err.(Problems)
	for _, arg := range flags[:slices.Index(flags, "--")] {
		name, empty := strings.CutSuffix(arg[len("--"):], "=")
		if empty && slices.Contains(original, name) && takesValue(name) && !problems.about(name) {
			problems = append(problems, s.Problem(name, "", errEmpty))
			err = problems
		}
	}
	switch {
	case strings.HasPrefix(s.Answer, "initd "+Version):
		s.Answer = originalVersion + " (initd " + Version + ")\n"
	case s.Answer == Usage():
		s.Answer = FullUsage() // as start_server's, it has every option
	}
	for _, r := range all() {
		from := s.sources[r.Name]
		if !r.isBare() || from.flag == "" {
			continue
		}
		if !takesValue(r.Name) {
			from.text = "1"
		}
		s.Handed = append(s.Handed, r.word+"="+from.text)
	}
	return s, err
}

// translate writes a command line as Getopt::Long reads it in the form that
// initd takes. An option may begin with one dash, or a plus unless
// POSIXLY_CORRECT is set, may be in any case and cut short as long as it is
// clear which one of start_server's is meant; and it may stand after words of
// the command, up to a --.
func translate(args []string) (flags []string) {
	var words []string
	_, posix := os.LookupEnv("POSIXLY_CORRECT")
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			words, args = append(words, args...), nil
			break
		}
		text, ok := option(arg, posix)
		if !ok {
			words = append(words, arg)
			if posix {
				words, args = append(words, args...), nil
			}
			continue
		}
		name, value, assigned := strings.Cut(text, "=")
		name = complete(name)
		switch {
		case assigned:
			flags = append(flags, "--"+name+"="+value)
		case takesValue(name) && len(args) > 0:
			flags = append(flags, "--"+name+"="+args[0])
			args = args[1:]
		default:
			flags = append(flags, "--"+name)
		}
	}
	return append(append(flags, "--"), words...)
}

// option is the text of an argument after what makes it one.
func option(arg string, posix bool) (string, bool) {
	for _, prefix := range []string{"--", "-", "+"} {
		if text, ok := strings.CutPrefix(arg, prefix); ok && text != "" && !(prefix == "+" && posix) {
			return text, true
		}
	}
	return "", false
}

// complete is the option that is meant, or the text where that is not clear:
// then it is for Load to say so.
func complete(text string) string {
	lower := strings.ToLower(text)
	if _, ok := lookup(lower); ok || slices.Contains(original, lower) {
		return lower
	}
	meant := slices.DeleteFunc(slices.Clone(original), func(name string) bool { return !strings.HasPrefix(name, lower) })
	if len(meant) != 1 {
		return text
	}
	return meant[0]
}
