package notify

import (
	"bytes"
	"os"
	"strconv"
)

// maxLineage bounds how far up the tree a sender is followed.
const maxLineage = 32

// lineage returns pid and its ancestors, nearest first, up to self or
// to one that has no parent in this pid namespace, as process 1, or is gone.
func lineage(pid, self int, stat func(pid int) (parent, group int)) []int {
	line := []int{pid}
	for pid != self && len(line) < maxLineage {
		if pid, _ = stat(pid); pid <= 0 {
			break
		}
		line = append(line, pid)
	}
	return line
}

// stat returns the parent and the process group of pid, 0 and 0 if there is
// no such process. A zombie still has both.
func stat(pid int) (parent, group int) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	return parseStat(line)
}

// parseStat reads the line of proc_pid_stat(5): pid (comm) state ppid pgrp ….
// comm is the program's to choose, blanks and parentheses included; nothing
// after it has a parenthesis.
func parseStat(line []byte) (parent, group int) {
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 3 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	group, _ = strconv.Atoi(string(fields[2]))
	return parent, group
}
