package main_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

var update = flag.Bool("update", false, "write anew what the documents quote")

const (
	readmeFile     = "../../README.md"
	referenceFile  = "../../docs/REFERENCE.md"
	invariantsFile = "../../initd/machine/INVARIANTS.md"
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

// quote is what a file has between two texts.
type quote struct{ name, file, begin, end, want string }

// TestQuotes: what the documents quote of the program and of its tests is what these have.
func TestQuotes(t *testing.T) {
	tests := []quote{{"INVARIANTS.md", invariantsFile, "# Invariants\n", "\n## ", invariants(t)}}
	for name, want := range referenceBlocks() {
		tests = append(tests, quote{"REFERENCE.md " + name, referenceFile, "<!-- begin " + name + " -->\n", "<!-- end " + name + " -->", want})
	}
	for _, test := range tests {
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
