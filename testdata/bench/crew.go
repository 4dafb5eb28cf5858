package main

import (
	"fmt"
	"io"
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

// crewSize is how many workers a large pool has.
const crewSize = 150

// A crew is a pool of workers that initd keeps.
type crew struct {
	cmd    *exec.Cmd
	ear    *ear
	stderr *os.File // without a name
	took   time.Duration
}

// gather has initd start workers, and waits until all are ready.
func (b *bench) gather(flags []string, argv ...string) (*crew, error) {
	stderr, err := os.CreateTemp(b.dir, "stderr")
	if err != nil {
		return nil, err
	}
	os.Remove(stderr.Name())
	e, err := listenIn()
	if err != nil {
		return nil, err
	}
	c := &crew{cmd: exec.Command(b.programs[0].path, slices.Concat(flags, []string{"--"}, argv)...), ear: e, stderr: stderr}
	c.cmd.Env, c.cmd.Stderr, c.cmd.Dir = append(os.Environ(), e.environ), stderr, b.dir
	asked := monotonic()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := e.ready(1); err != nil {
		c.cmd.Process.Kill()
		return nil, c.failed(err)
	}
	c.took = monotonic() - asked
	return c, nil
}

func (c *crew) pid() int { return c.cmd.Process.Pid }

// swap asks for one and returns how long it took until a new generation served.
func (c *crew) swap() (time.Duration, error) {
	asked := monotonic()
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return 0, err
	}
	err := c.ear.ready(1)
	if err != nil {
		err = c.failed(err)
	}
	return monotonic() - asked, err
}

// stop ends it in order.
func (c *crew) stop() error {
	defer settle()
	c.cmd.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(patience, c.kill).Stop()
	if err := c.cmd.Wait(); err != nil {
		return c.failed(err)
	}
	c.ear.close()
	return c.stderr.Close()
}

func (c *crew) failed(err error) error {
	text, _ := io.ReadAll(io.NewSectionReader(c.stderr, 0, 1<<20))
	return fmt.Errorf("initd: %w\n%s", err, text)
}

// kill is for when all is lost. Its workers have a death signal.
func (c *crew) kill() { c.cmd.Process.Kill() }

// large are the flags of a large pool.
var large = []string{"--port=127.0.0.1:0", fmt.Sprintf("--workers=%d", crewSize), "--ready=notify"}

// modes are the two ways to have a listener.
var modes = []string{"shared", "reuse-port"}

// crews measures a large pool: how long it takes until it is ready, beside a plain loop of fork and exec of the same
// workers, and what it costs when it has nothing to do.
func (b *bench) crews() ([]row, error) {
	var plain, pool sample
	for range b.rounds(20) {
		took, err := b.loop()
		if err != nil {
			return nil, err
		}
		plain.add(took)
		c, err := b.gather(large, b.self, "idler")
		if err != nil {
			return nil, err
		}
		pool.add(c.took)
		if err := c.stop(); err != nil {
			return nil, err
		}
	}
	start := row{what: fmt.Sprintf("start to %d workers ready; by a plain loop of fork and exec %s", crewSize, plain.in(milliseconds))}
	start.set("initd", pool.in(milliseconds))
	ratio := row{what: "the same against the loop", bar: "≤ 2 times"}
	ratios := pool.over(plain)
	ratio.set("initd", ratios.in("%.2f"))
	ratio.verdict(ratios.median() <= 2)

	rows, err := b.idleCrews()
	return append([]row{start, ratio}, rows...), err
}

// loop starts the workers with nobody in between, and returns how long it took until all were ready.
func (b *bench) loop() (time.Duration, error) {
	set, err := open(anywhere, false)
	if err != nil {
		return 0, err
	}
	defer set.Close()
	e, err := listenIn()
	if err != nil {
		return 0, err
	}
	defer e.close()
	attr := &syscall.ProcAttr{
		Env:   append(append(os.Environ(), set.Environ([]string{"server-starter"})...), e.environ),
		Files: set.Files(0),
	}
	ready := make(chan error, 1)
	asked := monotonic()
	go func() { ready <- e.ready(crewSize) }()
	var pids []int
	defer func() {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
		}
		settle()
	}()
	for range crewSize {
		pid, err := syscall.ForkExec(b.self, []string{b.self, "idler"}, attr)
		if err != nil {
			return 0, err
		}
		pids = append(pids, pid)
	}
	err = <-ready
	return monotonic() - asked, err
}

// idleCrews measures how often initd wakes up for a large pool that has nothing to do, and what it holds.
func (b *bench) idleCrews() (rows []row, err error) {
	const span = 10 * time.Second
	resident, anonymous, wakes := make(samples), make(samples), make(samples)
	note := func(m samples, mode string, n int) { *m.of(mode) = append(*m.of(mode), float64(n)) }
	times := 3
	if b.short {
		times = 1
	}
	for range times {
		crews, before := make(map[string]*crew), make(map[string]int)
		for _, mode := range modes {
			flags := large
			if mode == "reuse-port" {
				flags = append(slices.Clone(large), "--reuse-port")
			}
			if crews[mode], err = b.gather(flags, b.self, "idler"); err != nil {
				return nil, err
			}
			defer crews[mode].kill()
		}
		time.Sleep(3 * time.Second)
		for mode, c := range crews {
			all, own, err := memory(c.pid())
			if err != nil {
				return nil, err
			}
			note(resident, mode, all)
			note(anonymous, mode, own)
			if before[mode], err = switches(c.pid()); err != nil {
				return nil, err
			}
		}
		time.Sleep(span)
		for mode, c := range crews {
			after, err := switches(c.pid())
			if err != nil {
				return nil, err
			}
			note(wakes, mode, after-before[mode])
			if err := c.stop(); err != nil {
				return nil, err
			}
		}
	}
	for _, mode := range modes {
		idle := row{what: fmt.Sprintf("context switches in %v, %d workers ready and nothing to do, %s", span, crewSize, mode), bar: "0"}
		idle.set("initd", fmt.Sprintf("%.0f", wakes.of(mode).median()))
		idle.verdict(wakes.of(mode).median() == 0)
		held := row{what: "resident memory then; thereof anonymous", bar: "≤ 8,192 KB"}
		held.set("initd", fmt.Sprintf("%.0f KB; %.0f KB", resident.of(mode).median(), anonymous.of(mode).median()))
		held.verdict(resident.of(mode).median() <= 8192)
		rows = append(rows, idle, held)
	}
	return rows, nil
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
