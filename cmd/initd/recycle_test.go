package main_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestRecycling: workers that are worn out are replaced, one at a time, and the new one has to be ready first.
func TestRecycling(t *testing.T) {
	t.Parallel()
	for _, as := range []mode{subreaper, pid1} {
		run := func(name string, test func(t *testing.T, as mode)) {
			atOnce(t, name+"/"+string(as), func(t *testing.T) { test(t, as) })
		}
		run("Requests", testMaxRequests)
		run("Memory", testMaxMemory)
		run("Lifetime", testMaxLifetime)
		run("Failure", testFailedReplacement)
		run("DuringSwap", testNoRecyclingDuringSwap)
		run("SwapDuring", testSwapDuringRecycling)
		run("Loss", testLossDuringRecycling)
	}
	atOnce(t, "Jitter", testRecyclingJitter)
	atOnce(t, "Load", testRecyclingUnderLoad)
}

// recycled waits until so many workers have been said to be worn out, and returns what was said of the last.
func (d *daemon) recycled(times int) initdtest.Entry {
	d.Helper()
	seen := 0
	return d.event(fmt.Sprintf("%d workers are worn out", times), func(e initdtest.Entry) bool {
		if e.Event == "recycle" {
			seen++
		}
		return seen == times
	})
}

// succeeds waits for the successor of one of these workers, which has to serve until that is ready and is told to
// end then. The others are left alone.
func (s *stage) succeeds(d *daemon, worn []*puppet) (old, next *puppet) {
	s.Helper()
	next = s.generation(worn[0].Generation())
	i := slices.IndexFunc(worn, func(p *puppet) bool { return p.slot() == next.slot() })
	if i < 0 {
		s.Fatalf("there is a worker in slot %d, where none is worn out", next.slot())
	}
	d.surveys(3)
	if n := len(s.arrivals); n > 0 {
		s.Errorf("at the same time %d others are replaced", n)
	}
	for _, p := range worn {
		p.lives()
	}
	next.ready()
	worn[i].gets(syscall.SIGTERM)
	worn[i].ends()
	return worn[i], next
}

func testMaxRequests(t *testing.T, as mode) {
	d, s, worn := pool(t, as, 3, nil, "max-requests=100", "log-level=debug")
	for _, p := range worn {
		p.do("requests", "89")
	}
	d.surveys(3)
	d.starts(worn[0], 3) // it is at most a tenth less
	for _, p := range worn {
		p.do("requests", "11")
	}
	for len(worn) > 0 {
		old, _ := s.succeeds(d, worn)
		worn = slices.DeleteFunc(worn, func(p *puppet) bool { return p == old })
	}
	if said := d.recycled(3).Message; !strings.Contains(said, "max-requests") {
		t.Errorf("it says %q", said)
	}
	d.surveys(3)
	if n := len(d.logged("start")); n != 6 {
		t.Errorf("%d workers were started, not 6", n)
	}
	d.stop()
}

func testMaxMemory(t *testing.T, as mode) {
	d, s, all := pool(t, as, 2, nil, "max-memory=300M")
	all[1].do("eat", "400")
	next := s.pool(1, 1)[0]
	if said := d.recycled(1).Message; !strings.Contains(said, "max-memory") {
		t.Errorf("it says %q", said)
	}
	all[1].lives()
	next.ready()
	all[1].gets(syscall.SIGTERM)
	all[0].lives()
	d.stop()
}

func testMaxLifetime(t *testing.T, as mode) {
	d, s, worn := pool(t, as, 2, nil, "max-lifetime=4")
	for len(worn) > 0 {
		next := s.generation(1)
		i := slices.IndexFunc(worn, func(p *puppet) bool { return p.slot() == next.slot() })
		if i < 0 {
			t.Fatalf("slot %d is due too early", next.slot())
		}
		for _, p := range worn {
			p.lives()
		}
		next.ready()
		worn[i].gets(syscall.SIGTERM)
		worn = slices.Delete(worn, i, i+1)
	}
	if age := d.recycled(1).Time.Sub(d.when("serving", 1)); age < 3500*time.Millisecond {
		t.Errorf("a worker was worn out after %v", age)
	}
	d.stop()
}

