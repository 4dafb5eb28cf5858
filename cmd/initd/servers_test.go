package main_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 5*time.Second, "how long the soak test swaps under load, in each of its tests")

// testHello is the least there can be: initd and a worker, and nothing else in the image.
func testHello(t *testing.T, images images) {
	c := start(t, environment("SERVER_STARTER_PORT="+address, "SERVER_STARTER_READY=notify"), images.scratch, "/hello")
	c.serving(1)
	if p := c.processes(); len(p) != 2 || p[0].pid != 1 || p[0].command != "/initd /hello" || p[1].parent != 1 {
		t.Errorf("PID 1 and its child are %v", p)
	}
	l := startLoad(c, images, "-clients", "2", address)
	l.answer("generation 1", ofGeneration(1))
	c.signal("HUP")
	l.answer("generation 2", ofGeneration(2))
	c.gone(1)
	l.flawless()
	c.stop()
}

func ofGeneration(number int) func(answer string) bool {
	return func(answer string) bool { return strings.HasPrefix(answer, fmt.Sprintf("generation %d,", number)) }
}

// testDebian runs what Debian has, unmodified, which knows nothing of initd.
func testDebian(t *testing.T, images images) {
	debian := build(t, images.context, "FROM "+debian(t)+programs)
	t.Run("Compose", func(t *testing.T) { testCompose(t, images, debian) })
	t.Run("Servers", func(t *testing.T) { testServers(t, images, debian) })
	t.Run("Blocking", func(t *testing.T) { testBlockingServers(t, images, debian) })
	t.Run("Check", func(t *testing.T) { testCheckServers(t, debian) })
	t.Run("Terminal", func(t *testing.T) { testTerminal(t, debian) })
}

// testCheckServers has the doctor examine some of them, told nothing but the port, with the few rights that a container has by default and
// with enough for a network of its own.
func testCheckServers(t *testing.T, debian string) {
	for _, rights := range []struct {
		name    string
		options []string
		says    string
	}{
		{"Default", []string{"--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"}, "in this container's network"},
		{"Admin", []string{"--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"}, "in a network of its own"},
	} {
		for _, server := range []struct {
			name   string
			status int
			says   []string
		}{
			{"gunicorn", 0, []string{"SERVER_STARTER_READY=notify\n", "none lost"}},
			{"h2o", 0, []string{"none lost"}},
			{"nginx", 1, []string{
				"Address already in use", "\nwith SERVER_STARTER_EXPORT=nginx:\n", "were lost during the swap",
				"  SERVER_STARTER_EXPORT=nginx\n  SERVER_STARTER_SIGNAL_ON_HUP=QUIT\n  SERVER_STARTER_SIGNAL_ON_TERM=QUIT\nnot fit for hot swaps as it is set, but fit with these settings"}},
		} {
			t.Run(rights.name+"/"+server.name, func(t *testing.T) {
				all := readRecipes(t).each
				recipe := all[slices.IndexFunc(all, func(r recipe) bool { return r.server == server.name })]
				options := append(environment("SERVER_STARTER_PORT=8080"), rights.options...)
				options = append(options, "--entrypoint", "/initctl")
				c := start(t, options, debian, append([]string{"check"}, recipe.command...)...)
				if got := c.wait(); got != server.status {
					t.Errorf("exit status %d, not %d", got, server.status)
				}
				lines, _, _ := c.output.after(0)
				report := strings.Join(lines, "\n")
				for _, text := range append(server.says, rights.says) {
					if !strings.Contains(report, text) {
						t.Errorf("it does not say %q", text)
					}
				}
			})
		}
	}
}

