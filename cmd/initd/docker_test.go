package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDocker runs initd in real containers: as PID 1 of images made here, by whatever engine the
// docker command talks to. No container but its own is ever touched, none has a network beyond the
// loopback but those of a Compose project and of a swarm, which are made for the test, and all are
// removed at the end.
func TestDocker(t *testing.T) {
	requireEngine(t)
	made := buildImages(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, images)
	}{
		{"Hello", testHello},
		{"Soak", testSoak},
		{"OrphanStorm", testOrphanStorm},
		{"BrokenVersion", testBrokenVersion},
		{"KilledWorker", testKilledWorker},
		{"MemoryLimit", testMemoryLimit},
		{"StubbornWorker", testStubbornWorker},
		{"BeneathInit", testBeneathInit},
		{"Hardened", testHardened},
		{"PidsLimit", testPidsLimit},
		{"Pool", testPool},
		{"Disconnect", testDisconnect},
		{"FlippedVolume", testFlippedVolume},
		{"Dockerfile", testDockerfile},
		{"TerminationLog", testTerminationLog},
		{"Operate", testOperate},
		{"Swarm", testSwarm},
		{"Debian", testDebian},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, made) })
	}
}

// patience is how long any one event may take before a test gives up on it.
const patience = time.Minute

// requireEngine skips the test where no engine answers.
func requireEngine(t *testing.T) {
	_, err := exec.LookPath("docker")
	if err == nil {
		_, err = try("docker", "version", "--format", "{{.Server.Version}}")
	}
	if err != nil {
		impossible(t, "container tests need a Docker engine, and none answers: %v", err)
	}
}

// impossible skips a test that this machine is not made for, and fails it where it has to be run.
func impossible(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("INITD_REQUIRE_DOCKER") != "" {
		t.Fatalf("INITD_REQUIRE_DOCKER is set: "+format, args...)
	}
	t.Skipf(format, args...)
}

// try runs a command and returns its trimmed standard output; the error holds its standard error.
func try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, tail(stdout.String()), tail(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// docker runs the docker command and returns what it prints.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try("docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tail is the end of a long text.
func tail(s string) string {
	const limit = 4000
	if len(s) > limit {
		return "…" + s[len(s)-limit:]
	}
	return s
}

var serial atomic.Int64

// unique returns a name for a container, an image or a volume that nothing else has.
func unique() string {
	return fmt.Sprintf("initd-test-%d-%d-%d", os.Getpid(), time.Now().UnixMicro(), serial.Add(1))
}

// container is a container that this test has started.
type container struct {
	*testing.T
	name   string
	output *stream       // of the container, as `docker run` in the foreground hands it on
	ended  chan struct{} // closed when it has ended
	status int           // its exit status then
}

// start runs an image with initd as its entry point. The network has only a loopback.
func start(t *testing.T, options []string, image string, command ...string) *container {
	t.Helper()
	c := &container{T: t, name: unique(), output: newStream(), ended: make(chan struct{})}
	args := append([]string{"run", "--name", c.name, "--network", "none"}, options...)
	args = append(append(args, image), command...)
	cmd := exec.Command("docker", args...)
	cmd.Stdout, cmd.Stderr = c.output, c.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		c.status = cmd.ProcessState.ExitCode()
		close(c.ended)
		c.output.close()
	}()
	t.Cleanup(func() {
		if _, err := try("docker", "rm", "--force", "--volumes", c.name); err != nil {
			t.Error(err)
		}
		<-c.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), c.output.tail())
		}
	})
	return c
}

// entry is a line of initd's log.
type entry struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"`
	Generation int       `json:"generation"`
	Slot       int       `json:"slot"`
	PID        int       `json:"pid"`
	Signal     string    `json:"signal"`
	ExitStatus *int      `json:"exit_status"`
	Workers    int       `json:"workers"`
	Hook       string    `json:"hook"`
	Name       string    `json:"name"`
	Message    string    `json:"msg"`
	Address    string    `json:"address"`
}

