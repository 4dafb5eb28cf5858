package servers_test

import (
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/recipes"
)

// TestSeen: each server is seen to accept connections, without READY=1, with the fewest rights that a container
// can have.
func TestSeen(t *testing.T) {
	images := recipes.Images(t, nil)
	for _, r := range recipes.Read(t).Each {
		t.Run(r.Server, func(t *testing.T) {
			t.Parallel()
			settings := slices.DeleteFunc(slices.Clone(r.Environ), func(s string) bool { return strings.HasPrefix(s, "SERVER_STARTER_READY=") })
			options := dockertest.Environment(append(settings, "SERVER_STARTER_READY=accepting", "SERVER_STARTER_INTERVAL=0.3")...)
			options = append(options, "--user", "65532", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
			dockertest.Start(t, options, images.Tag, r.Command...).Serving(1)
		})
	}
}
