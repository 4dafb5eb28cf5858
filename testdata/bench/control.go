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

// silent is how many clients connect and say nothing, and rate how many requests for the status there are a second.
const (
	silent = 100
	rate   = 1000
)

// controls measures what it costs to be seen: the memory that the control socket takes in use and after, whether a
// swap is held up by clients that ask all the time or hang, and how long a health check takes.
func (b *bench) controls() ([]row, error) {
	path := filepath.Join(b.dir, "control.sock")
	p := b.programs[0]
	k, err := start(p.name, p.keep([]string{"--port=127.0.0.1:0", "--control-socket=" + path}, b.self, "worker"))
	if err != nil {
		return nil, err
	}
	defer k.kill()
	seconds := b.rounds(10)
	var answered int
	phases := []struct {
		beside func(context.Context) error
		took   *sample // by swaps
		memory *sample // resident, after each
	}{
		{func(ctx context.Context) error { return nil }, new(sample), new(sample)},
		{func(ctx context.Context) error { return attend(ctx, path) }, new(sample), new(sample)},
		{func(ctx context.Context) (err error) { answered, err = flood(ctx, path); return err }, new(sample), new(sample)},
		{func(ctx context.Context) error { return hang(ctx, path) }, new(sample), new(sample)},
	}
	var before int // when it has come to rest after the first, which is none of the control socket's
	for i, p := range phases {
		if err := during(p.beside, func() error { return k.hand(p.took, p.memory, seconds) }); err != nil {
			return nil, err
		}
		if time.Sleep(2 * time.Second); i == 0 {
			if before, _, err = memory(k.pid()); err != nil {
				return nil, err
			}
		}
	}
	alone, attended, flooded, hung := phases[0], phases[1], phases[2], phases[3]
	after, _, err := memory(k.pid())
	if err != nil {
		return nil, err
	}

	health := new(sample)
	bare := new(sample)
	for range b.rounds(100) {
		for _, one := range []struct {
			argv []string
			to   *sample
		}{{[]string{b.initctl, "health", "--control-socket=" + path}, health}, {[]string{"/bin/true"}, bare}} {
			cmd := exec.Command(one.argv[0], one.argv[1:]...)
			began := monotonic()
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%v: %w\n%s", one.argv, err, out)
			}
			one.to.add(monotonic() - began)
		}
	}
	if err := k.stop(); err != nil {
		return nil, err
	}

	rest := row{what: fmt.Sprintf("resident memory more at rest, after all that follows (%d requests and more)", answered), bar: "≤ 512 KB"}
	rest.set(p.name, fmt.Sprintf("%+d KB", after-before))
	rest.verdict(after-before <= 512)
	use := row{what: fmt.Sprintf("resident memory more in the middle of swaps (%.0f KB) while one client asks for the status once a second, one for the health, and one has subscribed to events; "+
		"while the status is asked for %d times a second", alone.memory.median(), answered/seconds), bar: "≤ 512 KB"}
	use.set(p.name, fmt.Sprintf("%+.0f KB; %+.0f KB", attended.memory.median()-alone.memory.median(), flooded.memory.median()-alone.memory.median()))
	use.verdict(attended.memory.median()-alone.memory.median() <= 512)
	delay := row{what: fmt.Sprintf("HUP to the old worker's TERM alone, %s; while the status is asked for %d times a second", alone.took.in(milliseconds), answered/seconds),
		bar: "5 ms more"}
	delay.set(p.name, fmt.Sprintf("%s, longest %.2f ms against %.2f ms", flooded.took.in(milliseconds), flooded.took.quantile(1), alone.took.quantile(1)))
	delay.verdict(flooded.took.median()-alone.took.median() <= 5)
	quiet := row{what: fmt.Sprintf("… while %d clients have connected and say nothing", silent), bar: "no more"}
	quiet.set(p.name, hung.took.in(milliseconds))
	quiet.verdict(hung.took.quantile(0.25) <= alone.took.quantile(0.75)) // the quartiles overlap, or it is faster
	check := row{what: "`initctl health`, from its start to its end; /bin/true takes " + bare.in(milliseconds), bar: "< 10 ms"}
	check.set(p.name, health.in(milliseconds))
	check.verdict(health.median() < 10)
	return []row{rest, use, delay, quiet, check}, nil
}

// hand takes how long swaps take, some five a second, for so many seconds, and how much memory there is after each.
func (k *keeper) hand(took, kilobytes *sample, seconds int) error {
	for until := monotonic() + time.Duration(seconds)*time.Second; monotonic() < until; {
		s, err := k.swap()
		if err != nil {
			return err
		}
		took.add(max(s.term, s.ready) - s.asked)
		resident, _, err := memory(k.pid())
		if err != nil {
			return err
		}
		*kilobytes = append(*kilobytes, float64(resident))
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

// attend is what an initd has to do that is looked after: a client that looks at its status once a second, one that
// checks its health, and one that reads its events.
func attend(ctx context.Context, path string) error {
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

// flood asks for the status at a rate, over as many connections as it takes, until it is told to stop.
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

// hang connects over and over and says nothing.
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
