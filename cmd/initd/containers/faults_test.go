package containers_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

func TestOrphanStorm(t *testing.T) {
	t.Parallel()
	images := images(t)
	c := dockertest.Start(t, dockertest.Environment(dockertest.Quick), images.Tag, "/faults", "storm", "500")
	c.Serving(1)
	c.Said("storm breaks")
	c.Eventually("only initd and its worker are left", func() bool { return len(c.Processes()) == 2 })
	if top := dockertest.Docker(t, "top", c.Name, "-eo", "pid,stat"); len(strings.Split(top, "\n")) != 3 || strings.Contains(top, "Z") {
		t.Errorf("docker top says\n%s", top)
	}
	c.Stop()
}

// TestBrokenVersion replaces the worker's program with one that crashes at start, and then with
// one that does not.
func TestBrokenVersion(t *testing.T) {
	t.Parallel()
	images := images(t)
	// Where the machine is busy it takes a while to fail.
	c := dockertest.Start(t, dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_INTERVAL=2"), images.Tag, "/app/worker")
	c.Serving(1)
	l := c.Load("-clients", "2", dockertest.Address)
	l.Answer("generation 1", dockertest.OfGeneration(1))

	dockertest.Docker(t, "cp", filepath.Join(images.Context, "root/faults"), c.Name+":/app/worker")
	c.Signal("HUP")
	for _, generation := range []int{2, 3} { // it is tried again, too
		c.Event(fmt.Sprintf("generation %d exits 3", generation), func(e initdtest.Entry) bool {
			return e.Event == "exit" && e.Generation == generation && e.ExitStatus != nil && *e.ExitStatus == 3
		})
		c.Event(fmt.Sprintf("generation %d has failed", generation), func(e initdtest.Entry) bool {
			return e.Event == "failed" && e.Generation == generation
		})
	}
	if answer := c.Ask(); !dockertest.OfGeneration(1)(answer) {
		t.Errorf("beside a broken version it is not generation 1 that answers but %q", answer)
	}

	dockertest.Docker(t, "cp", filepath.Join(images.Context, "root/hello"), c.Name+":/app/worker")
	c.Signal("HUP")
	generation := c.Serving(4)
	l.Answer("an answer of the fixed version", dockertest.OfGeneration(generation))
	c.Gone(1)
	l.Flawless()
	c.Stop()
}

func TestKilledWorker(t *testing.T) {
	t.Parallel()
	images := images(t)
	c := dockertest.Start(t, dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, dockertest.Quick), images.Tag, "/hello")
	c.Serving(1)
	for generation := 1; generation <= 3; generation++ {
		var number, pid int
		answer := c.Ask()
		if fmt.Sscanf(answer, "generation %d, pid %d", &number, &pid); number != generation {
			t.Fatalf("generation %d should answer, not %q", generation, answer)
		}
		dockertest.Docker(t, "exec", c.Name, "/faults", "kill", fmt.Sprint(pid))
		c.Event(fmt.Sprintf("worker %d was killed", pid), func(e initdtest.Entry) bool {
			return e.Event == "exit" && e.PID == pid && e.Signal == "KILL"
		})
		c.Serving(generation + 1)
	}
	c.Stop()
}

// TestMemoryLimit has the kernel kill what takes all memory of the container: the worker, for
// PID 1 is small.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	images := images(t)
	options := append(dockertest.Environment(dockertest.Quick), "--memory", "64m", "--memory-swap", "64m")
	c := dockertest.Start(t, options, images.Tag, "/faults", "greedy")
	for generation := 1; generation <= 2; generation++ {
		c.Serving(generation)
		started := c.Event("its worker was started", func(e initdtest.Entry) bool { return e.Event == "start" && e.Generation == generation })
		c.Said(fmt.Sprintf("generation %d, pid %d: greedy", generation, started.PID)) // it handles signals by now
		c.Signal("USR1")                                                              // which initd hands on
		c.Event(fmt.Sprintf("generation %d was killed", generation), func(e initdtest.Entry) bool {
			return e.Event == "exit" && e.Generation == generation && e.Signal == "KILL" && strings.Contains(e.Message, "out of memory")
		})
	}
	c.Serving(3)
	if !c.Running() {
		t.Error("the container has ended")
	}
	c.Stop()
}

