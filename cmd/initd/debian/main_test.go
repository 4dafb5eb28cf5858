// Package debian_test runs what Debian has under initd, unmodified, in other ways than docs/SERVERS.md does.
package debian_test

import (
	"os"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/cmd/initd/internal/recipes"
)

func TestMain(m *testing.M) { os.Exit(initdtest.Main(m.Run, 3)) }

// images are made of Debian, with what the recipes install and copy, and applications that are slow.
func images(t testing.TB) dockertest.Images {
	t.Helper()
	return recipes.Images(t, slow)
}
