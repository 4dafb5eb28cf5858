package servers_test

import (
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
)

// TestSeen: each server is seen to accept connections, without READY=1, with the fewest rights that a container
// can have.
func TestSeen(t *testing.T) {
	images := images(t)
	for _, r := range readRecipes(t).each {
		t.Run(r.server, func(t *testing.T) {
			t.Parallel()
			settings := slices.DeleteFunc(slices.Clone(r.environ), func(s string) bool { return strings.HasPrefix(s, "SERVER_STARTER_READY=") })
			options := dockertest.Environment(append(settings, "SERVER_STARTER_READY=accepting", "SERVER_STARTER_INTERVAL=0.3")...)
			options = append(options, "--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
			dockertest.Start(t, options, images.Tag, r.command...).Serving(1)
		})
	}
}
