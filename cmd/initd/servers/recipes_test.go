package servers_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/cmd/initd/internal/recipes"
)

// servers are those that docs/SERVERS.md has a recipe for.
var servers = []string{
	"h2o", "Starlet", "Starman", "Twiggy", "nginx", "gunicorn", "unicorn", "puma", "php-fpm", "haproxy",
	"lighttpd", "uvicorn", "uwsgi", "Node.js", "Caddy",
}

// row is how the table begins what it says of a recipe, but for the version.
func row(r recipes.Recipe) *regexp.Regexp {
	ready, signal := "accepting", "TERM"
	for _, setting := range r.Environ {
		switch name, value, _ := strings.Cut(setting, "="); name {
		case "SERVER_STARTER_READY":
			ready = "`READY=1`"
		case "SERVER_STARTER_SIGNAL_ON_HUP":
			signal = value
		}
	}
	anchor := strings.ReplaceAll(strings.ToLower(r.Server), ".", "")
	return regexp.MustCompile(fmt.Sprintf(`(?m)^\| \[%s\]\(#%s\) \| [\d.]+ \| %s \| %s \| [\d,]+ \| (\d+) \| (?:[\d,]+ \| (\d+)|– \| –) \|$`,
		regexp.QuoteMeta(r.Server), anchor, ready, signal))
}

// TestRecipes: docs/SERVERS.md has one for each server, and whole.
func TestRecipes(t *testing.T) {
	all := recipes.Read(t)
	var have []string
	used := map[string]bool{}
	for _, r := range all.Each {
		have = append(have, r.Server)
		if len(r.Packages)+len(r.Files) == 0 || len(r.Environ) == 0 || len(r.Command) == 0 {
			t.Errorf("the recipe for %s lacks something: %+v", r.Server, r)
		}
		for _, name := range r.Files {
			used[name] = true
			if all.Files[name] == "" && !slices.ContainsFunc(all.Programs, func(pkg string) bool { return recipes.Program(pkg) == name }) {
				t.Errorf("%s needs %s, which is not there", r.Server, name)
			}
		}
		numbers := row(r).FindStringSubmatch(initdtest.Read(t, recipes.File))
		if numbers == nil {
			t.Errorf("the table has no row of %s like %s", r.Server, row(r))
		} else {
			for i, bound := range []int{r.Lost, r.LostOnce} {
				if lost, _ := strconv.Atoi(numbers[1+i]); lost > bound {
					t.Errorf("%s has lost %d requests, and its section says %d at most", r.Server, lost, bound)
				}
			}
		}
	}
	if !slices.Equal(have, servers) {
		t.Errorf("there are recipes for %q, not for %q", have, servers)
	}
	for name := range all.Files {
		if !used[name] {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// TestServers follows each recipe, and swaps the server twenty times while clients ask it without
// pause. The image has all that the recipes install and copy.
func TestServers(t *testing.T) {
	images := recipes.Images(t, nil)
	for _, r := range recipes.Read(t).Each {
		t.Run(r.Server, func(t *testing.T) {
			t.Parallel()
			settings := append(r.Environ, "SERVER_STARTER_INTERVAL=0.3")
			if r.Lost > 0 { // Starman waits for ever for a child that was not yet there when it sent HUP to all
				settings = append(settings, "SERVER_STARTER_DRAIN_TIMEOUT=30")
			}
			options := dockertest.Environment(settings...)
			options = append(options, "--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
			c := dockertest.Start(t, options, images.Tag, r.Command...)
			c.Serving(1)

			load := func(args ...string) *dockertest.Load {
				return c.Load(append(args, "-max", "100000000", dockertest.Address)...)
			}
			var again, once []*dockertest.Load
			if r.Server == "php-fpm" {
				again = append(again, load("-clients", "8", "-fastcgi", "/srv/index.php"))
			} else {
				again = append(again, load("-clients", "4"), load("-clients", "2", "-keepalive"))
				once = append(once, load("-clients", "2", "-keepalive", "-once"))
			}
			seen := map[string]bool{} // each generation answers something else
			fresh := func(answer string) bool { return !seen[answer] }
			for _, l := range slices.Concat(again, once) {
				seen[l.Answer("an answer", func(string) bool { return true })] = true
			}
			const swaps = 20
			for swap := range swaps {
				c.Signal("HUP")
				seen[again[0].Answer(fmt.Sprintf("an answer after swap %d that is not of %v", swap+1, seen), fresh)] = true
				c.Gone(swap + 1)
			}

			judge(t, r.Server+", sent again where that is allowed", again, r.Lost)
			if len(once) > 0 {
				judge(t, r.Server+", never sent again", once, r.LostOnce)
			}
			if last := c.Latest(); last != swaps+1 {
				t.Errorf("after %d swaps generation %d serves", swaps, last)
			}
			c.Stop()
		})
	}
}

// judge stops loads, logs what came of them all in all, and fails the test if more requests failed than may.
func judge(t *testing.T, what string, loads []*dockertest.Load, bound int) {
	t.Helper()
	var sum dockertest.Result
	for _, l := range loads {
		one := l.Stop()
		if one.OK == 0 {
			t.Errorf("%s: some clients were never answered", what)
		}
		sum.OK += one.OK
		sum.Failed += one.Failed
		sum.Errors = append(sum.Errors, one.Errors...)
	}
	t.Logf("%s: %d requests, %d failed", what, sum.OK+sum.Failed, sum.Failed)
	if sum.Failed > bound {
		t.Errorf("%s: %d requests failed, not %d at most: %q", what, sum.Failed, bound, sum.Errors)
	}
}