// logged returns the event that initd has logged on a line. Something of a worker's may stand before
// it: h2o, for one, writes its lines in pieces.
func logged(line string) (e entry, ok bool) {
	start := strings.Index(line, `{"time":`)
	if start < 0 {
		return e, false
	}
	err := json.NewDecoder(strings.NewReader(line[start:])).Decode(&e)
	return e, err == nil
}

// event waits until initd has logged an event that matches.
func (c *container) event(what string, match func(entry) bool) (e entry) {
	c.Helper()
	c.output.await(c.T, what, func(line string) bool {
		var ok bool
		e, ok = logged(line)
		return ok && match(e)
	})
	return e
}

// serving waits until a generation of that number or a higher one serves, and returns its number.
func (c *container) serving(generation int) int {
	c.Helper()
	return c.event(fmt.Sprintf("generation %d or a later one serves", generation), func(e entry) bool {
		return e.Event == "serving" && e.Generation >= generation
	}).Generation
}

// latest returns the number of the generation that has come to serve last.
func (c *container) latest() (generation int) {
	lines, _, _ := c.output.after(0)
	for _, line := range lines {
		if e, ok := logged(line); ok && e.Event == "serving" {
			generation = max(generation, e.Generation)
		}
	}
	return generation
}

// gone waits until nothing is left of a generation.
func (c *container) gone(generation int) {
	c.Helper()
	c.event(fmt.Sprintf("generation %d is gone", generation), func(e entry) bool {
		return e.Event == "gone" && e.Generation == generation
	})
}

// signal sends a signal to PID 1.
func (c *container) signal(name string) {
	c.Helper()
	docker(c.T, "kill", "--signal", name, c.name)
}

// stop stops the container as `docker stop` does, and fails the test unless it exits 0 within the
// grace: after that the engine would have killed it.
func (c *container) stop() {
	c.Helper()
	const grace = 20 * time.Second
	began := time.Now()
	docker(c.T, "stop", "--time", fmt.Sprint(grace.Seconds()), c.name)
	if took := time.Since(began); took >= grace {
		c.Errorf("docker stop took %v", took)
	}
	if status := c.wait(); status != 0 {
		c.Errorf("the stopped container's exit status is %d", status)
	}
}

// wait waits for the container's end and returns its exit status.
func (c *container) wait() int {
	c.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.Fatal("the container has not ended")
	}
	return c.status
}

func (c *container) running() bool {
	c.Helper()
	return docker(c.T, "inspect", "--format", "{{.State.Running}}", c.name) == "true"
}

// process is one in a container, as that sees it itself: `docker top` leaves zombies out, as the
// kernel does not list them among a control group's processes.
type process struct {
	pid, parent    int
	state, command string
}

func (c *container) processes() (processes []process) {
	c.Helper()
	for line := range strings.Lines(docker(c.T, "exec", c.name, "/faults", "ps")) {
		var p process
		if _, err := fmt.Sscan(line, &p.pid, &p.parent, &p.state); err != nil {
			c.Fatalf("%q: %v", line, err)
		}
		p.command = strings.Join(strings.Fields(line)[3:], " ")
		processes = append(processes, p)
	}
	return processes
}

// eventually asks until the answer is yes. What it asks takes its time, so this is no busy loop.
func (c *container) eventually(what string, answer func() bool) {
	c.Helper()
	for began := time.Now(); !answer(); {
		if time.Since(began) > patience {
			c.Fatalf("never came true: %s\n%v", what, c.processes())
		}
	}
}

// stream is the lines that a command has written so far. It is an io.Writer.
type stream struct {
	mu      sync.Mutex
	lines   []string
	partial string
	closed  bool
	changed chan struct{} // closed at the next change
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.partial+string(p), "\n")
	s.partial = lines[len(lines)-1]
	s.lines = append(s.lines, lines[:len(lines)-1]...)
	s.change()
	return len(p), nil
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.change()
}

