package main_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/settings"
)

var update = flag.Bool("update", false, "write anew what the documents quote")

const (
	readmeFile     = "../../README.md"
	invariantsFile = "../../initd/machine/INVARIANTS.md"
	referenceFile  = "doc.go"
)

// between finds what a text has between two others, and how to put something in its place.
func between(t *testing.T, text, begin, end string) (inner string, with func(string) string) {
	t.Helper()
	before, rest, ok := strings.Cut(text, begin)
	inner, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("there is nothing between %q and %q", begin, end)
	}
	return inner, func(other string) string { return before + begin + other + end + after }
}

// TestQuotes: what the documents quote of the program and of its tests is what these have.
func TestQuotes(t *testing.T) {
	for _, test := range []struct {
		name, file, begin, end string
		want                   string
	}{
		{"README settings", readmeFile, "| Setting | Default | Meaning |\n|---|---|---|\n", "\n\n", settingsTable()},
		{"doc.go settings", referenceFile, "(package settings):\n//\n", "\n//\n// # What", settingsReference()},
		{"INVARIANTS.md", invariantsFile, "# Invariants\n", "\n## ", invariants(t)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, with := between(t, initdtest.Read(t, test.file), test.begin, test.end)
			switch {
			case *update:
				if err := os.WriteFile(test.file, []byte(with(test.want)), 0o666); err != nil {
					t.Fatal(err)
				}
			case got != test.want:
				t.Errorf("%s is not up to date (go test ./cmd/initd -run Quotes -update makes it so); it has\n%s\nand should have\n%s",
					test.file, got, test.want)
			}
		})
	}
}

// settingsTable is the settings as rows in Markdown.
func settingsTable() string {
	var rows []string
	for _, s := range settings.Table() {
		value := "–"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		meaning := strings.ReplaceAll(s.Meaning, "|", `\|`)
		if s.Bare {
			meaning += " Also read from `" + strings.TrimPrefix(s.Variable(), "SERVER_STARTER_") + "`."
		}
		rows = append(rows, fmt.Sprintf("| `%s`<br>`%s` | %s | %s |", s.Variable(), s.Flag(), value, meaning))
	}
	return strings.Join(rows, "\n")
}

// settingsReference is the settings as a comment in Go.
func settingsReference() string {
	var lines []string
	for _, s := range settings.Table() {
		lines = append(lines, fmt.Sprintf("//\t%s, %s", s.Variable(), s.Flag()))
		meaning := s.Meaning
		if s.Default != "" {
			meaning += " Default: " + s.Default + "."
		}
		if s.Bare {
			meaning += " Also read from " + strings.TrimPrefix(s.Variable(), "SERVER_STARTER_") + "."
		}
		line := "//\t   "
		for word := range strings.FieldsSeq(meaning) {
			if len(line)+1+len(word) > 100 {
				lines = append(lines, line)
				line = "//\t   "
			}
			line += " " + word
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// invariants are what the tests of the machine hold it to, in the words that these begin with.
func invariants(t *testing.T) string {
	_, comment, _ := strings.Cut(initdtest.Read(t, "../../initd/machine/invariants_test.go"), "import (")
	_, comment, _ = strings.Cut(comment, "\n)\n\n")
	comment, _, ok := strings.Cut(comment, "\ntype ")
	if !ok {
		t.Fatal("the invariants are not where they were")
	}
	var text strings.Builder
	for line := range strings.Lines(comment) {
		line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), " ")
		if rule, ok := strings.CutPrefix(line, "\t"); ok {
			line = "    " + rule
		}
		text.WriteString(line)
	}
	return "\n" + text.String() + "\n"
}

// TestSignalsAndStatusesAreDocumented: README.md and doc.go have all that --help has of them.
func TestSignalsAndStatusesAreDocumented(t *testing.T) {
	readme, reference := initdtest.Read(t, readmeFile), initdtest.Read(t, referenceFile)
	for _, section := range []struct{ help, document string }{
		{"Signals to initd:\n", "# Signals\n"},
		{"Exit status:\n", "# Exit status\n"},
	} {
		help, _ := between(t, settings.Usage()+"\n", section.help, "\n\n")
		table, _ := between(t, readme, section.document, "\n## ")
		rows := 0
		for line := range strings.Lines(help) {
			line = strings.TrimSpace(line)
			if !strings.Contains(reference, line) {
				t.Errorf("%s lacks %q", referenceFile, line)
			}
			// A line that goes on with the one before begins far to the right.
			if first, _, ok := strings.Cut(line, "   "); ok {
				rows++
				if !strings.Contains(table, "\n| "+first+" |") {
					t.Errorf("%s has no row %q in %q", readmeFile, first, section.document)
				}
			}
		}
		if rows < 4 {
			t.Errorf("--help has %d rows in %q: this test does not understand it", rows, section.help)
		}
	}
}

// TestCommands: what README.md tells a new user to type is what .ci/run does.
func TestCommands(t *testing.T) {
	ci := initdtest.Read(t, "../../.ci/run")
	section, _ := between(t, initdtest.Read(t, readmeFile), "## Try it\n", "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "go ") {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	if len(commands) != 2 {
		t.Fatalf("%q are not two commands", commands)
	}
	for _, command := range []string{commands[0], "INITD_REQUIRE_DOCKER=1 " + commands[1]} {
		if !strings.Contains(ci, command) {
			t.Errorf(".ci/run does not run %q", command)
		}
		if !strings.Contains(section, command) {
			t.Errorf("README.md does not tell %q", command)
		}
	}
}
