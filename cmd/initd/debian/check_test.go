package debian_test

import (
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/recipes"
)

// TestCheck has the doctor examine some of them, told nothing but the port, with the few rights that a container
// has by default and with enough for a network of its own.
func TestCheck(t *testing.T) {
	images := images(t)
	for _, rights := range []struct {
		name    string
		options []string
		says    string
	}{
		{"Default", []string{"--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"}, "in this container's network"},
		{"Admin", []string{"--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"}, "in an isolated network"},
	} {
		for _, server := range []struct {
			name     string
			settings []string
			status   int
			says     []string
		}{
			// Where the machine is busy it takes longer than the interval. What it is advised to set depends on how soon it
			// answers, and so on the machine: the tests of judge have that.
			{"gunicorn", []string{"SERVER_STARTER_INTERVAL=30"}, 0, []string{"sends READY=1 ", "none lost"}},
			{"h2o", nil, 0, []string{"none lost"}},
			{"nginx", nil, 1, []string{
				"Address already in use", "\nwith SERVER_STARTER_EXPORT=nginx:\n", "were lost during the swap",
				"  SERVER_STARTER_EXPORT=nginx\n  SERVER_STARTER_SIGNAL_ON_HUP=QUIT\n  SERVER_STARTER_SIGNAL_ON_TERM=QUIT\nnot ready for hot swaps as configured, but ready with these settings"}},
		} {
			t.Run(rights.name+"/"+server.name, func(t *testing.T) {
				t.Parallel()
				recipe := recipes.For(t, server.name)
				options := append(dockertest.Environment(append(server.settings, "SERVER_STARTER_PORT=8080")...), rights.options...)
				options = append(options, "--entrypoint", "/initctl")
				c := dockertest.Start(t, options, images.Tag, append([]string{"check"}, recipe.Command...)...)
				if got := c.Wait(); got != server.status {
					t.Errorf("exit status %d, not %d", got, server.status)
				}
				lines, _, _ := c.Output.After(0)
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
