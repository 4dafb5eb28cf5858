package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// sameThroughput is how much of the throughput of a server must be left when it runs under a filter.
const sameThroughput = 0.98

// binds measures what it costs that a worker binds its port itself and gets the listener for it (export=bind), beside one
// that is given the listener: two initds, in turn.
func (b *bench) binds() ([]row, error) {
	served, anonymous := make(samples), make(samples)
	for range b.rounds(10) {
		if err := b.bindPair(served, anonymous); err != nil {
			return nil, err
		}
	}
	throughput := row{what: "served by a worker that binds its own port (`export=bind`), of what one serves that is given the listener",
		bar: fmt.Sprintf("≥ %g", sameThroughput)}
	ratios := served.of(own).over(*served.of(given))
	throughput.set("initd", ratios.in("%.3f"))
	throughput.verdict(ratios.median() >= sameThroughput)
	memory := row{what: "anonymous memory of its initd, of that of the other's", bar: fmt.Sprintf("≤ %g", slower)}
	ratios = anonymous.of(own).over(*anonymous.of(given))
	memory.set("initd", ratios.in("%.3f"))
	memory.verdict(ratios.median() <= slower)
	return []row{throughput, memory}, nil
}

// How a worker comes to its listener.
const own, given = "own", "given"

// bindPair adds what a new pair of initds serves, and the memory that they have then.
func (b *bench) bindPair(served, anonymous samples) error {
	var keepers []*keeper
	addresses := make(map[*keeper]string)
	defer func() {
		for _, k := range keepers {
			k.kill()
		}
	}()
	for _, name := range []string{own, given} {
		address, err := b.unused("tcp")
		if err != nil {
			return err
		}
		flags, worker := []string{"--port=" + address}, []string{b.self, "worker"}
		if name == own {
			flags, worker = append(flags, "--export=bind"), append(worker, address)
		}
		k, err := start(name, b.programs[0].keep(flags, worker...))
		if err != nil {
			return err
		}
		keepers, addresses[k] = append(keepers, k), address
	}
	for round := range 10 {
		for _, k := range inTurn(round, keepers) {
			n, err := throughput(addresses[k], 200*time.Millisecond)
			if err != nil {
				return err
			}
			served.of(k.name).count(n)
		}
	}
	for _, k := range keepers {
		u, err := memory(k.pid())
		if err != nil {
			return err
		}
		anonymous.of(k.name).count(u.anonymous)
	}
	return stopAll(keepers)
}

// throughput is how many connections are served in that time, to as many clients as loads has.
func throughput(address string, span time.Duration) (int, error) {
	until := time.Now().Add(span)
	var connecting sync.WaitGroup
	var served atomic.Int64
	var failed atomic.Value
	for range clients {
		connecting.Go(func() {
			for time.Now().Before(until) {
				if err := connect("tcp", address); err != nil {
					failed.Store(err)
					return
				}
				served.Add(1)
			}
		})
	}
	connecting.Wait()
	err, _ := failed.Load().(error)
	return int(served.Load()), err
}
