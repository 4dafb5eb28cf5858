// Package servers_test runs what Debian has under initd, unmodified, which knows nothing of it.
package servers_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

func TestMain(m *testing.M) { os.Exit(initdtest.Main(m.Run, 3)) }

// images are made of Debian, with what the recipes install and copy.
func images(t testing.TB) dockertest.Images {
	t.Helper()
	return dockertest.Make(t, func(t testing.TB) (string, map[string]string) {
		files := map[string]string{}
		all := readRecipes(t).files
		maps.Copy(all, slow)
		for name, content := range all {
			files[filepath.Join("srv", name)] = content
		}
		return debian(t), files
	})
}
