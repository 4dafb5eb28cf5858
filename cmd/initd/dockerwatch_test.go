package main_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// testDisconnect tells workers that their clients have gone, with the rights that a container has by default.
// It cannot where a worker has become another user by itself, and says so once.
func testDisconnect(t *testing.T, images images) {
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
			settings := append(test.settings, "SERVER_STARTER_PORT="+address, "SERVER_STARTER_READY=notify", "SERVER_STARTER_DISCONNECT_SIGNAL=USR1")
			c := start(t, append(environment(settings...), test.options...), images.scratch, test.command...)
			c.serving(1)
			visitor := exec.Command("docker", "exec", "--interactive", c.name, "/faults", "visit", address)
			leave, err := visitor.StdinPipe()
			if err == nil {
				err = visitor.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			c.said("busy")
			leave.Close()
			if err := visitor.Wait(); err != nil {
				t.Error(err)
			}
			remedies := func() (n int) {
				lines, _, _ := c.output.after(0)
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
				c.event("it says what it lacks", func(e entry) bool { return e.Event == "survey" })
				// Which is no reason for the worker not to end.
				c.signal("USR1")
			}
			c.said("its client has gone")
			c.stop()
			if got := remedies(); got != want {
				t.Errorf("it says %d times what to do, not %d times", got, want)
			}
		})
	}
}

// testFlippedVolume swaps when a volume is replaced as a kubelet does, from another container.
func testFlippedVolume(t *testing.T, images images) {
	const dir = "/etc/app"
	options := append(environment("SERVER_STARTER_PORT="+address, "SERVER_STARTER_READY=notify", "SERVER_STARTER_WORKERS=2",
		"SERVER_STARTER_ENVDIR="+dir, "SERVER_STARTER_WATCH=envdir", "SERVER_STARTER_WATCH_DEBOUNCE=0.2"), "--volume", dir)
	c := start(t, options, images.scratch, "/hello")
	c.serving(1)
	flip := func(content string) {
		docker(t, "run", "--rm", "--name", unique(), "--network", "none", "--volumes-from", c.name, "--entrypoint", "/faults", images.scratch, "flip", dir, "GREETING", content)
	}
	for flips := 1; flips <= 3; flips++ {
		flip(fmt.Sprint("number ", flips))
		c.serving(1 + flips)
		c.gone(flips)
	}
	// The same content in a new directory is no change: the next generation is of what comes after it.
	flip("number 3")
	flip("number 4")
	c.serving(5)
	c.gone(4)
	if last := c.latest(); last != 5 {
		t.Errorf("four changes were %d swaps", last-1)
	}
	c.stop()
}
