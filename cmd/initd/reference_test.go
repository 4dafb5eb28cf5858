package main_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/eventlog"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
)

// referenceBlocks are the parts of docs/REFERENCE.md that are made from the
// program, by name.
func referenceBlocks() map[string]string {
	return map[string]string{
		"contents":  contents() + "  ", // within an item of a list
		"types":     table("Type", "Written as", settings.Types),
		"syntax":    paragraphs(settings.Syntax),
		"settings":  groups(),
		"flags":     table("Flag", "Meaning", settings.Commands),
		"signals":   table("Signal", "Meaning", settings.Signals) + paragraphs(settings.SignalNotes),
		"statuses":  table("Status", "Meaning", settings.ExitStatuses),
		"variables": variables(settings.ForWorkers),
		"protocols": protocols(),
		"outsiders": variables(settings.ForProbes | settings.ForHooks),
		"events":    events(),
	}
}

// contents lists the groups of settings, each with the names of its settings.
func contents() string {
	var b strings.Builder
	for _, g := range settings.Groups() {
		var names []string
		for _, s := range g.Settings {
			names = append(names, link(s.Name))
		}
		fmt.Fprintf(&b, "  - [%s](#%s): %s\n", g.Title, anchor(g.Title), strings.Join(names, ", "))
	}
	return b.String()
}

// groups has a section for each group, and in it one for each setting.
func groups() string {
	var b strings.Builder
	for _, g := range settings.Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", g.Title, markup(g.Intro))
		for _, s := range g.Settings {
			example := s.Flag() + "=" + quoted(s.Example)
			if s.Kind == "boolean" {
				example = s.Flag()
			}
			facts := []string{"`" + example + "`", "`" + s.Variable() + "`", kind(s.Kind)}
			if s.Default != "" {
				facts = append(facts, "default `"+s.Default+"`")
			}
			if s.Bare {
				facts = append(facts, "also read from `"+strings.TrimPrefix(s.Variable(), "SERVER_STARTER_")+"`")
			}
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s\n", s.Name, strings.Join(facts, " · "), markup(s.Meaning))
			if len(s.See) > 0 {
				var names []string
				for _, name := range s.See {
					names = append(names, link(name))
				}
				fmt.Fprintf(&b, "\nSee also: %s.\n", strings.Join(names, ", "))
			}
		}
	}
	return b.String() + "\n"
}

// kind has the words that are to be written as they are in code.
func kind(text string) string {
	if rest, ok := strings.CutPrefix(text, "one of "); ok {
		return "one of " + words.ReplaceAllStringFunc(rest, code)
	}
	if rest, ok := strings.CutPrefix(text, "list of server-starter"); ok {
		return "list of " + words.ReplaceAllStringFunc("server-starter"+rest, code)
	}
	return markup(text)
}

var words = regexp.MustCompile(`[a-z-]+[a-z]\b`)

func code(word string) string {
	if word == "or" {
		return word
	}
	return "`" + word + "`"
}

// quoted is a value as a shell takes it.
func quoted(text string) string {
	if strings.ContainsAny(text, " ;|$") {
		return "'" + text + "'"
	}
	return text
}

func table(word, meaning string, rows []settings.Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s |\n|---|---|\n", word, meaning)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", cell(r.Word), cell(r.Meaning))
	}
	return b.String()
}

// cell is a text as part of a row.
func cell(text string) string { return strings.ReplaceAll(markup(text), "|", `\|`) }

func paragraphs(texts []string) string {
	var b strings.Builder
	for _, text := range texts {
		b.WriteString("\n" + markup(text) + "\n")
	}
	return b.String() + "\n"
}

