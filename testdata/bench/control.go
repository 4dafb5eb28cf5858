package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"server-starter/initd/control"
)

// silent is how many clients connect and send nothing, and rate how many requests for the status there are a second.
const (
	silent = 100
	rate   = 1000
)

// A phase of controls is what goes on beside swaps, and what came of it, by program.
type phase struct {
	beside func(ctx context.Context, path string) error
	took   samples // by swaps
	memory samples // anonymous, after each swap
}

// controls measures what the control socket costs: the memory that it takes in use and after, whether a swap is held up
// by clients that ask all the time or hang, and how long a health check takes.
func (b *bench) controls() ([]row, error) {
	keepers, paths := make(map[string]*keeper), make(map[string]string)
	for _, p := range b.initds() {
		paths[p.name] = filepath.Join(b.dir, p.name+".sock")
		k, err := start(p.name, p.keep([]string{"--port=127.0.0.1:0", "--control-socket=" + paths[p.name]}, b.self, "worker"))
		if err != nil {
			return nil, err
		}
		defer k.kill()
		keepers[p.name] = k
	}
	seconds, answered := b.rounds(10), 0
	var phases []phase
	for _, beside := range []func(context.Context, string) error{
		func(context.Context, string) error { return nil },
		monitor,
		func(ctx context.Context, path string) (err error) { answered, err = flood(ctx, path); return err },
		hang,
	} {
		phases = append(phases, phase{beside, make(samples), make(samples)})
	}
	before, after := make(map[string]usage), make(map[string]usage)
	for i, phase := range phases {
		for _, p := range inTurn(i, b.initds()) {
			k := keepers[p.name]
			beside := func(ctx context.Context) error { return phase.beside(ctx, paths[p.name]) }
			if err := during(beside, func() error { return k.swapFor(seconds, phase.took.of(p.name), phase.memory.of(p.name)) }); err != nil {
				return nil, err
			}
			time.Sleep(2 * time.Second) // until it is idle
			var err error
			if after[p.name], err = memory(k.pid()); err != nil {
				return nil, err
			}
			if i == 0 { // that of the swaps alone is not the control socket's
				before[p.name] = after[p.name]
			}
		}
	}
	health, err := b.healths(paths)
	if err != nil {
		return nil, err
	}
	for _, k := range keepers {
		if err := k.stop(); err != nil {
			return nil, err
		}
	}
	idle := row{what: fmt.Sprintf("anonymous memory more when idle, after all that follows (%d requests and more)", answered), bar: "≤ 512 KB"}
	for name := range keepers {
		more := after[name].anonymous - before[name].anonymous
		idle.set(name, fmt.Sprintf("%+d KB to %d KB", more, after[name].anonymous))
		idle.compare(name, sample{float64(after[name].anonymous)})
		if name == "initd" {
			idle.verdict(more <= 512)
		}
	}
	return append(append([]row{idle}, besides(phases, answered/seconds)...), health), nil
}

// besides are the rows of what goes on beside swaps.
func besides(phases []phase, rate int) []row {
	alone, monitored, flooded, hung := phases[0], phases[1], phases[2], phases[3]
	watched := row{what: "anonymous memory more in the middle of swaps while one client asks for the status once a second, one for the health, and one has subscribed to events", bar: "≤ 512 KB"}
	busy := row{what: fmt.Sprintf("the same while the status is asked for %d times a second", rate)}
	swap := row{what: "HUP to the old worker's TERM, with no client"}
	delay := row{what: fmt.Sprintf("the same while the status is asked for %d times a second; the longest against that with no client", rate), bar: "5 ms more"}
	quiet := row{what: fmt.Sprintf("the same while %d clients have connected and send nothing", silent), bar: "no more"}
	for name := range alone.took {
		used := alone.memory.of(name).median()
		more := monitored.memory.of(name).median() - used
		watched.set(name, fmt.Sprintf("%+.0f KB to %.0f KB", more, used+more))
		watched.compare(name, *monitored.memory.of(name))
		burst := flooded.memory.of(name).median()
		busy.set(name, fmt.Sprintf("%+.0f KB to %.0f KB", burst-used, burst))
		busy.compare(name, *flooded.memory.of(name))
		took, slowed, other := alone.took.of(name), flooded.took.of(name), hung.took.of(name)
		delay.set(name, fmt.Sprintf("%s, %.2f ms against %.2f ms", slowed.in(milliseconds), slowed.quantile(1), took.quantile(1)))
		delay.compare(name, *slowed)
		if name == "initd" {
			watched.verdict(more <= 512)
			delay.verdict(slowed.median()-took.median() <= 5)
			quiet.verdict(other.quantile(0.25) <= took.quantile(0.75)) // the quartiles overlap, or it is faster
		}
	}
	swap.fill(alone.took, milliseconds)
	quiet.fill(hung.took, milliseconds)
	return []row{watched, busy, swap, delay, quiet}
}

