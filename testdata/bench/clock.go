package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is a clock that all processes share.
func monotonic() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

// processorTime is what a process has used of it, all its threads together, to the nanosecond: the clock that
// clock_getcpuclockid(3) names, where proc_pid_stat(5) counts in hundredths of a second.
func processorTime(pid int) time.Duration {
	const scheduled = 2 // CPUCLOCK_SCHED
	return clock(int32(^pid<<3 | scheduled))
}

// clock is 0 if there is no such process.
func clock(id int32) time.Duration {
	var t unix.Timespec
	unix.ClockGettime(id, &t)
	return time.Duration(t.Nano())
}
