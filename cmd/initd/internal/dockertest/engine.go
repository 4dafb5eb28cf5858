// Package dockertest runs initd in real containers: as PID 1 of images made here, by whatever engine the docker
// command talks to. No container but its own is ever touched, none has a network beyond the loopback but those of
// a Compose project and of a swarm, which are made for the test; and all are removed at the end.
package dockertest

import (
	"os/exec"
	"sync"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// answers reports why no engine does.
var answers = sync.OnceValue(func() error {
	if _, err := exec.LookPath("docker"); err != nil {
		return err
	}
	_, err := initdtest.Try("docker", "version", "--format", "{{.Server.Version}}")
	return err
})

// Need skips the test where no engine answers.
func Need(t testing.TB) {
	t.Helper()
	if err := answers(); err != nil {
		initdtest.Impossible(t, "container tests need a Docker engine, and none answers: %v", err)
	}
}

// Docker runs the docker command and returns what it prints.
func Docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := initdtest.Try("docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
