// Package containers_test runs initd as PID 1 of containers that have nothing but initd and its worker.
package containers_test

import (
	"os"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

func TestMain(m *testing.M) { os.Exit(initdtest.Main(m.Run, 4)) }

// images are made of nothing but the programs.
func images(t testing.TB) dockertest.Images {
	t.Helper()
	return dockertest.Make(t, func(testing.TB) (string, map[string]string) { return "scratch", nil })
}