// testSoak swaps as fast as nobody would.
func testSoak(t *testing.T, images images) {
	const every = 150 * time.Millisecond
	for _, test := range []struct {
		name    string
		setting string
		load    []string
	}{
		{"tcp", "SERVER_STARTER_PORT=" + address, []string{address}},
		{"unix", "SERVER_STARTER_PATH=/run/hello/socket", []string{"unix:/run/hello/socket"}},
		{"keepalive", "SERVER_STARTER_PORT=" + address, []string{"-keepalive", address}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, append(environment(test.setting), "--volume", "/run/hello"), images.scratch, "/hello")
			c.serving(1)
			bounds := []string{"-clients", "8", "-limit", (*soak + patience).String(), "-max", "10000000"}
			l := startLoad(c, images, append(bounds, test.load...)...)
			l.answer("generation 1", ofGeneration(1))
			c.pester("HUP", every, *soak)
			r := l.flawless()
			swaps := c.latest() - 1
			t.Logf("%d swaps, %.0f requests/s", swaps, float64(r.OK)/r.Seconds)
			if want := int(*soak / every / 2); swaps < want {
				t.Errorf("%d swaps in %v, which is fewer than %d", swaps, *soak, want)
			}
			if *soak >= time.Minute && r.OK < 100_000 {
				t.Errorf("%d requests in %v are too few to tell", r.OK, *soak)
			}
			c.stop()
		})
	}
}

// pester sends a signal again and again. It does not wait for the command that does so, which takes
// longer than from one time to the next where the machine is busy.
func (c *container) pester(signal string, every, limit time.Duration) {
	var sent sync.WaitGroup
	defer sent.Wait()
	next := time.NewTicker(every)
	defer next.Stop()
	for end := time.After(limit); ; {
		select {
		case <-next.C:
			sent.Go(func() {
				if _, err := try("docker", "kill", "--signal", signal, c.name); err != nil {
					c.Error(err)
				}
			})
		case <-end:
			return
		}
	}
}

// blocking are servers that know nothing of pools, and serve one client at a time with each process. How many
// of these there are is left to initd.
var blocking = []struct {
	server  string
	command []string
}{
	{"Starlet", []string{"plackup", "-E", "deployment", "-s", "Starlet", "--max-workers", "1", "/srv/slow.psgi"}},
	{"gunicorn", []string{"gunicorn", "--chdir", "/srv", "--workers", "1", "--preload", "--backlog", "4096", "slow:app"}},
}

// slow are applications that take some time over each request, and a line of each to say which generation it was.
var slow = map[string]string{
	"slow.psgi": `my $body = "generation $ENV{SERVER_STARTER_GENERATION}, slow\n";
sub { select undef, undef, undef, 0.05; [200, ['Content-Type' => 'text/plain'], [$body]] };
`,
	"slow.py": `import os, time
BODY = f"generation {os.environ['SERVER_STARTER_GENERATION']}, slow\n".encode()
def app(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
`,
}

// testBlockingServers has initd make pools of them. They grow because clients wait, and are swapped meanwhile.
func testBlockingServers(t *testing.T, images images, debian string) {
	for _, test := range blocking {
		t.Run(test.server, func(t *testing.T) {
			t.Parallel()
			all := readRecipes(t).each
			r := all[slices.IndexFunc(all, func(r recipe) bool { return r.server == test.server })]
			options := environment(append(r.environ, "SERVER_STARTER_WORKERS=4", "SERVER_STARTER_MAX_WORKERS=8", "SERVER_STARTER_MIN_IDLE=0",
				"SERVER_STARTER_SURGE=2", "SERVER_STARTER_INTERVAL=0.5")...)
			options = append(options, "--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
			c := start(t, options, debian, test.command...)
			c.serving(1)
			l := startLoad(c, images, "-clients", "12", "-max", "100000000", address)
			l.answer("generation 1", ofGeneration(1))
			c.event("the pool has grown to its limit", func(e entry) bool { return e.Event == "resize" && e.Workers == 8 })
			for swap := 1; swap <= 3; swap++ {
				c.signal("HUP")
				c.serving(swap + 1)
				l.answer(fmt.Sprintf("generation %d", swap+1), ofGeneration(swap+1))
				c.gone(swap)
			}
			l.flawless()
			c.stop()
		})
	}
}
