package settings

import (
	"os"
	"slices"
	"strings"
)

// environment reads the variables: those that start_server reads without
// prefix first, since the others beat them. An empty one is as good as none.
func (s *Settings) environment(rows []Setting) (problems Problems) {
	read := func(r Setting, name string) {
		text := os.Getenv(name)
		handed := r.Name == "scoreboard" && decimal(strings.TrimSpace(text)) // by another initd, of which this one is a worker
		if strings.TrimSpace(text) != "" && !handed {
			problems = append(problems, s.set(r, source{variable: name}, text)...)
		}
	}
	for _, r := range rows {
		if r.Bare {
			read(r, r.bare())
		}
	}
	for _, r := range rows {
		read(r, r.Variable())
	}
	return problems
}

// handed are the variables that initd hands to workers, so that one that runs
// under another has them. SCOREBOARD is a setting's, too: handed it is a file
// descriptor, which no setting takes for a path.
var handed = []string{"GENERATION", "WORKER", "SCOREBOARD", "SCOREBOARD_ROW", "EVENT", "RESULT", "REASON", "PID"}

// unknown finds the prefixed variables that mean nothing.
func (s *Settings) unknown(rows []Setting, environ []string) (problems Problems) {
	var names, kubernetes []string
	known := make(map[string]bool)
	for _, word := range handed {
		known[prefix+"_"+word] = true
	}
	for _, r := range rows {
		if !r.Hidden {
			names = append(names, r.Name)
		}
		known[r.Variable()] = true
	}
	slices.Sort(environ)
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		word, ours := strings.CutPrefix(name, prefix+"_")
		switch {
		case !ours || strings.TrimSpace(text) == "":
		case serviceLink(name, text):
			kubernetes = append(kubernetes, name)
		case !known[name]:
			// The value may be a secret, so it is not told.
			reason := "unknown setting: initd " + Version + " has none of that name"
			if near := nearest(strings.ReplaceAll(word, "_", "-"), names); near != "" {
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
			Setting: "port", Variable: port, Value: os.Getenv(port),
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
	if strings.HasSuffix(name, "_PORT") && url && slices.Contains(protocols, strings.ToUpper(scheme)) ||
		strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name+"_", "_SERVICE_PORT_") {
		return true
	}
	words := strings.Split(name, "_")
	if slices.Contains([]string{"PROTO", "PORT", "ADDR"}, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	n := len(words)
	return n > 3 && words[n-3] == "PORT" && decimal(words[n-2]) && slices.Contains(protocols, words[n-1])
}

var protocols = []string{"TCP", "UDP", "SCTP"}