func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// after returns the lines from number n on, whether more may come, and what tells of a change.
func (s *stream) after(n int) (lines []string, closed bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[n:], s.closed, s.changed
}

// await returns the first line that matches, now or later.
func (s *stream) await(t *testing.T, what string, match func(line string) bool) string {
	t.Helper()
	late := time.After(patience)
	for n := 0; ; {
		lines, closed, changed := s.after(n)
		for _, line := range lines {
			if match(line) {
				return line
			}
		}
		if closed {
			t.Fatalf("it ended, and never said: %s", what)
		}
		n += len(lines)
		select {
		case <-changed:
		case <-late:
			t.Fatalf("it never said: %s", what)
		}
	}
}

func (s *stream) tail() string {
	lines, _, _ := s.after(0)
	return tail(strings.Join(lines, "\n"))
}

// load is a load generator in the network of a container.
type load struct {
	*testing.T
	answers *stream      // each distinct one, once
	result  bytes.Buffer // to be read when it has ended
	finish  func()       // ends its standard input, and so the load
	ended   chan struct{}
}

// result is what a load generator counted.
type result struct {
	OK, Failed int
	Errors     []string
	Failures   []failure
	Seconds    float64
}

// failure is a request that failed: by which port of the client, and when.
type failure struct {
	Port         int
	Began, Ended time.Time
}

// startLoad sends requests to a container without pause, from clients that make a new connection
// for each, until the load is stopped.
func startLoad(c *container, images images, args ...string) *load {
	c.Helper()
	return generateLoad(c.T, []string{"--network", "container:" + c.name, "--volumes-from", c.name}, images, args...)
}

// generateLoad is startLoad with the options that let it reach whatever is to be asked.
func generateLoad(t *testing.T, options []string, images images, args ...string) *load {
	t.Helper()
	l := &load{T: t, answers: newStream(), ended: make(chan struct{})}
	options = append([]string{"run", "--interactive", "--rm", "--name", unique()}, options...)
	cmd := exec.Command("docker", append(append(options, images.load), args...)...)
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
		close(l.ended)
		l.answers.close()
	}()
	t.Cleanup(func() {
		l.finish()
		<-l.ended
	})
	return l
}

// answer waits for an answer that matches.
func (l *load) answer(what string, match func(answer string) bool) string {
	l.Helper()
	return l.answers.await(l.T, what, match)
}

// stop ends the load and returns what came of it.
func (l *load) stop() (r result) {
	l.Helper()
	l.finish()
	<-l.ended
	if err := json.Unmarshal(l.result.Bytes(), &r); err != nil {
		l.Fatalf("load: %v\n%s", err, l.answers.tail())
	}
	return r
}

// flawless stops the load and fails the test if any request failed, or if there were none.
func (l *load) flawless() result {
	l.Helper()
	r := l.stop()
	l.Logf("%d requests in %.1f s, %d failed", r.OK+r.Failed, r.Seconds, r.Failed)
	if r.Failed > 0 || r.OK == 0 {
		l.Errorf("%d requests failed, %d did not: %q", r.Failed, r.OK, r.Errors)
	}
	return r
}

// ask sends one request to a container and returns the answer.
func ask(c *container, images images) string {
	c.Helper()
	l := startLoad(c, images, "-clients", "1", "-max", "1", address)
	answer := l.answer("an answer", func(string) bool { return true })
	if r := l.stop(); r.OK != 1 {
		c.Fatalf("no answer: %q", r.Errors)
	}
	return answer
}

// address is where workers listen, in the network namespace of their container.
const address = "127.0.0.1:8080"

// environment makes docker options of K=V settings.
func environment(settings ...string) (options []string) {
	for _, s := range settings {
		options = append(options, "--env", s)
	}
	return options
}
