package containers_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// turmoil is how long each storm of TestPoolUnderLoad lasts. Between two of them the pool has to shrink, which it
// does when it has been too large for fifteen seconds.
func turmoil() time.Duration {
	if testing.Short() {
		return 4 * time.Second
	}
	return 18 * time.Second
}

// TestPoolUnderLoad swaps a pool in turns, kills workers of it, and has it grow and shrink, all at the same time and
// under load. Whatever fails was in the hands of a worker at the moment it was killed.
func TestPoolUnderLoad(t *testing.T) {
	t.Parallel()
	images := images(t)
	for _, test := range []struct{ name, reuse string }{{"shared", "false"}, {"reuse-port", "true"}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const least, most, surge = 8, 14, 2
			settings := dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_READY=notify", "SERVER_STARTER_WORKERS=8",
				"SERVER_STARTER_MAX_WORKERS=14", "SERVER_STARTER_MIN_IDLE=2", "SERVER_STARTER_MAX_IDLE=4", "SERVER_STARTER_SURGE=2",
				"SERVER_STARTER_REUSE_PORT="+test.reuse,
				// What is killed while it starts has failed, and is not to be waited for.
				dockertest.Quick, "SERVER_STARTER_MAX_BACKOFF=0.5")
			p := &multitude{Container: dockertest.Start(t, settings, images.Tag, "/faults", "serve", "20ms")}
			p.Serving(1)
			filesBefore, _ := p.usage()

			always := p.Load("-clients", "1", "-max", "100000000", dockertest.Address)
			always.Answer("generation 1", dockertest.OfGeneration(1))
			var sum dockertest.Result
			add := func(l *dockertest.Load) {
				r := l.Stop()
				sum.OK += r.OK
				sum.Failed += r.Failed
				sum.Errors = append(sum.Errors, r.Errors...)
				sum.Failures = append(sum.Failures, r.Failures...)
			}
			storm := func() {
				burst := p.Load("-clients", "16", "-max", "100000000", dockertest.Address)
				p.storm(turmoil())
				p.sized("has grown", func(size int) bool { return size > least })
				add(burst)
			}
			storm()
			p.sized("has shrunk", func(size int) bool { return size == least })
			if !testing.Short() {
				storm()
			}
			add(always)
			p.becomesComplete()

			t.Logf("%d requests, %d failed, %d workers killed, %d swaps", sum.OK+sum.Failed, sum.Failed, len(p.killed), p.Latest()-1)
			if sum.Failed != len(sum.Failures) {
				t.Fatalf("%d requests failed, and of %d is told: %q", sum.Failed, len(sum.Failures), sum.Errors)
			}
			for _, f := range sum.Failures {
				if !slices.ContainsFunc(p.killed, func(k kill) bool { return k.held(f) }) {
					t.Errorf("a request failed that no killed worker had: by port %d, %v to %v", f.Port, f.Began, f.Ended)
				}
			}
			if t.Failed() {
				t.Logf("errors: %q", sum.Errors)
			}
			if sum.OK < 1000 || len(p.killed) < 10 || p.Latest() < 3 {
				t.Error("that is too little to tell")
			}

			alive, highest := p.alive()
			if highest > most+surge {
				t.Errorf("%d workers at a time are more than max-workers and surge", highest)
			}
			if len(alive) != p.size() {
				t.Errorf("there are %d workers in the end, not %d", len(alive), p.size())
			}
			files, memory := p.usage()
			t.Logf("at most %d workers; initd has %d files open, %d at the start; %d KiB", highest, files, filesBefore, memory)
			// With reuse-port each slot that there ever was has its socket.
			if limit := filesBefore + most - least; files > limit || memory > 10<<10 {
				t.Errorf("initd has %d files open, %d at the start, and %d KiB", files, filesBefore, memory)
			}
			p.Stop()
		})
	}
}

// held reports whether a killed worker had the request's connection when it was killed. A port may be used
// again, but not by two connections at the same time.
func (k kill) held(f dockertest.Failure) bool {
	return slices.Contains(k.ports, f.Port) && !f.Began.After(k.at) && !f.Ended.Before(k.at)
}

// multitude is a container with workers that answer one client at a time, see faults.
type multitude struct {
	*dockertest.Container
	killed []kill
}

// kill is the end of a worker: when, and by which ports its clients were connected.
type kill struct {
	pid   int
	at    time.Time
	ports []int
}

