package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// batch is how many slots of a large pool are swapped at a time.
const batch = 10

// surges measures what the swap of a large pool costs, all at once and in batches: how long it takes, how many processes
// there are at most, and how much memory they have.
func (b *bench) surges() (rows []row, err error) {
	for _, surge := range []int{0, batch} {
		more, err := b.surge(surge)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// surge measures it with batches of this size, 0 for all at once.
func (b *bench) surge(batch int) (rows []row, err error) {
	how := "all at once"
	if batch > 0 {
		how = fmt.Sprintf("%d at a time", batch)
	}
	flags := append(slices.Clone(large), "--drain-timeout=5", fmt.Sprintf("--surge=%d", batch))
	long := row{what: fmt.Sprintf("a swap of %d workers, %s, from HUP to the new generation's serving", poolSize, how)}
	peak := row{what: "workers and their memory (Pss) before it, and most during one"}
	pools, took := make(map[string]*pool), make(samples)
	for _, p := range b.initds() {
		if pools[p.name], err = b.startPool(p, flags, b.self, "idler"); err != nil {
			return nil, err
		}
		defer pools[p.name].kill()
	}
	for round := range b.rounds(10) {
		for _, p := range inTurn(round, b.initds()) {
			t, err := pools[p.name].swap()
			if err != nil {
				return nil, err
			}
			took.of(p.name).add(t)
			time.Sleep(time.Second) // until the old workers are gone
		}
	}
	for name, c := range pools {
		before, err := massOf(c.pid())
		if err != nil {
			return nil, err
		}
		most, err := c.watched()
		if err != nil {
			return nil, err
		}
		if err := c.stop(); err != nil {
			return nil, err
		}
		peak.set(name, fmt.Sprintf("%d with %d MB, %d with %d MB", before.processes, before.memory>>10, most.processes, most.memory>>10))
	}
	long.fill(took, milliseconds)
	return []row{long, peak}, nil
}

// A mass is that of a process's children. Memory is in KB, where what several have in common is shared out.
type mass struct{ processes, memory int }

// watched swaps, and returns the most there was meanwhile.
func (c *pool) watched() (most mass, err error) {
	done := make(chan error, 1)
	go func() {
		_, err := c.swap()
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return most, err
		default:
		}
		now, err := massOf(c.pid())
		if err != nil {
			return most, err
		}
		most.processes, most.memory = max(most.processes, now.processes), max(most.memory, now.memory)
		for range 20 { // to count is quick, to add up the memory is not
			pids, err := children(c.pid())
			if err != nil {
				return most, err
			}
			most.processes = max(most.processes, len(pids))
			time.Sleep(time.Millisecond)
		}
	}
}

// massOf is that of the children of a process.
func massOf(pid int) (m mass, err error) {
	pids, err := children(pid)
	for _, child := range pids {
		// One that has ended has no memory any more.
		if fields, err := fields(fmt.Sprintf("/proc/%d/smaps_rollup", child)); err == nil {
			m.processes++
			m.memory += fields["Pss"]
		}
	}
	return m, err
}

// children are those of a process, whichever of its threads they came to.
func children(pid int) (pids []int, err error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}