// testFailedReplacement has successors fail: whom they were to replace stays, and each has to wait longer.
func testFailedReplacement(t *testing.T, as mode) {
	d, s, all := pool(t, as, 2, nil, "interval=0.3", "max-requests=10", "log-level=debug")
	all[0].do("requests", "10")
	for range 3 {
		s.pool(1, 0)[0].tell("exit", "3")
	}
	next := s.pool(1, 0)[0]
	for _, p := range all {
		p.lives()
	}
	d.says("a replacement failed")
	next.ready()
	all[0].gets(syscall.SIGTERM)
	all[1].lives()
	starts := d.logged("start")[2:]
	for i, want := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond} {
		if got := starts[i+1].Time.Sub(starts[i].Time); got < want*3/4 {
			t.Errorf("replacement %d came %v after the one before, not %v", i+1, got, want)
		}
	}
	d.stop()
}

func testNoRecyclingDuringSwap(t *testing.T, as mode) {
	d, s, all := pool(t, as, 2, nil, "max-requests=10", "log-level=debug")
	d.swap()
	next := s.pool(2, 0, 1)
	all[0].do("requests", "10")
	d.surveys(3)
	d.starts(all[0], 4)
	makeReady(next)
	all[0].ends()
	d.surveys(3)
	d.starts(next[0], 4)
	if len(d.logged("recycle")) > 0 {
		t.Error("a worker was replaced during the swap")
	}
	d.stop()
}

// testSwapDuringRecycling has a swap asked for while a successor starts, which is not needed any more.
func testSwapDuringRecycling(t *testing.T, as mode) {
	d, s, all := pool(t, as, 2, nil, "max-requests=10", "log-level=debug")
	all[0].do("requests", "10")
	successor := s.pool(1, 0)[0]
	d.swap()
	successor.gets(syscall.SIGTERM)
	successor.ends()
	next := s.pool(2, 0, 1)
	for _, p := range all {
		p.lives()
	}
	makeReady(next)
	d.is("serving", 2)
	for _, p := range all {
		p.ends()
	}
	d.starts(next[0], 5)
	if len(d.logged("failed"))+len(d.logged("lost")) > 0 {
		t.Error("that counts as a failure")
	}
	d.stop()
}

// testLossDuringRecycling has the worker end that is being replaced: its successor is the replacement.
func testLossDuringRecycling(t *testing.T, as mode) {
	d, s, all := pool(t, as, 2, nil, "max-requests=10", "log-level=debug")
	all[0].do("requests", "10")
	successor := s.pool(1, 0)[0]
	all[0].tell("exit", "1")
	all[0].ends()
	d.surveys(2)
	successor.ready()
	d.starts(successor, 3)
	successor.lives()
	d.stop()
}

// testRecyclingJitter has ten workers serve as many requests as each other: they are not worn out together.
func testRecyclingJitter(t *testing.T) {
	const workers = 10
	d, s, all := pool(t, subreaper, workers, nil, "max-requests=1000", "log-level=debug")
	served, recycled := 0, map[int]int{}
	for _, requests := range []int{899, 925, 950, 975, 1000} {
		for _, p := range all {
			if recycled[p.slot()] == 0 {
				p.do("requests", strconv.Itoa(requests-served))
			}
		}
		served = requests
		// All that have become due.
		for quiet := 0; quiet < 2; quiet++ {
			d.surveys(1)
			for len(d.logged("recycle")) > len(recycled) {
				quiet = 0
				next := s.next()
				recycled[next.slot()] = served
				next.ready()
				all[next.slot()].ends()
				d.sync(next)
			}
		}
	}
	at := map[int]int{}
	for _, requests := range recycled {
		at[requests]++
	}
	t.Logf("so many were worn out after so many requests: %v", at)
	if len(recycled) != workers || at[899] > 0 || len(at) < 2 {
		t.Errorf("so many were worn out after so many requests: %v", at)
	}
	d.stop()
}

// testRecyclingUnderLoad has clients send requests without pause. They notice nothing.
func testRecyclingUnderLoad(t *testing.T) {
	d := run{mode: subreaper, args: flags([]string{self, "server"}, "ready=notify", "port=127.0.0.1:0", "workers=3", "max-requests=200",
		"interval=0.1")}.start(t)
	d.is("serving", 1)
	crew := &crew{enough: make(chan struct{}), failed: make(chan error, 100)}
	t.Cleanup(crew.stop)
	for range 4 {
		crew.send("tcp", d.address("127.0.0.1"))
	}
	d.recycled(8)
	crew.stop()
	select {
	case err := <-crew.failed:
		t.Errorf("a request is lost: %v", err)
	default:
	}
	t.Logf("%d requests", crew.answers.Load())
	d.stop()
}
