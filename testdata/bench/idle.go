package main

import (
	"fmt"
	"time"
)

// everyone starts each program with a worker: those that can keep one on a port, the others as plain inits of it.
func (b *bench) everyone() (keepers []*keeper, err error) {
	for _, p := range b.programs {
		if p.path == "" {
			continue
		}
		argv := p.run(b.self, "worker")
		if p.keeper != nil {
			argv = p.keep([]string{"--port=127.0.0.1:0"}, b.self, "worker")
		}
		k, err := start(p.name, argv)
		if err != nil {
			for _, k := range keepers {
				k.kill()
			}
			return nil, err
		}
		keepers = append(keepers, k)
	}
	time.Sleep(3 * time.Second) // start_server sleeps on after its first start
	return keepers, nil
}

// idle measures how often a program wakes up while nothing happens.
func (b *bench) idle() ([]row, error) {
	keepers, err := b.everyone()
	if err != nil {
		return nil, err
	}
	const span = 10 * time.Second
	before := make(map[string]int)
	for _, k := range keepers {
		defer k.kill()
		if before[k.name], err = switches(k.pid()); err != nil {
			return nil, err
		}
	}
	time.Sleep(span)
	wakes := row{what: fmt.Sprintf("context switches in %v, a worker ready and nothing to do", span), bar: "0"}
	for _, k := range keepers {
		after, err := switches(k.pid())
		if err != nil {
			return nil, err
		}
		wakes.set(k.name, fmt.Sprint(after-before[k.name]))
		if k.name == "initd" {
			wakes.verdict(after == before[k.name])
		}
		if err := k.stop(); err != nil {
			return nil, err
		}
	}
	return []row{wakes}, nil
}
