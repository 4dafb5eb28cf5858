package debian_test

import (
	"fmt"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/cmd/initd/internal/recipes"
)

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

// TestBlocking has initd make pools of them. They grow because clients wait, and are swapped meanwhile.
func TestBlocking(t *testing.T) {
	images := images(t)
	for _, test := range blocking {
		t.Run(test.server, func(t *testing.T) {
			t.Parallel()
			r := recipes.For(t, test.server)
			options := dockertest.Environment(append(r.Environ, "SERVER_STARTER_WORKERS=4", "SERVER_STARTER_MAX_WORKERS=8", "SERVER_STARTER_MIN_IDLE=0",
				"SERVER_STARTER_SURGE=2", "SERVER_STARTER_INTERVAL=0.5")...)
			options = append(options, "--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
			c := dockertest.Start(t, options, images.Tag, test.command...)
			c.Serving(1)
			l := c.Load("-clients", "12", "-max", "100000000", dockertest.Address)
			l.Answer("generation 1", dockertest.OfGeneration(1))
			c.Event("the pool has grown to its limit", func(e initdtest.Entry) bool { return e.Event == "resize" && e.Workers == 8 })
			for swap := 1; swap <= 3; swap++ {
				c.Signal("HUP")
				c.Serving(swap + 1)
				l.Answer(fmt.Sprintf("generation %d", swap+1), dockertest.OfGeneration(swap+1))
				c.Gone(swap)
			}
			l.Flawless()
			c.Stop()
		})
	}
}
