package servers_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/cmd/initd/internal/recipes"
)

// servers are those that docs/SERVERS.md has a recipe for.
var servers = []string{
	"h2o", "Starlet", "Starman", "Twiggy", "nginx", "gunicorn", "unicorn", "puma", "php-fpm", "haproxy",
	"lighttpd", "uvicorn", "uwsgi", "Node.js", "Caddy",
	"Python", "Plain Go", "Java", "Plain Node.js", "Apache httpd", "php -S", "redis", "memcached", "dnsmasq",
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
	anchor := strings.NewReplacer(".", "", " ", "-").Replace(strings.ToLower(r.Server))
	return regexp.MustCompile(fmt.Sprintf(`(?m)^\| \[%s\]\(#%s\) \| [\d.]+ \| %s \| %s \| [\d,]+ \| (\d+) \| (?:[\d,]+ \| (\d+)|– \| –) \|(?: [\d,]+ \|)?$`,
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
			if all.Files[name] == "" && !all.Built(name) {
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
		if !used[name] && !slices.Contains(all.Sources, name) {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// TestServers follows each recipe for a server that takes a socket.
func TestServers(t *testing.T) {
	recipes.Swap(t, recipes.Images(t, nil), func(r recipes.Recipe) bool { return !r.Binds() })
}