// storm swaps every now and then, and kills one to three workers again and again, for so long and until it has done
// enough of either to tell. There is time between that for the pool to grow: it does not while workers fail.
func (p *multitude) storm(length time.Duration) {
	p.Helper()
	began, killed, swapped := time.Now(), len(p.killed), p.Latest()
	over := func() bool { return time.Since(began) >= length+initdtest.Patience }
	var swaps sync.WaitGroup
	defer swaps.Wait()
	swaps.Go(func() {
		p.Pester("HUP", 1500*time.Millisecond, func() bool {
			return time.Since(began) >= length && (p.Latest() >= swapped+2 || over())
		})
	})
	next := time.NewTicker(600 * time.Millisecond)
	defer next.Stop()
	for time.Since(began) < length || len(p.killed) < killed+10 && !over() {
		<-next.C
		alive, _ := p.alive()
		rand.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
		p.strike(alive[:min(1+rand.IntN(3), len(alive))]...)
	}
}

// sized waits until the number of workers that initd wants is as it should be.
func (p *multitude) sized(what string, is func(size int) bool) {
	p.Helper()
	late := time.After(initdtest.Patience)
	for {
		_, _, changed := p.Output.After(0)
		if is(p.size()) {
			return
		}
		select {
		case <-changed:
		case <-late:
			p.Fatalf("it is not so that the pool %s: it has %d workers", what, p.size())
		}
	}
}

// strike kills workers, some of which may have ended already.
func (p *multitude) strike(pids ...int) {
	p.Helper()
	args := []string{"exec", p.Name, "/faults", "strike"}
	for _, pid := range pids {
		args = append(args, fmt.Sprint(pid))
	}
	for line := range strings.Lines(dockertest.Docker(p.T, args...)) {
		var k kill
		var at int64
		for i, word := range strings.Fields(line) {
			var n int64
			if _, err := fmt.Sscan(word, &n); err != nil {
				p.Fatalf("%q: %v", line, err)
			}
			switch i {
			case 0:
				k.pid = int(n)
			case 1:
				at = n
			default:
				k.ports = append(k.ports, int(n))
			}
		}
		k.at = time.Unix(0, at)
		p.killed = append(p.killed, k)
	}
}

// each visits what initd has logged so far.
func (p *multitude) each(visit func(e initdtest.Entry)) {
	lines, _, _ := p.Output.After(0)
	for _, line := range lines {
		if e, ok := initdtest.Logged(line); ok {
			visit(e)
		}
	}
}

// alive are the workers that have been started and have not ended, and how many a swap had to count at most.
func (p *multitude) alive() (pids []int, most int) {
	// The first batch of a swap waits for nothing, so not for those either that were told to end before it.
	told, left, newest := map[int]bool{}, map[int]bool{}, 0
	p.each(func(e initdtest.Entry) {
		switch {
		case e.Event == "starting" && e.Generation > newest:
			newest = e.Generation
			maps.Copy(left, told)
		case e.Event == "start":
			pids = append(pids, e.PID)
			most = max(most, len(pids)-len(left))
		case e.Event == "stop" || e.Event == "kill":
			told[e.PID] = true
		case e.Event == "exit" && e.Generation > 0:
			pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == e.PID })
			delete(told, e.PID)
			delete(left, e.PID)
		}
	})
	return pids, most
}

// size is how many workers initd wants last.
func (p *multitude) size() (workers int) {
	workers = 8
	p.each(func(e initdtest.Entry) {
		if e.Event == "resize" {
			workers = e.Workers
		}
	})
	return workers
}

// becomesComplete waits until there are as many workers as are wanted, of one generation, and nothing else.
func (p *multitude) becomesComplete() {
	p.Helper()
	p.Eventually("there are as many workers as are wanted, and no zombies", func() bool {
		all := p.Processes()
		strangers := slices.ContainsFunc(all, func(p dockertest.Process) bool {
			return p.PID != 1 && (p.Parent != 1 || p.Command != "/faults serve 20ms")
		})
		return !strangers && len(all) == 1+p.size()
	})
}

// usage is how many files initd has open, and its resident memory in KiB.
func (p *multitude) usage() (files, memory int) {
	p.Helper()
	text := dockertest.Docker(p.T, "exec", p.Name, "/faults", "usage", "1")
	if _, err := fmt.Sscan(text, &files, &memory); err != nil {
		p.Fatalf("%q: %v", text, err)
	}
	return files, memory
}
