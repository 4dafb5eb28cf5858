package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/worker"
)

// poolSize is how many workers a large pool has.
const poolSize = 150

// A pool is an initd with its workers.
type pool struct {
	cmd        *exec.Cmd
	supervisor *supervisor
	stderr     *os.File      // without a name
	took       time.Duration // from the start to READY=1
	ended      time.Duration // monotonic, after its stop
}

// startPool has an initd start workers, and waits until all are ready.
func (b *bench) startPool(p program, flags []string, argv ...string) (*pool, error) {
	stderr, err := os.CreateTemp(b.dir, "stderr")
	if err != nil {
		return nil, err
	}
	os.Remove(stderr.Name())
	s, err := newSupervisor()
	if err != nil {
		return nil, err
	}
	c := &pool{cmd: exec.Command(p.path, slices.Concat(flags, []string{"--"}, argv)...), supervisor: s, stderr: stderr}
	c.cmd.Env, c.cmd.Stderr, c.cmd.Dir = append(os.Environ(), s.environ), stderr, b.dir
	asked := monotonic()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(1, 10*timeout); err != nil {
		c.cmd.Process.Kill()
		return nil, c.failed(err)
	}
	c.took = monotonic() - asked
	return c, nil
}

func (c *pool) pid() int { return c.cmd.Process.Pid }

// swap asks for one and returns how long it took until a new generation served.
func (c *pool) swap() (time.Duration, error) {
	asked := monotonic()
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return 0, err
	}
	err := c.supervisor.ready(1, 10*timeout)
	if err != nil {
		err = c.failed(err)
	}
	return monotonic() - asked, err
}

// stop ends it in order.
func (c *pool) stop() error { return c.stopWithin(timeout) }

func (c *pool) stopWithin(timeout time.Duration) error {
	defer pause()
	c.cmd.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(timeout, c.kill).Stop()
	if err := c.cmd.Wait(); err != nil {
		return c.failed(err)
	}
	c.ended = monotonic()
	c.supervisor.close()
	return c.stderr.Close()
}

func (c *pool) failed(err error) error {
	return fmt.Errorf("initd: %w\n%s", err, end(c.stderr))
}

// kill is for where something has failed. Its workers have a death signal.
func (c *pool) kill() { c.cmd.Process.Kill() }

// large are the flags of a large pool.
var large = []string{"--port=127.0.0.1:0", fmt.Sprintf("--workers=%d", poolSize), "--ready=notify"}

// modes are the two ways to have a listener.
var modes = []string{"shared", "reuse-port"}

// pools measures a large pool: how long it takes until it is ready, beside a plain loop of fork and exec of the same
// workers, and what it takes when it has nothing to do.
func (b *bench) pools() ([]row, error) {
	plain, took := new(sample), make(samples)
	for round := range b.rounds(20) {
		alone, err := b.loop()
		if err != nil {
			return nil, err
		}
		plain.add(alone)
		for _, p := range inTurn(round, b.initds()) {
			c, err := b.startPool(p, large, b.self, "idler")
			if err != nil {
				return nil, err
			}
			took.of(p.name).add(c.took)
			if err := c.stop(); err != nil {
				return nil, err
			}
		}
	}
	start := row{what: fmt.Sprintf("start to %d workers ready; by a plain loop of fork and exec %s", poolSize, plain.in(milliseconds))}
	start.fill(took, milliseconds)
	ratio := row{what: "the same against the loop", bar: "≤ 2 times"}
	for name, s := range took {
		ratio.set(name, s.over(*plain).in("%.2f"))
	}
	ratio.verdict(took.of("initd").over(*plain).median() <= 2)
	rows := []row{start, ratio}
	for _, mode := range modes {
		more, err := b.idlePool(mode)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// loop starts the workers with nobody in between, and returns how long it took until all were ready.
func (b *bench) loop() (time.Duration, error) {
	set, err := open(anywhere, false)
	if err != nil {
		return 0, err
	}
	defer set.Close()
	s, err := newSupervisor()
	if err != nil {
		return 0, err
	}
	defer s.close()
	attr := &syscall.ProcAttr{
		Env:   append(append(os.Environ(), set.Environ([]string{"server-starter"})...), s.environ),
		Files: set.Files(0),
	}
	ready := make(chan error, 1)
	asked := monotonic()
	go func() { ready <- s.ready(poolSize, timeout) }()
	var pids []int
	defer func() {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
		}
		pause()
	}()
	for range poolSize {
		pid, err := syscall.ForkExec(b.self, []string{b.self, "idler"}, attr)
		if err != nil {
			return 0, err
		}
		pids = append(pids, pid)
	}
	err = <-ready
	return monotonic() - asked, err
}

// idlePool measures how often initd wakes up for a large pool that has nothing to do, and what memory it uses.
func (b *bench) idlePool(mode string) ([]row, error) {
	const span = 10 * time.Second
	flags := large
	if mode == "reuse-port" {
		flags = append(slices.Clone(large), "--reuse-port")
	}
	anonymous, resident, wakes := make(samples), make(samples), make(samples)
	times := 3
	if b.short {
		times = 1
	}
	for range times {
		pools, before := make(map[string]*pool), make(map[string]int)
		for _, p := range b.initds() {
			c, err := b.startPool(p, flags, b.self, "idler")
			if err != nil {
				return nil, err
			}
			defer c.kill()
			pools[p.name] = c
		}
		time.Sleep(3 * time.Second)
		for name, c := range pools {
			u, err := memory(c.pid())
			if err != nil {
				return nil, err
			}
			u.addTo(anonymous.of(name), resident.of(name))
			if before[name], err = switches(c.pid()); err != nil {
				return nil, err
			}
		}
		time.Sleep(span)
		for name, c := range pools {
			after, err := switches(c.pid())
			if err != nil {
				return nil, err
			}
			wakes.of(name).count(after - before[name])
			if err := c.stop(); err != nil {
				return nil, err
			}
		}
	}
	idle := row{what: fmt.Sprintf("context switches in %v, %d workers ready and nothing to do, %s", span, poolSize, mode), bar: "0"}
	own := row{what: "anonymous memory then", bar: fmt.Sprintf("≤ %d KB", maxAnonymousPool)}
	all := row{what: "resident memory then", bar: fmt.Sprintf("≤ %d KB", maxResidentPool)}
	for name, s := range wakes {
		idle.set(name, fmt.Sprintf("%.0f", s.median()))
	}
	idle.verdict(wakes.of("initd").median() == 0)
	own.fill(anonymous, kilobytes)
	own.verdict(anonymous.of("initd").median() <= maxAnonymousPool)
	all.fill(resident, kilobytes)
	all.verdict(resident.of("initd").median() <= maxResidentPool)
	return []row{idle, own, all}, nil
}

// playIdler is a worker that takes its listener and has nothing to do.
func playIdler() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	if _, err := worker.Listeners(); err != nil {
		log.Fatal(err)
	}
	if err := worker.Ready(); err != nil {
		log.Fatal(err)
	}
	// The plain loop has none for its workers, and a bench that fails kills it.
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	<-term
}
