package reaper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"server-starter/initd/proc"
)

// Children returns the pids of the caller's children, started and adopted, in
// ascending order. Those that have ended and were not reaped yet are among them, so
// that a list made right after Drain is one of the living.
//
// Called by the goroutine that drains it misses no child, and every pid in it stays
// that child's until the next Drain. Beside a Drain elsewhere it may miss some
// (proc_tid_children(5)).
//
// The source is /proc/self/task/*/children, or the parents in /proc/*/stat where the
// kernel has no such file (CONFIG_PROC_CHILDREN); the latter cannot see
// children of another user through a /proc mounted with hidepid. It is an error if /proc
// is not there or shows another pid namespace, whose numbers would name strangers.
func Children() ([]int, error) {
	pids, err := children()
	if err != nil {
		return nil, fmt.Errorf("list children: %w", err)
	}
	// A child whose thread ended while we read moved to another thread, and may
	// have been read twice.
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func children() ([]int, error) {
	self := os.Getpid()
	if link, err := os.Readlink("/proc/self"); err != nil {
		return nil, err
	} else if link != strconv.Itoa(self) {
		return nil, errors.New("/proc belongs to another pid namespace")
	}
	pids, err := listed(self)
	if errors.Is(err, errors.ErrUnsupported) {
		return scanned(self)
	}
	return pids, err
}

// listed takes the kernel's lists. There is one for each thread: a child belongs to
// the thread that forked it, an orphan to whichever thread was alive.
func listed(self int) ([]int, error) { return new(proc.Reader).Children(self, nil) }

// scanned asks every process for its parent.
func scanned(self int) ([]int, error) {
	var r proc.Reader
	processes, err := r.Processes()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, pid := range processes {
		stat, err := r.Stat(pid)
		if proc.Gone(err) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if stat.Parent == self {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
