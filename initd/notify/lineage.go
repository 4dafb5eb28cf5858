package notify

import "server-starter/initd/proc"

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
	s, err := new(proc.Reader).Stat(pid)
	if err != nil {
		return 0, 0
	}
	return s.Parent, s.Group
}
