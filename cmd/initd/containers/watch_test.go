package containers_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// TestDisconnect tells workers that their clients have gone, with the rights that a container has by default.
// It cannot where a worker has become another user by itself, and says so once.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	images := images(t)
	for _, test := range []struct {
		name     string
		settings []string
		options  []string
		command  []string
		blind    bool
	}{
		{"root", nil, nil, []string{"/faults", "forsaken"}, false},
		{"user", []string{"SERVER_STARTER_USER=65532"}, nil, []string{"/faults", "forsaken"}, false},
		{"unprivileged", nil, []string{"--user", "65532", "--cap-drop", "ALL"}, []string{"/faults", "forsaken"}, false},
		{"changed", nil, nil, []string{"/faults", "forsaken", "65532"}, true},
		{"changed, with SYS_PTRACE", nil, []string{"--cap-add", "SYS_PTRACE"}, []string{"/faults", "forsaken", "65532"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := append(test.settings, "SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_READY=notify", "SERVER_STARTER_DISCONNECT_SIGNAL=USR1")
			c := dockertest.Start(t, append(dockertest.Environment(settings...), test.options...), images.Tag, test.command...)
			c.Serving(1)
			visitor := exec.Command("docker", "exec", "--interactive", c.Name, "/faults", "visit", dockertest.Address)
			leave, err := visitor.StdinPipe()
			if err == nil {
				err = visitor.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Said("busy")
			leave.Close()
			if err := visitor.Wait(); err != nil {
				t.Error(err)
			}
			remedies := func() (n int) {
				lines, _, _ := c.Output.After(0)
				for _, line := range lines {
					if strings.Contains(line, "--cap-add SYS_PTRACE") {
						n++
					}
				}
				return n
			}
			want := 0
			if test.blind {
				want = 1
				c.Event("it says what it lacks", func(e initdtest.Entry) bool { return e.Event == "survey" })
				// Which is no reason for the worker not to end.
				c.Signal("USR1")
			}
			c.Said("its client has gone")
			c.Stop()
			if got := remedies(); got != want {
				t.Errorf("it says %d times what to do, not %d times", got, want)
			}
		})
	}
}

// TestFlippedVolume swaps when a volume is replaced as a kubelet does, from another container.
func TestFlippedVolume(t *testing.T) {
	t.Parallel()
	images := images(t)
	const dir = "/etc/app"
	options := append(dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_READY=notify", "SERVER_STARTER_WORKERS=2",
		"SERVER_STARTER_ENVDIR="+dir, "SERVER_STARTER_WATCH=envdir", "SERVER_STARTER_WATCH_DEBOUNCE=0.2"), "--volume", dir)
	c := dockertest.Start(t, options, images.Tag, "/hello")
	c.Serving(1)
	flip := func(content string) {
		dockertest.Docker(t, "run", "--rm", "--name", initdtest.Unique(), "--network", "none", "--volumes-from", c.Name, "--entrypoint", "/faults", images.Tag, "flip", dir, "GREETING", content)
	}
	for flips := 1; flips <= 3; flips++ {
		flip(fmt.Sprint("number ", flips))
		c.Serving(1 + flips)
		c.Gone(flips)
	}
	// The same content in a new directory is no change: the next generation is of what comes after it.
	flip("number 3")
	flip("number 4")
	c.Serving(5)
	c.Gone(4)
	if last := c.Latest(); last != 5 {
		t.Errorf("four changes were %d swaps", last-1)
	}
	c.Stop()
}
