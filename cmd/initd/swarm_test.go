package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const swarmDir = "../../deploy/swarm"

// testSwarm deploys deploy/swarm in a swarm of one node, and swaps, updates and rolls back its three
// replicas while clients ask for them by name. Some look it up for each connection, some go by what it
// meant for four seconds, and none tries another address: whoever has that of a task that is being
// stopped is to be answered all the same.
func testSwarm(t *testing.T, images images) {
	if state := docker(t, "info", "--format", "{{.Swarm.LocalNodeState}}"); state != "inactive" {
		impossible(t, "a swarm is made for this test, and the engine is in one (%s) that others may use", state)
	}
	version := func(n int) string {
		return build(t, images.context, fmt.Sprintf("FROM %s\nCMD [\"/faults\", \"greet\", \"version %d\"]\n", images.scratch, n))
	}
	one, two := version(1), version(2)
	// No other node is ever to join.
	docker(t, "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
	t.Cleanup(func() { docker(t, "swarm", "leave", "--force") }) // which takes all that is in it along

	s := &stack{T: t, name: unique(), seen: map[string]bool{}}
	service, network := s.name+"_app", s.name+"_front" // as the stack has them
	t.Setenv("APP_IMAGE", one)
	docker(t, "stack", "deploy", "--resolve-image", "never", "--compose-file", filepath.Join(swarmDir, "stack.yaml"), s.name)
	s.eventually("all tasks are healthy", func() bool { return len(s.tasks("--filter", "health=healthy")) == replicas })

	for _, args := range [][]string{{"-clients", "2"}, {"-clients", "2", "-ttl", "4s"}, {"-clients", "2", "-keepalive"}} {
		s.loads = append(s.loads, generateLoad(t, []string{"--network", network}, images, append(args, "-max", "100000000", "app:8080")...))
	}
	s.answer("version 1, generation 1 at ")

	for _, task := range s.tasks() {
		docker(t, "kill", "--signal", "HUP", task)
	}
	s.answer("version 1, generation 2 at ")

	old := s.tasks()
	docker(t, "service", "update", "--no-resolve-image", "--detach", "--image", two, service)
	s.answer("version 2, generation 1 at ")
	s.ended(old)
	s.eventually("the update is completed", func() bool { // else a rollback may be «out of sequence»
		return docker(t, "service", "inspect", "--format", "{{.UpdateStatus.State}}", service) == "completed"
	})

	old = s.tasks()
	docker(t, "service", "rollback", "--detach", service)
	s.answer("version 1, generation 1 at ")
	s.ended(old)

	for _, l := range s.loads {
		l.flawless()
	}
}

// replicas is how many tasks deploy/swarm has.
const replicas = 3

// stack is one that this test has deployed.
type stack struct {
	*testing.T
	name  string
	loads []*load
	seen  map[string]bool // what the first of them was answered
}

// tasks are the containers of it that run, or those that the options choose.
func (s *stack) tasks(options ...string) []string {
	s.Helper()
	filter := "label=com.docker.stack.namespace=" + s.name
	return strings.Fields(docker(s.T, append([]string{"ps", "--no-trunc", "--quiet", "--filter", filter}, options...)...))
}

// eventually asks until the answer is yes, as that of a container does.
func (s *stack) eventually(what string, answer func() bool) {
	s.Helper()
	for began := time.Now(); !answer(); {
		if time.Since(began) > patience {
			s.Fatalf("never came true: %s\n%s", what, docker(s.T, "stack", "ps", "--no-trunc", s.name))
		}
	}
}

// answer waits until each of the replicas has answered what begins so, for the first time.
func (s *stack) answer(prefix string) {
	s.Helper()
	for n := range replicas {
		answer := s.loads[0].answer(fmt.Sprintf("%s… from %d tasks, and not from %d", prefix, replicas, n), func(answer string) bool {
			return strings.HasPrefix(answer, prefix) && !s.seen[answer]
		})
		s.seen[answer] = true
	}
}

// ended waits for the end of tasks, which initd has to bring about itself: the engine kills after its grace.
func (s *stack) ended(tasks []string) {
	s.Helper()
	for _, task := range tasks {
		if status := docker(s.T, "wait", task); status != "0" {
			s.Errorf("the exit status of task %s is %s", task, status)
		}
	}
}
