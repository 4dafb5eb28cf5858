package initd

import (
	"os"
	"slices"
	"syscall"

	"server-starter/reaper"
)

// orphans returns how to send a signal to every child there is, each signal
// once to each child. Only PID 1 may mean every process by that: elsewhere it
// would be the whole machine. Where some are spared it means each by itself.
func orphans() func(syscall.Signal, map[int]*process) {
	type letter struct {
		pid    int
		signal syscall.Signal
	}
	sent := map[letter]bool{}
	return func(signal syscall.Signal, spared map[int]*process) {
		pids := []int{-1}
		if os.Getpid() != 1 || len(spared) > 0 {
			pids, _ = reaper.Children()
		}
		for _, pid := range pids {
			if l := (letter{pid, signal}); !sent[l] && spared[pid] == nil {
				sent[l] = true
				syscall.Kill(pid, signal)
			}
		}
	}
}

// others reports whether there is any child but those.
func others(spared map[int]*process) bool {
	pids, err := reaper.Children()
	return err != nil || slices.ContainsFunc(pids, func(pid int) bool { return spared[pid] == nil })
}
