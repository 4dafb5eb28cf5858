package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stops measures whether the stop of very many workers takes longer where a status file has to keep up with it. It is a
// ratio, for how long the kernel takes for the end of so many processes is not initd's affair.
func (b *bench) stops() (rows []row, err error) {
	n := b.many()
	without, with := make(samples), make(samples)
	for round := range b.rounds(3) {
		for _, p := range inTurn(round, b.initds()) {
			for _, file := range inTurn(round, []bool{false, true}) {
				took, err := b.stopOf(p, n, file)
				if err != nil {
					return nil, err
				}
				if file {
					with.of(p.name).add(took)
				} else {
					without.of(p.name).add(took)
				}
			}
		}
	}
	plain := row{what: fmt.Sprintf("stop of %d workers, from TERM to initd's end", n)}
	plain.fill(without, milliseconds)
	status := row{what: "the same with a status file"}
	status.fill(with, milliseconds)
	ratio := row{what: "the latter against the former", bar: "≤ 1.25 times"}
	for name := range with {
		times := with.of(name).median() / without.of(name).median()
		ratio.set(name, fmt.Sprintf("%.2f", times))
		if name == "initd" {
			ratio.verdict(times <= 1.25)
		}
	}
	return []row{plain, status, ratio}, nil
}

// many is how many workers there are to be: 3,000, or what the machine has memory and numbers for.
func (b *bench) many() int {
	n := 3000
	if b.short {
		n = 500
	}
	if fields, err := fields("/proc/meminfo"); err == nil {
		n = min(n, fields["MemAvailable"]/2/1024) // sleep(1) has less than half of that
	}
	var limit syscall.Rlimit
	const processes = 6 // RLIMIT_NPROC
	if syscall.Getrlimit(processes, &limit) == nil {
		n = min(n, int(min(limit.Cur, 1<<20)/2))
	}
	for _, path := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", "/sys/fs/cgroup/pids.max"} {
		var most int
		text, _ := os.ReadFile(path)
		if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &most); err == nil { // not "max"
			n = min(n, most/2)
		}
	}
	return max(n, 1)
}

// stopOf starts workers that do nothing, and returns how long their stop takes.
func (b *bench) stopOf(p program, workers int, statusFile bool) (time.Duration, error) {
	flags := []string{fmt.Sprintf("--workers=%d", workers), "--ready=alive", "--start-timeout=600"}
	if statusFile {
		flags = append(flags, "--status-file="+filepath.Join(b.dir, "status"))
	}
	c, err := b.startPool(p, flags, "sleep", "100000")
	if err != nil {
		return 0, err
	}
	defer c.kill()
	pids, err := children(c.pid())
	if err != nil {
		return 0, err
	}
	if slices.Sort(pids); len(pids) != workers {
		return 0, fmt.Errorf("%s has %d children instead of %d workers", p.name, len(pids), workers)
	}
	from := monotonic()
	err = c.stopWithin(15 * time.Minute)
	return c.ended - from, err
}
