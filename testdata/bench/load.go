package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	clients  = 8
	interval = 150 * time.Millisecond // between swaps
)

// loads measures what clients that connect without pause notice of swaps.
func (b *bench) loads() ([]row, error) {
	span := time.Minute
	if b.short {
		span = 5 * time.Second
	}
	enough := int(100_000 * span / time.Minute)
	var rows []row
	for _, network := range []string{"tcp", "unix"} {
		all := make(map[string]*load)
		for round := range 4 {
			for _, p := range inTurn(round, b.keepers()) {
				if all[p.name] == nil {
					all[p.name] = new(load)
				}
				if err := b.load(all[p.name], p, network, span/4); err != nil {
					return nil, err
				}
			}
		}
		failed := row{what: fmt.Sprintf("a swap every %v for %v, %d clients on %s: connections failed, of all, over so many swaps", interval, span, clients, network),
			bar: fmt.Sprintf("0 of ≥ %d", enough)}
		slow := row{what: "the slowest of them, and the median"}
		for name, l := range all {
			text := fmt.Sprintf("%d of %d, %d swaps", l.failed, len(l.took), l.swaps)
			if l.failed > 0 {
				text += fmt.Sprintf(" (%v)", l.last)
			}
			failed.set(name, text)
			slow.set(name, fmt.Sprintf("%.1f ms, %.2f ms", slices.Max(l.took), l.took.median()))
			slow.compare(name, l.took)
			if name == "initd" {
				failed.verdict(l.failed == 0 && len(l.took) >= enough)
			}
		}
		rows = append(rows, failed, slow)
	}
	return rows, nil
}

// A load is what came of many connections.
type load struct {
	took   sample
	failed int
	last   error // of those that failed
	swaps  int
}

// load adds what comes of connecting without pause to a worker that is swapped all the time.
func (b *bench) load(l *load, p program, network string, span time.Duration) error {
	address, err := b.unused(network)
	if err != nil {
		return err
	}
	listener := map[string]string{"tcp": "--port=" + address, "unix": "--path=" + address}[network]
	k, err := start(p.name, p.keep([]string{listener}, b.self, "worker"))
	if err != nil {
		return err
	}
	defer k.kill()

	until := time.Now().Add(span)
	var connecting sync.WaitGroup
	var mutex sync.Mutex
	for range clients {
		connecting.Go(func() {
			for time.Now().Before(until) {
				from := monotonic()
				err := connect(network, address)
				took := monotonic() - from
				mutex.Lock()
				l.took.add(took)
				if err != nil {
					l.failed++
					l.last = err
				}
				mutex.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		connecting.Wait()
		close(done)
	}()
	hangUp := time.NewTicker(interval)
	defer hangUp.Stop()
	for {
		select {
		case <-hangUp.C:
			k.cmd.Process.Signal(syscall.SIGHUP)
		case e, open := <-k.events:
			if !open {
				return k.failed("ended")
			}
			if e.what == "term" {
				l.swaps++
			}
		case <-done:
			return k.stop()
		}
	}
}

// unused is an address that nobody listens on.
func (b *bench) unused(network string) (string, error) {
	if network == "unix" {
		return filepath.Join(b.dir, "socket"), nil
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// connect makes one connection and waits for the answer.
func connect(network, address string) error {
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(c, "?"); err != nil {
		return err
	}
	text, err := io.ReadAll(c)
	if err == nil && string(text) != answer {
		err = fmt.Errorf("answered %q", text)
	}
	return err
}