func TestStubbornWorker(t *testing.T) {
	t.Parallel()
	images := images(t)
	c := dockertest.Start(t, dockertest.Environment(dockertest.Quick, "SERVER_STARTER_STOP_TIMEOUT=1s", "SERVER_STARTER_DRAIN_TIMEOUT=500ms"),
		images.Tag, "/faults", "stubborn")
	c.Serving(1)
	c.Signal("HUP")
	c.Serving(2)
	killed := func(generation int) {
		c.Event(fmt.Sprintf("generation %d had to be killed", generation), func(e initdtest.Entry) bool {
			return e.Event == "exit" && e.Generation == generation && e.Signal == "KILL"
		})
	}
	killed(1)
	c.Stop()
	killed(2)
}

// TestBeneathInit runs initd where it is not PID 1 but its child: orphans are to come to initd all
// the same, and every signal comes by way of PID 1.
func TestBeneathInit(t *testing.T) {
	t.Parallel()
	images := images(t)
	c := dockertest.Start(t, append(dockertest.Environment(dockertest.Quick), "--init"), images.Tag, "/faults", "stray")
	for generation := 1; generation <= 3; generation++ {
		c.Serving(generation)
		c.Output.Await(t, fmt.Sprintf("the orphan of generation %d", generation), func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("generation %d,", generation)) && strings.HasSuffix(line, "stray left")
		})
		// PID 1, initd, the worker, and the orphan that it has left to initd.
		c.Eventually("initd has the worker and the orphan as its children", func() bool {
			processes := c.Processes()
			initd := slices.IndexFunc(processes, func(p dockertest.Process) bool { return strings.HasPrefix(p.Command, "/initd ") })
			var children []string
			for _, p := range processes {
				if initd >= 0 && p.Parent == processes[initd].PID {
					children = append(children, p.Command)
				}
			}
			slices.Sort(children)
			return len(processes) == 4 && slices.Equal(children, []string{"/faults stray", "/proc/self/exe orphan"})
		})
		if generation < 3 {
			c.Signal("HUP")
			c.Gone(generation)
		}
	}
	c.Stop()
}

// TestHardened runs with everything taken away that can be.
func TestHardened(t *testing.T) {
	t.Parallel()
	images := images(t)
	options := append(dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_NO_NEW_PRIVS=true"),
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532", "--pids-limit", "64")
	c := dockertest.Start(t, options, images.Tag, "/hello")
	c.Serving(1)
	l := c.Load("-clients", "2", dockertest.Address)
	l.Answer("generation 1", dockertest.OfGeneration(1))
	for generation := 2; generation <= 5; generation++ {
		c.Signal("HUP")
		l.Answer(fmt.Sprintf("generation %d", generation), dockertest.OfGeneration(generation))
		c.Gone(generation - 1)
	}
	l.Flawless()
	c.Stop()
}

// TestPidsLimit takes away for a while what a process needs to fork.
func TestPidsLimit(t *testing.T) {
	t.Parallel()
	images := images(t)
	options := append(dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, dockertest.Quick), "--pids-limit", "100")
	c := dockertest.Start(t, options, images.Tag, "/hello")
	c.Serving(1)
	// The worker, a Go program, makes its threads when it first needs them, and gives up where it cannot.
	l := c.Load("-clients", "8", "-max", "5000", dockertest.Address)
	<-l.Ended
	l.Flawless()

	dockertest.Docker(t, "update", "--pids-limit", "1", c.Name)
	c.Signal("HUP")
	failed := map[int]bool{}
	for len(failed) < 3 {
		e := c.Event("a worker cannot be started", func(e initdtest.Entry) bool { return e.Event == "fork-failed" && !failed[e.Generation] })
		failed[e.Generation] = true
	}
	if answer := c.Ask(); !dockertest.OfGeneration(1)(answer) {
		t.Errorf("while nothing can be started, generation 1 should answer, not %q", answer)
	}

	dockertest.Docker(t, "update", "--pids-limit", "100", c.Name)
	began := time.Now()
	generation := c.Serving(2)
	t.Logf("generation %d serves %v after the pressure ended", generation, time.Since(began))
	if answer := c.Ask(); !dockertest.OfGeneration(generation)(answer) {
		t.Errorf("generation %d should answer, not %q", generation, answer)
	}
	c.Stop()
}