func variables(reader settings.Reader) string {
	var b strings.Builder
	columns := reader&settings.ForWorkers == 0 // of several readers
	if columns {
		b.WriteString("| Variable | Probe | Hook | Meaning |\n|---|---|---|---|\n")
	} else {
		b.WriteString("| Variable | Meaning |\n|---|---|\n")
	}
	for _, v := range settings.Variables {
		if v.For&reader == 0 {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | ", v.Name)
		if columns {
			fmt.Fprintf(&b, "%s | %s | ", yes(v.For&settings.ForProbes), yes(v.For&settings.ForHooks))
		}
		fmt.Fprintf(&b, "%s |\n", cell(v.Meaning))
	}
	return b.String()
}

func yes(r settings.Reader) string {
	if r != 0 {
		return "yes"
	}
	return "no"
}

func protocols() string {
	var b strings.Builder
	b.WriteString("| `export` | Variables | Sockets |\n|---|---|---|\n")
	for _, p := range settings.ExportProtocols {
		variables := "–"
		if p.Example != "" {
			variables = "`" + strings.ReplaceAll(p.Example, ", ", "`<br>`") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, variables, cell(p.Meaning))
	}
	return b.String()
}

func events() string {
	var b strings.Builder
	b.WriteString("| `event` | Meaning |\n|---|---|\n")
	for _, k := range eventlog.Kinds {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k, cell(k.Meaning))
	}
	return b.String()
}

// link leads to a setting.
func link(name string) string { return "[`" + name + "`](#" + name + ")" }

var (
	token   = regexp.MustCompile(`[^ ]+`)
	literal = regexp.MustCompile(`^--|^-\w$|^ENVDIR$|.[=_/@:|+]|^/\w|^[=\[@]\w|\w\[`)
	names   = func() (names []string) {
		for _, s := range settings.Table() {
			if strings.Contains(s.Name, "-") {
				names = append(names, s.Name)
			}
		}
		return names
	}()
	links = strings.NewReplacer(
		"`docs/REFERENCE.md`", "[Protocols](#protocols)",
		"Environment of probes and hooks", "[Environment of probes and hooks](#environment-of-probes-and-hooks)",
		"`docs/guide/bind.md`", "[Servers that bind their own port](guide/bind.md)",
		"`docs/SCOREBOARD.md`", "[SCOREBOARD.md](SCOREBOARD.md)", "`docs/METRICS.md`", "[METRICS.md](METRICS.md)",
		"docker stop", "`docker stop`", "terminationGracePeriodSeconds", "`terminationGracePeriodSeconds`",
		"enableServiceLinks: false", "`enableServiceLinks: false`", "net.core.somaxconn", "`net.core.somaxconn`",
		"initctl scale", "`initctl scale`", "nc -N", "`nc -N`", "| command", "`| command`",
	)
)

// markup is a text of the program in Markdown: the names of settings, those that
// are not also ordinary words, as links, and what is to be typed as code.
func markup(text string) string {
	return links.Replace(token.ReplaceAllStringFunc(text, func(t string) string {
		word := strings.TrimLeft(strings.TrimRight(t, ".,;:)"), "(")
		before, after, _ := strings.Cut(t, word)
		switch {
		case word == "", strings.Contains(word, "("): // as in prctl(2)
			return t
		case slices.Contains(names, word):
			word = link(word)
		case literal.MatchString(word):
			word = "`" + word + "`"
		}
		return before + word + after
	}))
}

// TestReferenceHeadings: no two headings of docs/REFERENCE.md have the same anchor.
func TestReferenceHeadings(t *testing.T) {
	headings := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(initdtest.Prose(t, referenceFile), -1) {
		if a := anchor(m[1]); headings[a] {
			t.Errorf("two headings are %q", a)
		} else {
			headings[a] = true
		}
	}
}

// TestDocumentedProtocols: initd keeps the variables of each protocol that it
// documents from workers of another one.
func TestDocumentedProtocols(t *testing.T) {
	for _, p := range settings.ExportProtocols {
		for variable := range strings.SplitSeq(p.Example, ", ") {
			if variable == "" { // of bind, which has none
				continue
			}
			if got := socket.Scrub([]string{variable}); len(got) > 0 {
				t.Errorf("%s: %q is passed on", p.Name, got)
			}
		}
	}
}
