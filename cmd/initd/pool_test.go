package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// slot is a worker's place in its generation.
func (p *puppet) slot() int {
	p.Helper()
	value, _ := p.Value("SERVER_STARTER_WORKER")
	slot, err := strconv.Atoi(value)
	if err != nil {
		p.Fatalf("SERVER_STARTER_WORKER=%s: %v", value, err)
	}
	return slot
}

// pool waits for a generation's workers in these slots, in whatever order they come.
func (s *stage) pool(number int, slots ...int) []*puppet {
	s.Helper()
	all := make([]*puppet, len(slots))
	for range slots {
		p := s.generation(number)
		i := slices.Index(slots, p.slot())
		if i < 0 || all[i] != nil {
			s.Fatalf("a worker of generation %d has appeared in slot %d; those awaited are %d", number, p.slot(), slots)
		}
		all[i] = p
	}
	return all
}

// upTo are the slots from 0 to below n.
func upTo(n int) (slots []int) {
	for i := range n {
		slots = append(slots, i)
	}
	return slots
}

// makeReady has all of them say READY=1.
func makeReady(all []*puppet) {
	for _, p := range all {
		p.ready()
	}
}

// pool starts an initd with so many workers, and has them serve.
func pool(t *testing.T, as mode, workers int, manners []string, settings ...string) (*daemon, *stage, []*puppet) {
	t.Helper()
	s := newStage(t)
	settings = append([]string{"ready=notify", "interval=0.1", "workers=" + strconv.Itoa(workers)}, settings...)
	d := run{mode: as, args: flags(s.puppet(manners...), settings...)}.start(t)
	first := s.pool(1, upTo(workers)...)
	if !slices.Contains(manners, "eager") {
		makeReady(first)
	}
	d.is("serving", 1)
	return d, s, first
}

// sync returns once initd has done what there was to be done about all that came before.
func (d *daemon) sync(p *puppet) {
	d.Helper()
	mark := initdtest.Unique()
	p.do("notify", "STATUS="+mark)
	d.says(mark)
}

// logged are the entries of an event so far.
func (d *daemon) logged(event string) []initdtest.Entry {
	return slices.DeleteFunc(d.entries(), func(e initdtest.Entry) bool { return e.Event != event })
}

// starts fails the test if another number of workers has been started since the beginning.
func (d *daemon) starts(p *puppet, want int) {
	d.Helper()
	d.sync(p)
	if got := len(d.logged("start")); got != want {
		d.Fatalf("%d workers were started by now, not %d", got, want)
	}
}

// resized waits until the pool has been told to have another size so many times, and returns the last.
func (d *daemon) resized(times int) initdtest.Entry {
	d.Helper()
	seen := 0
	return d.event(fmt.Sprintf("the pool is resized for the %d. time", times), func(e initdtest.Entry) bool {
		if e.Event == "resize" {
			seen++
		}
		return seen == times
	})
}

// surveys waits until so many more surveys have been made. The log has to be that of log-level=debug.
func (d *daemon) surveys(more int) {
	d.Helper()
	count := func() (n int) {
		for _, e := range d.logged("step") {
			if strings.HasPrefix(e.Message, "surveyed ") {
				n++
			}
		}
		return n
	}
	want := count() + more
	eventually(d.T, "surveys are made", func() bool { return count() >= want })
}

// TestPool: a generation is as many workers as are set, each in a slot of its own. It is ready when all of them
// are, and gives way to the next when all of that are.
func TestPool(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "workers=4", "port=127.0.0.1:0")}.start(t)
		old := s.pool(1, 0, 1, 2, 3)
		for _, p := range old {
			if len(d.logged("serving")) > 0 {
				t.Error("it serves before all are ready")
			}
			p.serve().ready()
			d.sync(p)
		}
		d.is("serving", 1)
		d.swap()
		next := s.pool(2, 0, 1, 2, 3) // at once
		for _, p := range next {
			for _, p := range old {
				p.lives()
			}
			p.serve().ready()
			d.sync(p)
		}
		for _, p := range old {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
		d.is("gone", 1)
		answer := greet(t, "tcp", d.address("127.0.0.1"))
		if !slices.ContainsFunc(next, func(p *puppet) bool { return answer == fmt.Sprint("2 ", p.PID) }) {
			t.Errorf("%q answers", answer)
		}
		d.starts(next[0], 8)
		d.stop()
		for _, p := range next {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
	})
}

