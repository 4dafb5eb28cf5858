package servers_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

const serversFile = "../../../docs/SERVERS.md"

// servers are those that docs/SERVERS.md has a recipe for.
var servers = []string{
	"h2o", "Starlet", "Starman", "Twiggy", "nginx", "gunicorn", "unicorn", "puma", "php-fpm", "haproxy",
	"lighttpd", "uvicorn", "uwsgi", "Node.js",
}

// recipes are what docs/SERVERS.md tells its readers to put at the end of a Dockerfile and beside it.
// The tests run nothing else.
type recipes struct {
	each  []recipe
	files map[string]string // what is beside it, by name
}

type recipe struct {
	server   string
	packages []string // RUN
	files    []string // COPY
	environ  []string // ENV
	command  []string // CMD
	lost     int      // how many requests may fail in all
}

var (
	section    = regexp.MustCompile(`(?m)^## (.*)`)
	dockerfile = regexp.MustCompile("(?ms)^```dockerfile\n(.*?)^```$")
	beside     = regexp.MustCompile("(?ms)^`([^`\n]+)`:\n\n```\\w*\n(.*?)^```$")
	lossy      = regexp.MustCompile(`Twenty swaps lose up to (\d+) requests`)
)

// readRecipes reads docs/SERVERS.md, where each section with a Dockerfile is a recipe.
func readRecipes(t testing.TB) recipes {
	t.Helper()
	page := initdtest.Read(t, serversFile)
	all := recipes{files: map[string]string{}}
	for _, file := range beside.FindAllStringSubmatch(page, -1) {
		all.files[file[1]] = file[2]
	}
	titles := section.FindAllStringSubmatch(page, -1)
	for i, text := range section.Split(page, -1)[1:] {
		block := dockerfile.FindStringSubmatch(text)
		if block == nil {
			continue
		}
		r := recipe{server: titles[i][1]}
		if bound := lossy.FindStringSubmatch(text); bound != nil {
			r.lost, _ = strconv.Atoi(bound[1])
		}
		for line := range strings.Lines(block[1]) {
			instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			packages, installs := strings.CutPrefix(rest, "apt-get update && apt-get install -y --no-install-recommends ")
			names, copies := strings.CutSuffix(rest, " /srv/")
			switch {
			case instruction == "RUN" && installs:
				r.packages = strings.Fields(packages)
			case instruction == "COPY" && copies:
				r.files = strings.Fields(names)
			case instruction == "ENV" && !strings.ContainsAny(rest, `'"\$`):
				r.environ = append(r.environ, strings.Fields(rest)...)
			case instruction == "CMD" && json.Unmarshal([]byte(rest), &r.command) == nil:
			default:
				t.Fatalf("%s: the tests cannot do what the recipe for %s says: %s", serversFile, r.server, line)
			}
		}
		all.each = append(all.each, r)
	}
	return all
}

// recipeFor returns that for a server.
func recipeFor(t testing.TB, server string) recipe {
	t.Helper()
	all := readRecipes(t).each
	i := slices.IndexFunc(all, func(r recipe) bool { return r.server == server })
	if i < 0 {
		t.Fatalf("%s has no recipe for %s", serversFile, server)
	}
	return all[i]
}

// packages are what the recipes install.
func (all recipes) packages() (packages []string) {
	for _, r := range all.each {
		packages = append(packages, r.packages...)
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

// row is how the table begins what it says of a recipe, but for the version.
func (r recipe) row() *regexp.Regexp {
	ready, signal := "interval", "TERM"
	for _, setting := range r.environ {
		switch name, value, _ := strings.Cut(setting, "="); name {
		case "SERVER_STARTER_READY":
			ready = "`READY=1`"
		case "SERVER_STARTER_SIGNAL_ON_HUP":
			signal = value
		}
	}
	anchor := strings.ReplaceAll(strings.ToLower(r.server), ".", "")
	return regexp.MustCompile(fmt.Sprintf(`(?m)^\| \[%s\]\(#%s\) \| [\d.]+ \| %s \| %s \| [\d,]+ \| (\d+) \|$`,
		regexp.QuoteMeta(r.server), anchor, ready, signal))
}

// TestRecipes: docs/SERVERS.md has one for each server, and whole.
func TestRecipes(t *testing.T) {
	all := readRecipes(t)
	var have []string
	used := map[string]bool{}
	for _, r := range all.each {
		have = append(have, r.server)
		if len(r.packages) == 0 || len(r.environ) == 0 || len(r.command) == 0 {
			t.Errorf("the recipe for %s lacks something: %+v", r.server, r)
		}
		for _, name := range r.files {
			used[name] = true
			if all.files[name] == "" {
				t.Errorf("%s needs %s, which is not there", r.server, name)
			}
		}
		row := r.row().FindStringSubmatch(initdtest.Read(t, serversFile))
		if row == nil {
			t.Errorf("the table has no row of %s like %s", r.server, r.row())
		} else if r.lost == 0 && row[1] != "0" {
			t.Errorf("%s has lost requests, and its section does not say so", r.server)
		}
	}
	if !slices.Equal(have, servers) {
		t.Errorf("there are recipes for %q, not for %q", have, servers)
	}
	for name := range all.files {
		if !used[name] {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// TestServers follows each recipe, and swaps the server twenty times while clients ask it without
// pause. The image has all that the recipes install and copy.
func TestServers(t *testing.T) {
	images := images(t)
	for _, r := range readRecipes(t).each {
		t.Run(r.server, func(t *testing.T) {
			t.Parallel()
			settings := append(r.environ, "SERVER_STARTER_INTERVAL=0.3")
			if r.lost > 0 { // Starman waits for ever for a child that was not yet there when it sent HUP to all
				settings = append(settings, "SERVER_STARTER_DRAIN_TIMEOUT=30")
			}
			options := dockertest.Environment(settings...)
			options = append(options, "--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
			c := dockertest.Start(t, options, images.Tag, r.command...)
			c.Serving(1)

			clients := [][]string{{"-clients", "6"}, {"-clients", "2", "-keepalive"}}
			if r.server == "php-fpm" {
				clients = [][]string{{"-clients", "8", "-fastcgi", "/srv/index.php"}}
			}
			var loads []*dockertest.Load
			for _, args := range clients {
				loads = append(loads, c.Load(append(args, "-max", "100000000", dockertest.Address)...))
			}
			seen := map[string]bool{} // each generation answers something else
			fresh := func(answer string) bool { return !seen[answer] }
			for _, l := range loads {
				seen[l.Answer("an answer", func(string) bool { return true })] = true
			}
			const swaps = 20
			for swap := range swaps {
				c.Signal("HUP")
				seen[loads[0].Answer(fmt.Sprintf("an answer after swap %d that is not of %v", swap+1, seen), fresh)] = true
				c.Gone(swap + 1)
			}

			var sum dockertest.Result
			for _, l := range loads {
				one := l.Stop()
				if one.OK == 0 {
					t.Error("some clients were never answered")
				}
				sum.OK += one.OK
				sum.Failed += one.Failed
				sum.Errors = append(sum.Errors, one.Errors...)
			}
			t.Logf("%s: %d requests, %d failed", r.server, sum.OK+sum.Failed, sum.Failed)
			if sum.Failed > r.lost {
				t.Errorf("%d requests failed, not %d at most: %q", sum.Failed, r.lost, sum.Errors)
			}
			if last := c.Latest(); last != swaps+1 {
				t.Errorf("after %d swaps generation %d serves", swaps, last)
			}
			c.Stop()
		})
	}
}
