package containers_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

const swarmDir = "../../../deploy/swarm"

// TestSwarm deploys deploy/swarm in a swarm of one node, and swaps, updates and rolls back its three
// replicas while clients ask for them by name. Some look it up for each connection, some go by what it
// meant for four seconds, and none tries another address: whoever has that of a task that is being
// stopped is to be answered all the same.
func TestSwarm(t *testing.T) {
	// Not beside the others: the engine takes a task for dead whose health check is late.
	images := images(t)
	if state := dockertest.Docker(t, "info", "--format", "{{.Swarm.LocalNodeState}}"); state != "inactive" {
		initdtest.Impossible(t, "a swarm is made for this test, and the engine is in one (%s) that others may use", state)
	}
	version := func(n int) string {
		return dockertest.Build(t, images.Context, fmt.Sprintf("FROM %s\nCMD [\"/faults\", \"greet\", \"version %d\"]\n", images.Tag, n))
	}
	one, two := version(1), version(2)
	// No other node is ever to join.
	dockertest.Docker(t, "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
	initdtest.Undo(t, "docker", "swarm", "leave", "--force") // which takes all that is in it along

	s := &stack{T: t, name: initdtest.Unique(), seen: map[string]bool{}}
	service, network := s.name+"_app", s.name+"_front" // as the stack has them
	if _, err := initdtest.Try("env", "APP_IMAGE="+one, "docker", "stack", "deploy", "--resolve-image", "never",
		"--compose-file", filepath.Join(swarmDir, "stack.yaml"), s.name); err != nil {
		t.Fatal(err)
	}
	s.eventually("all tasks are healthy", func() bool { return len(s.tasks("--filter", "health=healthy")) == replicas })

	for _, args := range [][]string{{"-clients", "2"}, {"-clients", "2", "-ttl", "4s"}, {"-clients", "2", "-keepalive"}} {
		s.loads = append(s.loads, dockertest.StartLoad(t, []string{"--network", network}, append(args, "-max", "100000000", "app:8080")...))
	}
	s.answer("version 1, generation 1 at ")

	for _, task := range s.tasks() {
		dockertest.Docker(t, "kill", "--signal", "HUP", task)
	}
	s.answer("version 1, generation 2 at ")

	ended := s.ends(s.tasks())
	dockertest.Docker(t, "service", "update", "--no-resolve-image", "--detach", "--image", two, service)
	s.answer("version 2, generation 1 at ")
	ended()
	s.eventually("the update is completed", func() bool { // else a rollback may be «out of sequence»
		return dockertest.Docker(t, "service", "inspect", "--format", "{{.UpdateStatus.State}}", service) == "completed"
	})

	ended = s.ends(s.tasks())
	dockertest.Docker(t, "service", "rollback", "--detach", service)
	s.answer("version 1, generation 1 at ")
	ended()

	for _, l := range s.loads {
		r := l.Stop()
		l.Judge(r)
	}
}

// replicas is how many tasks deploy/swarm has.
const replicas = 3

// stack is one that this test has deployed.
type stack struct {
	*testing.T
	name  string
	loads []*dockertest.Load
	seen  map[string]bool // what the first of them was answered
}

// tasks are the containers of it that run, or those that the options choose.
func (s *stack) tasks(options ...string) []string {
	s.Helper()
	filter := "label=com.docker.stack.namespace=" + s.name
	return strings.Fields(dockertest.Docker(s.T, append([]string{"ps", "--no-trunc", "--quiet", "--filter", filter}, options...)...))
}

// eventually asks until the answer is yes, as that of a container does.
func (s *stack) eventually(what string, answer func() bool) {
	s.Helper()
	for began := time.Now(); !answer(); {
		if time.Since(began) > initdtest.Patience {
			s.Fatalf("never came true: %s\n%s", what, dockertest.Docker(s.T, "stack", "ps", "--no-trunc", s.name))
		}
	}
}

// answer waits until each of the replicas has answered what begins so, for the first time.
func (s *stack) answer(prefix string) {
	s.Helper()
	for n := range replicas {
		answer := s.loads[0].Answer(fmt.Sprintf("%s… from %d tasks, and not from %d", prefix, replicas, n), func(answer string) bool {
			return strings.HasPrefix(answer, prefix) && !s.seen[answer]
		})
		s.seen[answer] = true
	}
}

// ends begins to wait for tasks before they end, for the engine forgets old ones; ended returns when they have, which
// initd has to bring about itself: the engine kills after its grace.
func (s *stack) ends(tasks []string) (ended func()) {
	statuses := make(chan string, len(tasks))
	for _, task := range tasks {
		go func() {
			status, err := initdtest.Try("docker", "wait", task)
			if err != nil {
				status = err.Error()
			}
			statuses <- task + ": " + status
		}()
	}
	return func() {
		s.Helper()
		for range tasks {
			if status := <-statuses; !strings.HasSuffix(status, ": 0") {
				s.Errorf("a task has not ended by itself with 0: %s", status)
			}
		}
	}
}