// statusLines is what a status file says of these workers.
func statusLines(all ...*puppet) (text string) {
	slices.SortFunc(all, func(a, b *puppet) int {
		return 1000*(a.Generation()-b.Generation()) + a.slot() - b.slot()
	})
	for _, p := range all {
		text += fmt.Sprintf("%d:%d\n", p.Generation(), p.PID)
	}
	return text
}

// has waits until a status file has a line for each of these workers and no others.
func has(t *testing.T, path string, all ...*puppet) {
	t.Helper()
	sorted := func(text string) string {
		lines := strings.SplitAfter(text, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	want := sorted(statusLines(slices.Clone(all)...))
	eventually(t, fmt.Sprintf("%s has, in any order, %q", path, want), func() bool { return sorted(content(path)) == want })
}

// TestSurge: a swap in turns of two of five slots. No old worker is told to stop before its successor is ready, no
// turn begins before those have ended whom the one before has replaced, and the status file tells of each stage.
func TestSurge(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path := t.TempDir() + "/status"
		d, s, old := pool(t, as, 5, []string{"stubborn"}, "surge=2", "status-file="+path)
		has(t, path, old...)
		d.swap()
		var next []*puppet
		for _, slots := range [][]int{{0, 1}, {2, 3}, {4}} {
			turn := s.pool(2, slots...)
			d.starts(turn[0], 5+len(next)+len(turn))
			if n := len(children(t, d.pid)); n > 7 {
				t.Errorf("there are %d workers, which is more than two too many", n)
			}
			has(t, path, append(slices.Clone(next), old[slots[0]:]...)...) // none of the turn
			if len(turn) > 1 {
				turn[0].ready()
				d.sync(turn[0])
			}
			for _, p := range old[slots[0]:] {
				p.lives() // nobody has been told to stop
			}
			turn[len(turn)-1].ready()
			d.sync(turn[0])
			next = append(next, turn...)
			for _, slot := range slots {
				old[slot].gets(syscall.SIGTERM)
			}
			has(t, path, append(slices.Clone(next), old[slots[0]:]...)...)
			for _, slot := range slots {
				d.starts(turn[0], 5+len(next))
				old[slot].tell("exit", "0")
				old[slot].ends()
			}
		}
		d.is("serving", 2)
		d.is("gone", 1)
		has(t, path, next...)
		for _, p := range next {
			p.lives()
		}
	})
}

// TestSurgeUnderWay: swaps in turns of a pool that serves by itself: at no moment has initd more children than the
// pool and one turn, or does the status file tell of fewer workers than the pool has.
func TestSurgeUnderWay(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		const workers, surge = 5, 2
		path := t.TempDir() + "/status"
		d, _, _ := pool(t, as, workers, []string{"eager"}, "surge=2", "status-file="+path)
		comesToHave := func(lines int) {
			eventually(t, "the status file is there", func() bool { return strings.Count(content(path), "\n") >= lines })
		}
		comesToHave(workers)
		stop, done := make(chan bool), make(chan bool)
		go func() {
			defer close(done)
			for looks := 0; ; looks++ {
				select {
				case <-stop:
					t.Logf("%d looks", looks)
					return
				default:
				}
				if text := content(path); strings.Count(text, "\n") < workers {
					t.Errorf("the status file says\n%s", text)
				}
				if n := len(children(t, d.pid)); n > workers+surge {
					t.Errorf("there are %d children", n)
				}
			}
		}()
		for number := 2; number <= 4; number++ {
			d.swap()
			d.is("serving", number)
			d.is("gone", number-1)
		}
		close(stop)
		<-done
		d.stop()
	})
}

