package dockertest

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// Container is a container that this test has started.
type Container struct {
	*testing.T
	Name   string
	Output *initdtest.Stream // of the container, as `docker run` in the foreground hands it on
	Ended  chan struct{}     // closed when it has ended
	status int               // its exit status then
}

// Start runs an image with initd as its entry point. The network has only a loopback.
func Start(t *testing.T, options []string, image string, command ...string) *Container {
	t.Helper()
	c := &Container{T: t, Name: initdtest.Unique(), Output: initdtest.NewStream(), Ended: make(chan struct{})}
	args := append([]string{"run", "--name", c.Name, "--network", "none"}, options...)
	args = append(append(args, image), command...)
	cmd := exec.Command("docker", args...)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		c.status = cmd.ProcessState.ExitCode()
		close(c.Ended)
		c.Output.Close()
	}()
	t.Cleanup(func() {
		<-c.Ended
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), c.Output.Tail())
		}
	})
	initdtest.Undo(t, "docker", "rm", "--force", "--volumes", c.Name)
	return c
}

// Follow reads the log of a container that something else has started and will remove.
func Follow(t *testing.T, name string) *Container {
	t.Helper()
	c := &Container{T: t, Name: strings.TrimPrefix(name, "/"), Output: initdtest.NewStream(), Ended: make(chan struct{})}
	cmd := exec.Command("docker", "logs", "--follow", c.Name)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		// It may end a moment before the container has.
		status, _ := initdtest.Try("docker", "wait", c.Name)
		fmt.Sscan(status, &c.status)
		close(c.Ended)
		c.Output.Close()
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", c.Name, c.Output.Tail())
		}
	})
	return c
}

// Event waits until initd has logged an event that matches.
func (c *Container) Event(what string, match func(initdtest.Entry) bool) (e initdtest.Entry) {
	c.Helper()
	c.Output.Await(c.T, what, func(line string) bool {
		var ok bool
		e, ok = initdtest.Logged(line)
		return ok && match(e)
	})
	return e
}

// Serving waits until a generation of that number or a higher one serves, and returns its number.
func (c *Container) Serving(generation int) int {
	c.Helper()
	return c.Event(fmt.Sprintf("generation %d or a later one serves", generation), func(e initdtest.Entry) bool {
		return e.Event == "serving" && e.Generation >= generation
	}).Generation
}

// Latest returns the number of the generation that has come to serve last.
func (c *Container) Latest() (generation int) {
	lines, _, _ := c.Output.After(0)
	for _, line := range lines {
		if e, ok := initdtest.Logged(line); ok && e.Event == "serving" {
			generation = max(generation, e.Generation)
		}
	}
	return generation
}

// Gone waits until nothing is left of a generation.
func (c *Container) Gone(generation int) {
	c.Helper()
	c.Event(fmt.Sprintf("generation %d is gone", generation), func(e initdtest.Entry) bool {
		return e.Event == "gone" && e.Generation == generation
	})
}

// Signal sends a signal to PID 1.
func (c *Container) Signal(name string) {
	c.Helper()
	Docker(c.T, "kill", "--signal", name, c.Name)
}

// Stop stops the container as `docker stop` does, and fails the test unless it exits 0 within the
// grace: after that the engine would have killed it.
func (c *Container) Stop() {
	c.Helper()
	const grace = 20 * time.Second
	began := time.Now()
	Docker(c.T, "stop", "--time", fmt.Sprint(grace.Seconds()), c.Name)
	if took := time.Since(began); took >= grace {
		c.Errorf("docker stop took %v", took)
	}
	if status := c.Wait(); status != 0 {
		c.Errorf("the stopped container's exit status is %d", status)
	}
}

// Wait waits for the container's end and returns its exit status.
func (c *Container) Wait() int {
	c.Helper()
	select {
	case <-c.Ended:
	case <-time.After(initdtest.Patience):
		c.Fatal("the container has not ended")
	}
	return c.status
}

// Said waits for a line of a worker's own.
func (c *Container) Said(text string) string {
	c.Helper()
	return c.Output.Await(c.T, text, func(line string) bool { return strings.HasSuffix(line, text) })
}

// Started waits until it runs, where no worker says so.
func (c *Container) Started() {
	c.Helper()
	c.Eventually("it runs", func() bool {
		running, _ := initdtest.Try("docker", "inspect", "--format", "{{.State.Running}}", c.Name)
		return running == "true"
	})
}

// Running reports whether it has not ended.
func (c *Container) Running() bool {
	c.Helper()
	return Docker(c.T, "inspect", "--format", "{{.State.Running}}", c.Name) == "true"
}

// Process is one in a container, as that sees it itself: `docker top` leaves zombies out, as the
// kernel does not list them among a control group's processes.
type Process struct {
	PID, Parent    int
	State, Command string
}

// Processes are all but the one that looks.
func (c *Container) Processes() (processes []Process) {
	c.Helper()
	for line := range strings.Lines(Docker(c.T, "exec", c.Name, "/faults", "ps")) {
		var p Process
		if _, err := fmt.Sscan(line, &p.PID, &p.Parent, &p.State); err != nil {
			c.Fatalf("%q: %v", line, err)
		}
		p.Command = strings.Join(strings.Fields(line)[3:], " ")
		processes = append(processes, p)
	}
	return processes
}

// Eventually asks until the answer is yes. What it asks takes its time, so this is no busy loop.
func (c *Container) Eventually(what string, answer func() bool) {
	c.Helper()
	for began := time.Now(); !answer(); {
		if time.Since(began) > initdtest.Patience {
			c.Fatalf("never came true: %s\n%v", what, c.Processes())
		}
	}
}

// Address is where workers listen, in the network namespace of their container.
const Address = "127.0.0.1:8080"

// Environment makes docker options of K=V settings.
func Environment(settings ...string) (options []string) {
	for _, s := range settings {
		options = append(options, "--env", s)
	}
	return options
}

// Quick makes workers that do not notify readiness ready soon.
const Quick = "SERVER_STARTER_INTERVAL=0.1"

// Pester sends a signal again and again until it is done. It does not wait for the command that does so, which takes
// longer than from one time to the next where the machine is busy; but no more than four are under way.
func (c *Container) Pester(signal string, every time.Duration, done func() bool) {
	c.Helper()
	var sent sync.WaitGroup
	defer sent.Wait()
	room := make(chan struct{}, 4)
	next := time.NewTicker(every)
	defer next.Stop()
	for !done() {
		<-next.C
		select {
		case room <- struct{}{}:
			sent.Go(func() {
				if _, err := initdtest.Try("docker", "kill", "--signal", signal, c.Name); err != nil {
					c.Error(err)
				}
				<-room
			})
		default:
		}
	}
}

// OfGeneration matches an answer of hello.
func OfGeneration(number int) func(answer string) bool {
	return func(answer string) bool { return strings.HasPrefix(answer, fmt.Sprintf("generation %d,", number)) }
}
