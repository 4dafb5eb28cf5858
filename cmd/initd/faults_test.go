package main_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// quick makes workers that say nothing of their readiness ready soon.
const quick = "SERVER_STARTER_INTERVAL=0.1"

// said waits for a line of a worker's own.
func (c *container) said(text string) string {
	c.Helper()
	return c.output.await(c.T, text, func(line string) bool { return strings.HasSuffix(line, text) })
}

func testOrphanStorm(t *testing.T, images images) {
	c := start(t, environment(quick), images.scratch, "/faults", "storm", "500")
	c.serving(1)
	c.said("storm breaks")
	c.eventually("only initd and its worker are left", func() bool { return len(c.processes()) == 2 })
	if top := docker(t, "top", c.name, "-eo", "pid,stat"); len(strings.Split(top, "\n")) != 3 || strings.Contains(top, "Z") {
		t.Errorf("docker top says\n%s", top)
	}
	c.stop()
}

// testBrokenVersion replaces the worker's program with one that crashes at start, and then with
// one that does not.
func testBrokenVersion(t *testing.T, images images) {
	c := start(t, environment("SERVER_STARTER_PORT="+address, quick), images.scratch, "/app/worker")
	c.serving(1)
	l := startLoad(c, images, "-clients", "2", address)
	l.answer("generation 1", ofGeneration(1))

	docker(t, "cp", filepath.Join(images.context, "root/faults"), c.name+":/app/worker")
	c.signal("HUP")
	for _, generation := range []int{2, 3} { // it is tried again, too
		c.event(fmt.Sprintf("generation %d exits 3", generation), func(e entry) bool {
			return e.Event == "exit" && e.Generation == generation && e.ExitStatus != nil && *e.ExitStatus == 3
		})
		c.event(fmt.Sprintf("generation %d has failed", generation), func(e entry) bool {
			return e.Event == "failed" && e.Generation == generation
		})
	}
	if answer := ask(c, images); !ofGeneration(1)(answer) {
		t.Errorf("beside a broken version it is not generation 1 that answers but %q", answer)
	}

	docker(t, "cp", filepath.Join(images.context, "root/hello"), c.name+":/app/worker")
	c.signal("HUP")
	generation := c.serving(4)
	l.answer("an answer of the fixed version", ofGeneration(generation))
	c.gone(1)
	l.flawless()
	c.stop()
}

func testKilledWorker(t *testing.T, images images) {
	c := start(t, environment("SERVER_STARTER_PORT="+address, quick), images.scratch, "/hello")
	c.serving(1)
	for generation := 1; generation <= 3; generation++ {
		var number, pid int
		answer := ask(c, images)
		if fmt.Sscanf(answer, "generation %d, pid %d", &number, &pid); number != generation {
			t.Fatalf("generation %d should answer, not %q", generation, answer)
		}
		docker(t, "exec", c.name, "/faults", "kill", fmt.Sprint(pid))
		c.event(fmt.Sprintf("worker %d was killed", pid), func(e entry) bool {
			return e.Event == "exit" && e.PID == pid && e.Signal == "KILL"
		})
		c.serving(generation + 1)
	}
	c.stop()
}

// testMemoryLimit has the kernel kill what takes all memory of the container: the worker, for
// PID 1 is small.
func testMemoryLimit(t *testing.T, images images) {
	options := append(environment(quick), "--memory", "64m", "--memory-swap", "64m")
	c := start(t, options, images.scratch, "/faults", "greedy")
	for generation := 1; generation <= 2; generation++ {
		c.serving(generation)
		c.signal("USR1") // which initd hands on
		c.event(fmt.Sprintf("generation %d was killed", generation), func(e entry) bool {
			return e.Event == "exit" && e.Generation == generation && e.Signal == "KILL"
		})
	}
	c.serving(3)
	if !c.running() {
		t.Error("the container has ended")
	}
	c.stop()
}