// TestFailedTurn: a swap in turns fails at the second one. What has been swapped stays, so does the rest, and the next
// success is whole.
func TestFailedTurn(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path := t.TempDir() + "/status"
		d, s, old := pool(t, as, 4, nil, "surge=2", "max-failures=1", "status-file="+path)
		d.swap()
		turn := s.pool(2, 0, 1)
		makeReady(turn)
		for _, p := range old[:2] {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
		bad := s.pool(2, 2, 3)
		bad[1].tell("exit", "3")
		bad[0].ends()
		failed := d.is("failed", 2)
		if !strings.Contains(failed.Message, "exit status 3") || !strings.Contains(failed.Message, "slot 0,1") {
			t.Errorf("the log says %q", failed.Message)
		}
		has(t, path, append(slices.Clone(turn), old[2:]...)...)
		d.starts(turn[0], 8)
		for _, p := range append(slices.Clone(turn), old[2:]...) {
			p.lives()
		}

		// A worker that is lost now is replaced by one of what serves.
		d.readyFor(interval)
		turn[1].tell("die", "9")
		replacement := s.pool(1, 1)[0]
		replacement.ready()
		has(t, path, turn[0], replacement, old[2], old[3])

		d.swap()
		var last []*puppet
		for _, slots := range [][]int{{0, 1}, {2, 3}} {
			turn := s.pool(3, slots...)
			makeReady(turn)
			last = append(last, turn...)
		}
		d.is("serving", 3)
		d.is("gone", 1)
		for _, p := range []*puppet{turn[0], replacement, old[2], old[3]} {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
		has(t, path, last...)
		d.starts(last[0], 8+1+4)
		d.stop()
	})
}

// interval is that of the pools here.
const interval = 100 * time.Millisecond

// readyFor returns when all that is ready now has been so for a time: no event tells of that.
func (d *daemon) readyFor(t time.Duration) {
	d.Helper()
	now := time.Now()
	eventually(d.T, "some time has passed", func() bool { return time.Since(now) > t+t/10 })
}

// TestRepeatedTurn: without an end to attempts, one that failed is repeated by itself, and begins anew.
func TestRepeatedTurn(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, old := pool(t, as, 3, nil, "surge=1")
		d.swap()
		second := s.pool(2, 0)[0]
		second.ready()
		old[0].ends()
		s.pool(2, 1)[0].tell("exit", "1")
		d.is("failed", 2)
		var last []*puppet
		for slot, before := range []*puppet{second, old[1], old[2]} {
			p := s.pool(3, slot)[0]
			before.lives()
			p.ready()
			before.gets(syscall.SIGTERM)
			before.ends()
			last = append(last, p)
		}
		d.is("serving", 3)
		d.starts(last[0], 3+2+3)
		d.stop()
	})
}

// TestTenKilled: ten workers that are killed together are ten again, without a back-off and without a zombie.
func TestTenKilled(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		const workers = 10
		s := newStage(t)
		// A back-off would be of ten seconds.
		d := run{mode: as, args: flags(s.puppet(), "workers=10", "ready=notify", "interval=1", "max-backoff=1000")}.start(t)
		first := s.pool(1, upTo(workers)...)
		makeReady(first)
		d.is("serving", 1)
		d.readyFor(time.Second)
		for _, p := range first {
			if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		slots := map[int]bool{}
		for range workers {
			p := s.next()
			slots[p.slot()] = true
			p.ready()
		}
		if len(slots) != workers {
			t.Errorf("they are in the slots %v", slots)
		}
		eventually(t, "there are ten workers and no zombies", func() bool {
			all := children(t, d.pid)
			return len(all) == workers && !slices.ContainsFunc(all, func(pid int) bool { return state(pid) == "Z" })
		})
		ends, starts := d.logged("exit"), d.logged("start")
		if len(ends) != workers || len(starts) != 2*workers {
			t.Fatalf("%d ends and %d starts", len(ends), len(starts))
		}
		if took := starts[2*workers-1].Time.Sub(ends[0].Time); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		d.stop()
	})
}

