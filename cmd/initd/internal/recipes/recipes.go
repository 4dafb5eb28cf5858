// Package recipes reads what docs/SERVERS.md tells its readers to put at the end of a Dockerfile and beside it, and makes
// the images that the tests run it in. The tests run nothing else.
package recipes

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// File is the page, seen from a package of tests.
const File = "../../../docs/SERVERS.md"

// Recipes are all of them.
type Recipes struct {
	Each     []Recipe
	Files    map[string]string // what is beside the Dockerfile, by name
	Programs []string          // likewise, but built from these packages, each PATH@VERSION
	Sources  []string          // likewise, but built from these of the files
}

// Recipe is a section with a Dockerfile.
type Recipe struct {
	Server   string
	Packages []string // RUN
	Files    []string // COPY
	Environ  []string // ENV
	Command  []string // CMD
	Lost     int      // how many requests twenty swaps may lose
	LostOnce int      // how many of those on kept connections that are never sent again
}

var (
	section    = regexp.MustCompile(`(?m)^## (.*)`)
	dockerfile = regexp.MustCompile("(?ms)^```dockerfile\n(.*?)^```$")
	beside     = regexp.MustCompile("(?ms)^`([^`\n]+)`:\n\n```\\w*\n(.*?)^```$")
	compiled   = regexp.MustCompile("`CGO_ENABLED=0 go build -o [^` ]+ ([^`]+)`")
	installed  = regexp.MustCompile("`CGO_ENABLED=0 go install ([^`]+)`")
	lossy      = regexp.MustCompile(`Twenty swaps lose up to (\d+) requests`)
	lossyOnce  = regexp.MustCompile(`Twenty swaps lose up to (\d+) POST requests`)
)

// Read reads the page.
func Read(t testing.TB) Recipes {
	t.Helper()
	page := initdtest.Read(t, File)
	all := Recipes{Files: map[string]string{}}
	for _, file := range beside.FindAllStringSubmatch(page, -1) {
		all.Files[file[1]] = file[2]
	}
	for _, pkg := range installed.FindAllStringSubmatch(page, -1) {
		all.Programs = append(all.Programs, pkg[1])
	}
	for _, source := range compiled.FindAllStringSubmatch(page, -1) {
		all.Sources = append(all.Sources, source[1])
	}
	titles := section.FindAllStringSubmatch(page, -1)
	for i, text := range section.Split(page, -1)[1:] {
		block := dockerfile.FindStringSubmatch(text)
		if block == nil {
			continue
		}
		r := Recipe{Server: titles[i][1]}
		if bound := lossy.FindStringSubmatch(text); bound != nil {
			r.Lost, _ = strconv.Atoi(bound[1])
			r.LostOnce = r.Lost
		}
		if bound := lossyOnce.FindStringSubmatch(text); bound != nil {
			r.LostOnce, _ = strconv.Atoi(bound[1])
		}
		for line := range strings.Lines(block[1]) {
			instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			packages, installs := strings.CutPrefix(rest, "apt-get update && apt-get install -y --no-install-recommends ")
			names, copies := strings.CutSuffix(rest, " /srv/")
			switch {
			case instruction == "RUN" && installs:
				r.Packages = strings.Fields(packages)
			case instruction == "COPY" && copies:
				r.Files = strings.Fields(names)
			case instruction == "ENV" && !strings.ContainsAny(rest, `'"\$`):
				r.Environ = append(r.Environ, strings.Fields(rest)...)
			case instruction == "CMD" && json.Unmarshal([]byte(rest), &r.Command) == nil:
			default:
				t.Fatalf("%s: the tests cannot do what the recipe for %s says: %s", File, r.Server, line)
			}
		}
		all.Each = append(all.Each, r)
	}
	return all
}

// Program is the name of what is built from a source, or from a package at a version.
func Program(source string) string {
	source, _, _ = strings.Cut(source, "@")
	return strings.TrimSuffix(path.Base(source), ".go")
}

// Built reports whether that is the name of something that is built.
func (all Recipes) Built(name string) bool {
	return slices.ContainsFunc(slices.Concat(all.Programs, all.Sources), func(source string) bool { return Program(source) == name })
}

// Binds reports whether the server binds its port itself.
func (r Recipe) Binds() bool { return slices.Contains(r.Environ, "SERVER_STARTER_EXPORT=bind") }

// For returns that for a server.
func For(t testing.TB, server string) Recipe {
	t.Helper()
	all := Read(t).Each
	i := slices.IndexFunc(all, func(r Recipe) bool { return r.Server == server })
	if i < 0 {
		t.Fatalf("%s has no recipe for %s", File, server)
	}
	return all[i]
}

// packages are what the recipes install.
func (all Recipes) packages() (packages []string) {
	for _, r := range all.Each {
		packages = append(packages, r.Packages...)
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}
