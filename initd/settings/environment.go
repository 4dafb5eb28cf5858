package settings

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
)

// mistakes are what decoders have found wrong, by the value that they decode,
// while environment runs. A decoder is handed a text and nothing else, and
// envconfig stops at the first error, but all that is wrong has to be reported
// at once: so decoders note their errors here, and let envconfig go on.
var (
	mistakes map[pflag.Value][]error
	decoding sync.Mutex
)

// decode is the Decode of all values.
func decode(v pflag.Value, text string) error {
	if several, ok := v.(plural); ok {
		several.clear()
	}
	errs := parse(v, text, false)
	if mistakes == nil {
		return errors.Join(errs...)
	}
	if len(errs) > 0 {
		mistakes[v] = errs
	}
	return nil
}

// environment reads the variables, and the defaults where there are none. In
// what is wrong those without prefix come first.
func (s *Settings) environment() Problems {
	decoding.Lock()
	defer decoding.Unlock()
	mistakes = make(map[pflag.Value][]error)
	defer func() { mistakes = nil }()
	defer s.variables()()
	if err := envconfig.Process(prefix, s); err != nil {
		panic("settings: " + err.Error()) // decoders have returned none
	}
	var bare, prefixed Problems
	for _, r := range all() {
		from, given := s.sources[r.Name]
		if !given {
			continue
		}
		var found Problems
		for _, err := range mistakes[s.value(r)] {
			found = append(found, s.Problem(r.Name, from.text, err))
		}
		if from.variable == r.word {
			bare = append(bare, found...)
			continue
		}
		prefixed = append(prefixed, found...)
		if overridden, ok := os.LookupEnv(r.word); ok && r.isBare() { // which envconfig has not read
			other := &Settings{sources: make(map[string]source)}
			bare = append(bare, other.set(r, source{variable: r.word}, overridden)...)
		}
	}
	return append(bare, prefixed...)
}

// variables takes note of those that are set, and has envconfig find them
// trimmed. A blank one counts as unset, so envconfig must not find it at all: it
// would beat the variable without prefix, and the default. restore makes the
// environment what it was, for workers get theirs from it.
func (s *Settings) variables() (restore func()) {
	was := make(map[string]string)
	for _, kv := range os.Environ() {
		name, text, _ := strings.Cut(kv, "=")
		r, ok := setting(name)
		if !ok {
			continue
		}
		trimmed := strings.TrimSpace(text)
		handed := r.Name == "scoreboard" && decimal(trimmed) // by another initd, of which this one is a worker
		if trimmed == "" || handed {
			was[name] = text
			os.Unsetenv(name)
			continue
		}
		if trimmed != text {
			was[name] = text
			os.Setenv(name, trimmed)
		}
		if s.sources[r.Name].variable != r.Variable() {
			s.sources[r.Name] = source{variable: name, text: trimmed}
		}
	}
	return func() {
		for name, text := range was {
			os.Setenv(name, text)
		}
	}
}

// setting is what a variable is read for.
func setting(variable string) (Setting, bool) {
	word, prefixed := strings.CutPrefix(variable, prefix+"_")
	for _, r := range all() {
		if r.word == word {
			return r, prefixed || r.isBare()
		}
	}
	return Setting{}, false
}

// handed are the variables that initd hands to workers, so that one that runs
// under another has them. SCOREBOARD is a setting's, too: handed it is a file
// descriptor, which no setting takes for a path.
var handed = []string{"GENERATION", "WORKER", "SCOREBOARD", "SCOREBOARD_ROW", "EVENT", "RESULT", "REASON", "PID"}

// ours reports whether a variable has our prefix and a meaning.
func ours(variable string) bool {
	word, prefixed := strings.CutPrefix(variable, prefix+"_")
	if !prefixed || slices.Contains(handed, word) {
		return prefixed
	}
	_, known := setting(variable)
	return known
}

// Scrub drops from K=V strings the variables of the settings, as a worker must
// not see them: it might be an initd itself. With them go those that another
// initd has handed to this one, for they are about its pool.
func Scrub(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); !ours(name) {
			kept = append(kept, kv)
		}
	}
	return kept
}

// unknown finds the prefixed variables that mean nothing. A value may be a
// secret, so it is not quoted.
func (s *Settings) unknown() (problems Problems) {
	var kubernetes []string
	environ := os.Environ()
	slices.Sort(environ)
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		word, prefixed := strings.CutPrefix(name, prefix+"_")
		switch {
		case !prefixed || strings.TrimSpace(text) == "":
		case serviceLink(name, text):
			kubernetes = append(kubernetes, name)
		case !ours(name):
			reason := "unknown setting: initd " + Version + " has none of that name"
			if near := nearest(strings.ReplaceAll(word, "_", "-"), documented()); near != "" {
				reason = "unknown setting; did you mean " + row(near).Variable() + "?"
			}
			problems = append(problems, Problem{Variable: name, Reason: reason})
		}
	}
	if len(kubernetes) > 0 {
		s.Notes = append(s.Notes, strings.Join(kubernetes, ", ")+": made by Kubernetes for a Service named server-starter, not settings; "+
			"they are ignored (enableServiceLinks: false in the pod's spec keeps them away)")
	}
	const port = prefix + "_PORT"
	if slices.Contains(kubernetes, port) && s.sources["port"].variable == port {
		problems = append(problems, Problem{
			Setting: "port", Variable: port, Value: s.sources["port"].text,
			Reason: "made by Kubernetes for a Service named server-starter, in place of the setting. " +
				"Set enableServiceLinks: false in the pod's spec, give the Service another name, or use --port",
			Expected: "[host:][u]port[=fd]", Example: "--port=8080",
		})
	}
	return problems
}

// serviceLink knows the variables that Kubernetes makes for a Service named
// server-starter or server-starter-something, in the manner of Docker's links:
// …_SERVICE_HOST, …_SERVICE_PORT_<NAME>, …_PORT and …_PORT_80_TCP_ADDR.
func serviceLink(name, text string) bool {
	scheme, _, url := strings.Cut(strings.TrimSpace(text), "://")
	if strings.HasSuffix(name, "_PORT") && url && slices.Contains(transports, strings.ToUpper(scheme)) ||
		strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name+"_", "_SERVICE_PORT_") {
		return true
	}
	words := strings.Split(name, "_")
	if slices.Contains([]string{"PROTO", "PORT", "ADDR"}, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	n := len(words)
	return n > 3 && words[n-3] == "PORT" && decimal(words[n-2]) && slices.Contains(transports, words[n-1])
}

var transports = []string{"TCP", "UDP", "SCTP"}