// TestCrashingPool: workers that all crash are one failure, not as many as there are of them, and back off as one.
func TestCrashingPool(t *testing.T) {
	t.Parallel()
	// Before any was ever ready.
	atOnce(t, "Start", func(t *testing.T) {
		d := run{mode: subreaper, args: flags([]string{"/bin/false"}, "workers=5", "ready=notify", "interval=0.2", "max-backoff=0.8")}.start(t)
		want := 200 * time.Millisecond
		for number := 2; number <= 4; number++ {
			d.is("failed", number)
			got := d.when("starting", number).Sub(d.when("starting", number-1))
			if got < want*3/4 || got > 20*want {
				t.Errorf("generation %d was tried %v after the one before, not %v", number, got, want)
			}
			want = min(2*want, 800*time.Millisecond)
		}
		for _, e := range d.logged("start") {
			if e.Slot > 4 {
				t.Errorf("a worker was started in slot %d", e.Slot)
			}
		}
	})
	// Soon after all were.
	atOnce(t, "Ready", func(t *testing.T) {
		const interval = 4 * time.Second
		s := newStage(t)
		d := run{mode: subreaper, args: flags(s.puppet(), "workers=4", "ready=notify", "interval=4", "max-backoff=1000")}.start(t)
		first := s.pool(1, upTo(4)...)
		makeReady(first)
		d.is("serving", 1)
		for _, p := range first {
			p.tell("exit", "1")
		}
		for range first {
			s.next()
		}
		starts := d.logged("start")
		if early := starts[4].Time.Sub(starts[0].Time); early < interval*3/4 {
			t.Errorf("the first was started again %v after its start", early)
		}
		if apart := starts[7].Time.Sub(starts[4].Time); apart > interval/2 {
			t.Errorf("the last was started again %v after the first", apart)
		}
	})
}

// TestPoolSignals: TTIN and TTOU ask for one worker more and for one fewer.
func TestPoolSignals(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := pool(t, as, 2, nil)
		asks := func(signal syscall.Signal, times, want int) {
			t.Helper()
			d.signal(signal)
			if got := d.resized(times).Workers; got != want {
				t.Errorf("the pool has %d workers, not %d", got, want)
			}
		}
		asks(syscall.SIGTTIN, 1, 3)
		third := s.pool(1, 2)[0]
		third.ready()
		d.swap() // keeps the size
		second := s.pool(2, 0, 1, 2)
		makeReady(second)
		for _, p := range append(first, third) {
			p.ends()
		}
		asks(syscall.SIGTTOU, 2, 2)
		second[2].gets(syscall.SIGTERM)
		second[2].ends()
		asks(syscall.SIGTTOU, 3, 1)
		second[1].gets(syscall.SIGTERM)
		second[1].ends()
		asks(syscall.SIGTTOU, 4, 1) // none is too few
		d.says("the limits are 1 and max-workers")
		second[0].lives()
		asks(syscall.SIGTTIN, 5, 2)
		again := s.pool(2, 1)[0]
		d.starts(again, 2+1+3+1)
		if len(d.logged("lost")) > 0 {
			t.Error("those who left were taken for a loss")
		}
		d.stop()
	})
}

