package servers_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/cmd/initd/internal/recipes"
)

// TestREADME: README.md advises the settings that the recipe for the same server has, and has a word on each of them.
func TestREADME(t *testing.T) {
	_, rest, _ := strings.Cut(initdtest.Read(t, "../../../README.md"), "\n| Server | What to set |\n|---|---|\n")
	table, _, ok := strings.Cut(rest, "\n\n")
	if !ok {
		t.Fatal("README.md has no table of servers")
	}
	setting := regexp.MustCompile(`SERVER_STARTER_\w+=\S+`)
	advised := map[string][]string{}
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 2 {
			t.Fatalf("%q is not a server and what to set", row)
		}
		settings := setting.FindAllString(strings.ReplaceAll(cells[1], "`", " "), -1)
		slices.Sort(settings)
		for name := range strings.SplitSeq(cells[0], ", ") {
			advised[name] = settings
		}
	}
	for _, r := range recipes.Read(t).Each {
		settings, ok := advised[r.Server]
		if !ok {
			t.Errorf("README.md has no word on %s", r.Server)
			continue
		}
		if strings.Contains(table, r.Server+", ") || strings.Contains(table, ", "+r.Server) {
			continue // of several at once, for which it refers to the recipes
		}
		want := slices.DeleteFunc(slices.Clone(r.Environ), func(s string) bool { return strings.HasPrefix(s, "SERVER_STARTER_PORT=") })
		slices.Sort(want)
		if !slices.Equal(settings, want) {
			t.Errorf("README.md advises %q for %s, and its recipe has %q", settings, r.Server, want)
		}
	}
}
