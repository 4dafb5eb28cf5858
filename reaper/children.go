package reaper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// Children returns the pids of the caller's children, started and adopted, in
// ascending order. Who has ended but was not reaped yet is among them, so a list
// made right after Drain is one of the living.
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
		return nil, errors.New("/proc is of another pid namespace")
	}
	pids, err := listed(self)
	if errors.Is(err, fs.ErrNotExist) {
		return scanned(self)
	}
	return pids, err
}

// listed takes the kernel's lists. There is one per thread: a child belongs to the
// thread that forked it, an orphan to whichever thread was alive.
func listed(self int) ([]int, error) {
	// The first thread stays for the life of a Go process, so that its list is
	// missing only where all are.
	if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d/children", self)); err != nil {
		return nil, err
	}
	threads, err := numbers("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, thread := range threads {
		list, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", thread))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, field := range bytes.Fields(list) {
			pid, err := strconv.Atoi(string(field))
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// scanned asks every process for its parent.
func scanned(self int) ([]int, error) {
	processes, err := numbers("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, pid := range processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if gone(err) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if parent(stat) == self {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// parent is the fourth field of proc_pid_stat(5), counted from behind the second,
// the program's name in parentheses, which may itself hold spaces and parentheses.
func parent(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(string(fields[1]))
	return pid
}

// numbers returns the entries of a directory of /proc that are pids.
func numbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			all = append(all, n)
		}
	}
	return all, nil
}

// gone tells the error of a process or thread that ended: ENOENT at open, ESRCH at read.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