// healths measures how long a health check takes.
func (b *bench) healths(paths map[string]string) (row, error) {
	bare, took := new(sample), make(samples)
	run := func(to *sample, argv ...string) error {
		began := monotonic()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", argv, err, out)
		}
		to.add(monotonic() - began)
		return nil
	}
	for round := range b.rounds(100) {
		if err := run(bare, "/bin/true"); err != nil {
			return row{}, err
		}
		for _, p := range inTurn(round, b.initds()) {
			if err := run(took.of(p.name), b.initctl, "health", "--control-socket="+paths[p.name]); err != nil {
				return row{}, err
			}
		}
	}
	check := row{what: "`initctl health`, from its start to its end; /bin/true takes " + bare.in(milliseconds), bar: "< 10 ms"}
	check.fill(took, milliseconds)
	check.verdict(took.of("initd").median() < 10)
	return check, nil
}

// swapFor swaps some five times a second, for so many seconds, and adds how long each took and the memory after it.
func (k *keeper) swapFor(seconds int, took, anonymous *sample) error {
	for until := monotonic() + time.Duration(seconds)*time.Second; monotonic() < until; {
		s, err := k.swap()
		if err != nil {
			return err
		}
		took.add(max(s.term, s.ready) - s.asked)
		u, err := memory(k.pid())
		if err != nil {
			return err
		}
		anonymous.count(u.anonymous)
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

// during does something while something else goes on beside it.
func during(beside func(context.Context) error, do func() error) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- beside(ctx) }()
	err := do()
	cancel()
	return errors.Join(err, <-done)
}

// monitor is what an initd is asked that is monitored: one client asks for its status once a second, one checks its
// health, and one reads its events.
func monitor(ctx context.Context, path string) error {
	var all sync.WaitGroup
	errs := make([]error, 3)
	all.Go(func() { _, errs[0] = query(ctx, path, control.AskStatus, 1) })
	all.Go(func() { _, errs[1] = query(ctx, path, control.AskHealth, 1) })
	all.Go(func() {
		c, err := control.Dial(path)
		if errs[2] = err; err != nil {
			return
		}
		defer c.Close()
		for _, err := range c.Follow(ctx, control.Request{Request: control.AskSubscribe}) {
			if err != nil && ctx.Err() == nil {
				errs[2] = err
			}
		}
	})
	all.Wait()
	return errors.Join(errs...)
}

// flood asks for the status at a rate, over as many connections as it takes, until the context ends.
func flood(ctx context.Context, path string) (answered int, err error) {
	const clients = 4
	var mu sync.Mutex
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			n, wrong := query(ctx, path, control.AskStatus, rate/clients)
			mu.Lock()
			defer mu.Unlock()
			answered += n
			err = errors.Join(err, wrong)
		})
	}
	all.Wait()
	return answered, err
}

func query(ctx context.Context, path, what string, rate int) (answered int, err error) {
	c, err := control.Dial(path)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return answered, nil
		case <-ticker.C:
		}
		if _, err := c.Ask(context.Background(), control.Request{Request: what}); err != nil {
			return answered, err
		}
		answered++
	}
}

// hang connects over and over and sends nothing.
func hang(ctx context.Context, path string) error {
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for range silent {
		c, err := net.Dial("unix", path)
		if err != nil {
			return err
		}
		all = append(all, c)
		go bufio.NewReader(c).ReadByte() // it ends when the connection does
	}
	<-ctx.Done()
	return nil
}
