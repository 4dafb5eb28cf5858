package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// manyModes are what may make the life of very many workers longer than it is without.
var manyModes = []struct {
	name  string
	flags []string
}{
	{"", nil},
	{"a status file", []string{"--status-file=status"}},
	{"reuse-port", []string{"--port=127.0.0.1:0", "--reuse-port"}},
}

// life is how long a pool takes to start, to be swapped and to stop.
type life struct{ start, swap, stop samples }

// stops measures the start, a swap and the stop of very many workers, and whether these take longer where a status file
// has to keep up with them, or each has a socket of its own. The bars are for ratios, for how long the kernel takes for
// so many processes is not initd's affair.
func (b *bench) stops() (rows []row, err error) {
	n := b.many()
	lives := map[string]life{}
	for _, mode := range manyModes {
		lives[mode.name] = life{make(samples), make(samples), make(samples)}
	}
	for round := range b.rounds(3) {
		for _, p := range inTurn(round, b.initds()) {
			for _, mode := range inTurn(round, manyModes) {
				if err := b.lifeOf(p, n, mode.flags, lives[mode.name]); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, mode := range manyModes {
		for _, phase := range []struct {
			what  string
			times func(life) samples
		}{
			{fmt.Sprintf("start to %d workers ready", n), func(l life) samples { return l.start }},
			{fmt.Sprintf("swap of %d workers, from HUP to the next generation", n), func(l life) samples { return l.swap }},
			{fmt.Sprintf("stop of %d workers, from TERM to initd's end", n), func(l life) samples { return l.stop }},
		} {
			without, with := phase.times(lives[""]), phase.times(lives[mode.name])
			r := row{what: phase.what}
			if mode.name == "" {
				r.fill(without, milliseconds)
			} else {
				r.what, r.bar = phase.what+": with "+mode.name+" against without", "≤ 1.25 times"
				for name := range with {
					times := with.of(name).median() / without.of(name).median()
					r.set(name, fmt.Sprintf("%.2f", times))
					if name == "initd" {
						r.verdict(times <= 1.25)
					}
				}
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// many is how many workers there are to be: 4,096, or what the machine has memory and numbers for, as in a swap there
// are twice as many.
func (b *bench) many() int {
	n := 4096
	if b.short {
		n = 500
	}
	if fields, err := fields("/proc/meminfo"); err == nil {
		n = min(n, fields["MemAvailable"]/4/1024) // sleep(1) has less than half of that
	}
	var limit syscall.Rlimit
	const processes = 6 // RLIMIT_NPROC
	if syscall.Getrlimit(processes, &limit) == nil {
		n = min(n, int(min(limit.Cur, 1<<20)/3))
	}
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		n = min(n, int(min(limit.Cur, 1<<20)/3))
	}
	for _, path := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", "/sys/fs/cgroup/pids.max"} {
		var most int
		text, _ := os.ReadFile(path)
		if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &most); err == nil { // not "max"
			n = min(n, most/3)
		}
	}
	return max(n, 1)
}

// lifeOf starts workers that do nothing, swaps and stops them.
func (b *bench) lifeOf(p program, workers int, more []string, l life) error {
	flags := append([]string{fmt.Sprintf("--workers=%d", workers), "--ready=alive", "--start-timeout=600"}, more...)
	c, err := b.startPool(p, flags, "sleep", "100000")
	if err != nil {
		return err
	}
	defer c.kill()
	pids, err := children(c.pid())
	if err != nil {
		return err
	}
	if slices.Sort(pids); len(pids) != workers {
		return fmt.Errorf("%s has %d children instead of %d workers", p.name, len(pids), workers)
	}
	swap, err := c.swap()
	if err != nil {
		return err
	}
	from := monotonic()
	if err := c.stopWithin(15 * time.Minute); err != nil {
		return err
	}
	l.start.of(p.name).add(c.took)
	l.swap.of(p.name).add(swap)
	l.stop.of(p.name).add(c.ended - from)
	return nil
}