func testStubbornWorker(t *testing.T, images images) {
	c := start(t, environment(quick, "SERVER_STARTER_STOP_TIMEOUT=1s", "SERVER_STARTER_DRAIN_TIMEOUT=500ms"),
		images.scratch, "/faults", "stubborn")
	c.serving(1)
	c.signal("HUP")
	c.serving(2)
	killed := func(generation int) {
		c.event(fmt.Sprintf("generation %d had to be killed", generation), func(e entry) bool {
			return e.Event == "exit" && e.Generation == generation && e.Signal == "KILL"
		})
	}
	killed(1)
	c.stop()
	killed(2)
}

// testBeneathInit runs initd where it is not PID 1 but its child: orphans are to come to initd all
// the same, and every signal comes by way of PID 1.
func testBeneathInit(t *testing.T, images images) {
	c := start(t, append(environment(quick), "--init"), images.scratch, "/faults", "stray")
	for generation := 1; generation <= 3; generation++ {
		c.serving(generation)
		c.output.await(t, fmt.Sprintf("the orphan of generation %d", generation), func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("generation %d,", generation)) && strings.HasSuffix(line, "stray left")
		})
		// PID 1, initd, the worker, and the orphan that it has left to initd.
		c.eventually("initd has the worker and the orphan as its children", func() bool {
			processes := c.processes()
			initd := slices.IndexFunc(processes, func(p process) bool { return strings.HasPrefix(p.command, "/initd ") })
			var children []string
			for _, p := range processes {
				if initd >= 0 && p.parent == processes[initd].pid {
					children = append(children, p.command)
				}
			}
			slices.Sort(children)
			return len(processes) == 4 && slices.Equal(children, []string{"/faults stray", "/proc/self/exe orphan"})
		})
		if generation < 3 {
			c.signal("HUP")
			c.gone(generation)
		}
	}
	c.stop()
}

// testHardened runs with everything taken away that can be.
func testHardened(t *testing.T, images images) {
	options := append(environment("SERVER_STARTER_PORT="+address, "SERVER_STARTER_NO_NEW_PRIVS=true"),
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532", "--pids-limit", "64")
	c := start(t, options, images.scratch, "/hello")
	c.serving(1)
	l := startLoad(c, images, "-clients", "2", address)
	l.answer("generation 1", ofGeneration(1))
	for generation := 2; generation <= 5; generation++ {
		c.signal("HUP")
		l.answer(fmt.Sprintf("generation %d", generation), ofGeneration(generation))
		c.gone(generation - 1)
	}
	l.flawless()
	c.stop()
}

// testPidsLimit takes away for a while what a process needs to fork.
func testPidsLimit(t *testing.T, images images) {
	options := append(environment("SERVER_STARTER_PORT="+address, quick), "--pids-limit", "100")
	c := start(t, options, images.scratch, "/hello")
	c.serving(1)
	// The worker, a Go program, makes its threads when it first needs them, and gives up where it cannot.
	l := startLoad(c, images, "-clients", "8", "-max", "5000", address)
	<-l.ended
	l.flawless()

	docker(t, "update", "--pids-limit", "1", c.name)
	c.signal("HUP")
	failed := map[int]bool{}
	for len(failed) < 3 {
		e := c.event("a worker cannot be started", func(e entry) bool { return e.Event == "fork-failed" && !failed[e.Generation] })
		failed[e.Generation] = true
	}
	if answer := ask(c, images); !ofGeneration(1)(answer) {
		t.Errorf("while nothing can be started, generation 1 should answer, not %q", answer)
	}

	docker(t, "update", "--pids-limit", "100", c.name)
	began := time.Now()
	generation := c.serving(2)
	t.Logf("generation %d serves %v after the pressure ended", generation, time.Since(began))
	if answer := ask(c, images); !ofGeneration(generation)(answer) {
		t.Errorf("generation %d should answer, not %q", generation, answer)
	}
	c.stop()
}
