package dockertest

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// Load is a load generator in the network of a container.
type Load struct {
	*testing.T
	answers *initdtest.Stream // each distinct one, once
	result  bytes.Buffer      // to be read when it has ended
	finish  func()            // ends its standard input, and so the load
	Ended   chan struct{}
}

// Result is what a load generator counted.
type Result struct {
	OK, Failed int
	Errors     []string
	Failures   []Failure
	Seconds    float64
}

// Failure is a request that failed: by which port of the client, and when.
type Failure struct {
	Port         int
	Began, Ended time.Time
}

// Load sends requests to a container without pause, from clients that make a new connection for each, until the
// load is stopped.
func (c *Container) Load(args ...string) *Load {
	c.Helper()
	return StartLoad(c.T, []string{"--network", "container:" + c.Name, "--volumes-from", c.Name}, args...)
}

// StartLoad does so with the options that let it reach whatever is to be asked. Make has been called before.
func StartLoad(t *testing.T, options []string, args ...string) *Load {
	t.Helper()
	l := &Load{T: t, answers: initdtest.NewStream(), Ended: make(chan struct{})}
	name := initdtest.Unique()
	done := initdtest.AtEnd("docker", "rm", "--force", name)
	// What it asks goes first where processors are short, or the next generation could hardly start.
	options = append([]string{"run", "--interactive", "--rm", "--name", name, "--cpu-shares", "128", "--entrypoint", "/load"}, options...)
	cmd := exec.Command("docker", append(append(options, made.images.Tag), args...)...)
	cmd.Stdout, cmd.Stderr = &l.result, l.answers
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.finish = func() { stdin.Close() }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(l.Ended)
		l.answers.Close()
	}()
	t.Cleanup(func() {
		l.finish()
		<-l.Ended
		done()
	})
	return l
}

// Any matches every answer.
func Any(string) bool { return true }

// Answer waits for an answer that matches.
func (l *Load) Answer(what string, match func(answer string) bool) string {
	l.Helper()
	return l.answers.Await(l.T, what, match)
}

// Stop ends the load and returns what came of it.
func (l *Load) Stop() (r Result) {
	l.Helper()
	l.finish()
	<-l.Ended
	if err := json.Unmarshal(l.result.Bytes(), &r); err != nil {
		l.Fatalf("load: %v\n%s", err, l.answers.Tail())
	}
	return r
}

// Flawless stops the load and fails the test if any request failed, or if there were none.
func (l *Load) Flawless() Result {
	l.Helper()
	r := l.Stop()
	l.Judge(r)
	return r
}

// Judge fails the test if any request failed, or if there were none.
func (l *Load) Judge(r Result) {
	l.Helper()
	l.Logf("%d requests in %.1f s, %d failed", r.OK+r.Failed, r.Seconds, r.Failed)
	if r.Failed > 0 || r.OK == 0 {
		l.Errorf("%d requests failed, %d did not: %q", r.Failed, r.OK, r.Errors)
	}
}

// Ask sends one request to a container and returns the answer.
func (c *Container) Ask() string {
	c.Helper()
	l := c.Load("-clients", "1", "-max", "1", Address)
	answer := l.Answer("an answer", Any)
	if r := l.Stop(); r.OK != 1 {
		c.Fatalf("no answer: %q", r.Errors)
	}
	return answer
}
