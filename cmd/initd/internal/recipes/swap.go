package recipes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
)

// speaks is how the load generator asks those that do not speak HTTP.
var speaks = map[string][]string{
	"php-fpm":   {"-fastcgi", "/srv/index.php"},
	"redis":     {"-redis"},
	"memcached": {"-memcached"},
	"dnsmasq":   {"-dns", "generation"},
}

// forgetful are the servers that keep no connection, or have none.
var forgetful = []string{"php-fpm", "Python", "php -S", "dnsmasq"}

// Swap follows some of the recipes, each in a test of its own: it swaps the server twenty times while clients ask it
// without pause. The image has all that the recipes install and copy.
func Swap(t *testing.T, images dockertest.Images, some func(Recipe) bool) {
	for _, r := range Read(t).Each {
		if some(r) {
			t.Run(r.Server, func(t *testing.T) {
				t.Parallel()
				r.swap(t, images)
			})
		}
	}
}

// hardened is how all of them run.
var hardened = []string{
	"--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
}

func (r Recipe) swap(t *testing.T, images dockertest.Images) {
	settings := append(r.Environ, "SERVER_STARTER_INTERVAL=0.3")
	if r.Lost > 0 { // Starman waits for ever for a child that was not yet there when it sent HUP to all
		settings = append(settings, "SERVER_STARTER_DRAIN_TIMEOUT=30")
	}
	c := dockertest.Start(t, append(dockertest.Environment(settings...), hardened...), images.Tag, r.Command...)
	c.Serving(1)

	again, once := r.loads(c)
	seen := map[string]bool{} // each generation answers something else
	fresh := func(answer string) bool { return !seen[answer] }
	for _, l := range slices.Concat(again, once) {
		seen[l.Answer("an answer", dockertest.Any)] = true
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
}

// loads are eight clients of a server: those that send again where that is allowed, and those that do not.
func (r Recipe) loads(c *dockertest.Container) (again, once []*dockertest.Load) {
	load := func(args ...string) *dockertest.Load {
		return c.Load(slices.Concat(args, speaks[r.Server], []string{"-max", "100000000", dockertest.Address})...)
	}
	if slices.Contains(forgetful, r.Server) {
		return []*dockertest.Load{load("-clients", "8")}, nil
	}
	return []*dockertest.Load{load("-clients", "4"), load("-clients", "2", "-keepalive")},
		[]*dockertest.Load{load("-clients", "2", "-keepalive", "-once")}
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

// Alone stops some of the servers as the recipes do, but without initd: each runs alone, while the same clients ask it. It
// logs how many requests failed that had a connection, so many as a swap could not save.
func Alone(t *testing.T, images dockertest.Images, some func(Recipe) bool, times int) {
	for _, r := range Read(t).Each {
		if some(r) {
			t.Run(r.Server, func(t *testing.T) {
				t.Parallel()
				lost := 0
				for range times {
					lost += r.alone(t, images)
				}
				t.Logf("%s: %d requests lost in %d stops", r.Server, lost, times)
			})
		}
	}
}

func (r Recipe) alone(t *testing.T, images dockertest.Images) (lost int) {
	signal := "TERM"
	for _, setting := range r.Environ {
		if name, ok := strings.CutPrefix(setting, "SERVER_STARTER_SIGNAL_ON_TERM="); ok {
			signal = name
		}
	}
	// docker-init hands signals on, as the first process of a container does not die by those that it has not caught.
	options := append(dockertest.Environment("SERVER_STARTER_GENERATION=1"), hardened...)
	options = append(options, "--init", "--entrypoint", r.Command[0])
	c := dockertest.Start(t, options, images.Tag, r.Command[1:]...)
	c.Started()
	again, once := r.loads(c)
	loads := slices.Concat(again, once)
	for _, l := range loads {
		l.Answer("an answer", dockertest.Any)
	}
	c.Signal(signal)
	c.Wait()
	for _, l := range loads {
		for _, failure := range l.Stop().Failures {
			if failure.Port != 0 {
				lost++
			}
		}
	}
	return lost
}