// TestPoolLimit: max-workers is not passed, neither for the asking nor while one who has to leave is there still.
func TestPoolLimit(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := pool(t, as, 2, []string{"stubborn"}, "max-workers=2", "min-idle=0")
		d.signal(syscall.SIGTTIN)
		if got := d.resized(1); got.Workers != 2 {
			t.Errorf("the pool has %d workers", got.Workers)
		}
		d.signal(syscall.SIGTTOU)
		d.resized(2)
		first[1].gets(syscall.SIGTERM)
		d.signal(syscall.SIGTTIN)
		d.resized(3)
		d.starts(first[0], 2)
		first[1].tell("exit", "0")
		s.pool(1, 1)[0].ready()
		d.starts(first[0], 3)
	})
}

// TestTerminalSignals: what a terminal sends to a job in the background asks for nothing, nor does it keep initd
// from writing there.
func TestTerminalSignals(t *testing.T) {
	t.Parallel()
	tty := initdtest.OpenTerminal(t) // closed last
	s := newStage(t)
	d := run{mode: subreaper, program: "/bin/sh", args: []string{"-i"}, environ: []string{"PS1=ready> "}, terminal: tty, stderr: tty.Line}.start(t)
	tty.Line.Close()
	tty.Expect("ready> ")
	tty.Enter("stty tostop") // a write from the background is answered with TTOU
	tty.Expect("ready> ")
	tty.Enter(initdBinary(t) + " --ready=notify --workers=3 " + strings.Join(s.puppet(), " ") + " &")
	all := s.pool(1, 0, 1, 2)
	initd := all[0].Parent
	t.Cleanup(func() {
		if t.Failed() {
			syscall.Kill(initd, syscall.SIGKILL)
		}
	})
	makeReady(all)
	tty.Expect("generation 1 is serving")
	for _, signal := range []syscall.Signal{syscall.SIGTTOU, syscall.SIGTTIN} {
		if err := syscall.Kill(initd, signal); err != nil {
			t.Fatal(err)
		}
	}
	tty.Expect("received TT")
	tty.Expect("received TT")
	mark := initdtest.Unique()
	all[0].do("notify", "STATUS="+mark)
	tty.Expect(mark)
	if screen := tty.Screen.String(); strings.Contains(screen, "the pool size is") || strings.Count(screen, "received TT") != 2 {
		t.Errorf("the screen:\n%s", screen)
	}
	for _, p := range all {
		p.lives()
	}
	if n := len(s.arrivals); n > 0 {
		t.Errorf("there are %d workers more", n)
	}
	if err := syscall.Kill(initd, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.ends()
	}
	tty.Expect("exiting  exit_status=0")
	tty.Enter("wait; exit 0")
	d.exits(0)
}

// TestIdlePool: initd does not wake up for a pool that nothing depends on, and not for one that stops.
func TestIdlePool(t *testing.T) {
	t.Parallel()
	atOnce(t, "Fixed", func(t *testing.T) {
		d, _, first := pool(t, subreaper, 4, nil, "max-memory=0", "surge=1", "port=127.0.0.1:0", "reuse-port=1",
			"watch=/etc/passwd", "hook-after-swap=true", "scoreboard="+t.TempDir()+"/board")
		d.sleeps()
		first[0].lives()
		d.stop()
	})
	atOnce(t, "Stopping", func(t *testing.T) {
		d, _, first := pool(t, subreaper, 2, []string{"stubborn"}, "max-workers=4", "max-requests=100", "max-memory=1G",
			"max-lifetime=1000", "disconnect-signal=USR1", "log-level=debug")
		d.surveys(2)
		d.signal(syscall.SIGTERM)
		for _, p := range first {
			p.gets(syscall.SIGTERM)
		}
		d.sleeps()
	})
}

// sleeps waits for three seconds in which initd does not wake up.
func (d *daemon) sleeps() {
	d.Helper()
	switches := func() (all string) {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, "ctxt_switches") {
					all += line
				}
			}
		}
		return all
	}
	last, since := switches(), time.Now()
	eventually(d.T, "initd sleeps for three seconds", func() bool {
		if now := switches(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) >= 3*time.Second
	})
}
