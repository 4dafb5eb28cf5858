// Package servers_test runs the recipes of docs/SERVERS.md: servers that know nothing of initd, under load.
package servers_test

import (
	"os"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

func TestMain(m *testing.M) { os.Exit(initdtest.Main(m.Run, 4)) }
