package settings

import (
	"os"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// environment reads the variables, and the defaults where there are none. In
// what is wrong those without prefix come first.
//
// envconfig stops at the first error and does not look at a variable that
// another one beats, but all that is wrong has to be reported at once. So each
// variable is tried first, and envconfig finds only what is right, trimmed; nor
// does it find a blank one, which counts as unset but would beat the variable
// without prefix, and the default. Then the environment is made what it was, for
// workers get theirs from it.
func (s *Settings) environment() (problems Problems) {
	trial := &Settings{sources: s.sources}
	was := make(map[string]string)
	try := func(r Setting, name, text string) {
		was[name] = text
		text = strings.TrimSpace(text)
		os.Setenv(name, text)
		handed := r.Name == "scoreboard" && decimal(text) // by another initd, of which this one is a worker
		if text == "" || handed {
			os.Unsetenv(name)
		} else if wrong := trial.set(r, source{variable: name}, text); wrong != nil {
			os.Unsetenv(name)
			problems = append(problems, wrong...)
		}
	}
	for _, r := range all() {
		if text, ok := os.LookupEnv(r.word); ok && r.isBare() {
			try(r, r.word, text)
		}
	}
	for _, r := range all() {
		if text, ok := os.LookupEnv(r.Variable()); ok {
			try(r, r.Variable(), text)
		}
	}
	err := envconfig.Process(prefix, s)
	for name, text := range was {
		os.Setenv(name, text)
	}
	if err != nil {
		panic("settings: " + err.Error()) // a default of ours
	}
	return problems
}

// forgetBare resets the settings that came from variables without prefix, and
// returns the problems without theirs. A plain init does not replace start_server,
// so these variables are its command's.
func (s *Settings) forgetBare(problems Problems) Problems {
	for _, r := range all() {
		if !r.isBare() {
			continue
		}
		problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Variable == r.word })
		if s.sources[r.Name].variable == r.word {
			delete(s.sources, r.Name)
			parse(s.value(r), r.tag("default"), false)
		}
	}
	return problems
}

// ours reports whether a variable has our prefix and a meaning.
func ours(variable string) bool {
	word, prefixed := strings.CutPrefix(variable, prefix+"_")
	handed := func(v Variable) bool { return v.Name == variable }
	return prefixed && (slices.ContainsFunc(Variables, handed) || slices.ContainsFunc(all(), func(r Setting) bool { return r.word == word }))
}

// Scrub drops from K=V strings the variables of the settings, as a worker must
// not see them: it might be an initd itself. With them go those that another
// initd has handed to this one, for they are about its pool.
func Scrub(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return ours(name)
	})
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
	s.Notes = append(s.Notes, strays(environ)...)
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

// strays finds the variables that initd sets for its workers and hooks where no initd has started this one: somebody
// else has set them, and perhaps means a setting.
func strays(environ []string) (notes []string) {
	given := make(map[string]string)
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		given[name] = strings.TrimSpace(text)
	}
	has := func(word string) bool { return given[prefix+"_"+word] != "" }
	port, inherits := given[prefix+"_PORT"]
	inherits = inherits && (port == "" || strings.Contains(port, "=")) // start_server's form, which has descriptors
	if has("GENERATION") && (has("WORKER") || inherits) || has("EVENT") && has("RESULT") {
		return nil
	}
	for _, v := range Variables {
		word, prefixed := strings.CutPrefix(v.Name, prefix+"_")
		name := strings.ToLower(strings.ReplaceAll(word, "_", "-"))
		is := slices.Contains(documented(), name)
		if !prefixed || !has(word) || is && !decimal(given[v.Name]) {
			continue
		}
		note := v.Name + ": ignored, because initd sets it for its own workers and hooks"
		if is {
			note = v.Name + ": ignored, because a number is what initd sets for its own workers"
		} else if meant := meant(name); meant != "" {
			note += ", and it is not a setting; did you mean " + row(meant).Variable() + "?"
		}
		notes = append(notes, note)
	}
	return notes
}

// meant is the setting that somebody probably means by a name, or empty. It may be only the beginning of one.
func meant(name string) string {
	names := slices.DeleteFunc(documented(), func(s string) bool { return s == name })
	for _, s := range names {
		if strings.HasPrefix(s, name+"-") {
			return s
		}
	}
	return nearest(name, names)
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
