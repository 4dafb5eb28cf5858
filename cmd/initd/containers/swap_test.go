package containers_test

import (
	"flag"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

var soak = flag.Duration("soak", 5*time.Second, "how long the soak test swaps under load, in each of its tests")

// TestHello is the least there can be: initd and a worker, and nothing else in the image.
func TestHello(t *testing.T) {
	t.Parallel()
	images := images(t)
	c := dockertest.Start(t, dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_READY=notify"), images.Tag, "/hello")
	c.Serving(1)
	if p := c.Processes(); len(p) != 2 || p[0].PID != 1 || p[0].Command != "/initd /hello" || p[1].Parent != 1 {
		t.Errorf("PID 1 and its child are %v", p)
	}
	l := c.Load("-clients", "2", dockertest.Address)
	l.Answer("generation 1", dockertest.OfGeneration(1))
	c.Signal("HUP")
	l.Answer("generation 2", dockertest.OfGeneration(2))
	c.Gone(1)
	l.Flawless()
	c.Stop()
}

// TestSoak swaps as fast as nobody would.
func TestSoak(t *testing.T) {
	t.Parallel()
	images := images(t)
	const every = 150 * time.Millisecond
	for _, test := range []struct {
		name    string
		setting string
		load    []string
	}{
		{"tcp", "SERVER_STARTER_PORT=" + dockertest.Address, []string{dockertest.Address}},
		{"unix", "SERVER_STARTER_PATH=/run/hello/socket", []string{"unix:/run/hello/socket"}},
		{"keepalive", "SERVER_STARTER_PORT=" + dockertest.Address, []string{"-keepalive", dockertest.Address}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := dockertest.Start(t, append(dockertest.Environment(test.setting), "--volume", "/run/hello"), images.Tag, "/hello")
			c.Serving(1)
			bounds := []string{"-clients", "8", "-limit", (*soak + 3*initdtest.Patience).String(), "-max", "10000000"}
			l := c.Load(append(bounds, test.load...)...)
			l.Answer("generation 1", dockertest.OfGeneration(1))
			// It goes on for as long as it has been given, and until it has swapped half as often as it was asked to.
			began, want := time.Now(), int(*soak/every/2)
			c.Pester("HUP", every, func() bool {
				took := time.Since(began)
				return took >= *soak && (c.Latest() > want || took >= *soak+initdtest.Patience)
			})
			r := l.Flawless()
			swaps := c.Latest() - 1
			t.Logf("%d swaps, %.0f requests/s", swaps, float64(r.OK)/r.Seconds)
			if swaps < want {
				t.Errorf("%d swaps in %v, which is fewer than %d", swaps, time.Since(began), want)
			}
			if *soak >= time.Minute && r.OK < 100_000 {
				t.Errorf("%d requests in %v are too few to tell", r.OK, *soak)
			}
			c.Stop()
		})
	}
}
