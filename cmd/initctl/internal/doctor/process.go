package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"server-starter/initd/proc"
)

// A process is a pid and when it began, in ticks since the boot: a pid alone
// may have been given away again.
type process struct {
	pid   int
	birth uint64
	name  string
}

// family is a process and its descendants.
func family(root int) (all []process) {
	type child struct {
		process
		parent int
	}
	var known []child
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, parent := stat(pid); p.birth != 0 {
				known = append(known, child{p, parent})
			}
		}
	}
	for _, c := range known {
		if c.pid == root {
			all = append(all, c.process)
		}
	}
	for i := 0; i < len(all); i++ {
		for _, c := range known {
			if c.parent == all[i].pid {
				all = append(all, c.process)
			}
		}
	}
	return all
}

// stat finds a process and its parent; a zombie does not count.
func stat(pid int) (p process, parent int) {
	s, err := new(proc.Reader).Stat(pid)
	if err != nil || s.State == 'Z' {
		return process{}, 0
	}
	return process{pid, s.Start, s.Name}, s.Parent
}

func (p process) lives() bool {
	now, _ := stat(p.pid)
	return now.birth == p.birth
}

func (p process) String() string { return fmt.Sprintf("%s (%d)", p.name, p.pid) }

// memory is what the processes have in memory, in bytes, a page that several
// share divided among them. Of a process that lets nobody look it is the
// resident set.
func memory(of []process) (sum int) {
	var r proc.Reader
	for _, p := range of {
		size, err := r.Proportional(p.pid)
		if err != nil {
			size, _ = r.Resident(p.pid)
		}
		sum += int(size)
	}
	return sum
}

// memoryLimit is that of our cgroup in bytes, 0 for none; cgroups(7).
func memoryLimit() int {
	text, _ := os.ReadFile("/sys/fs/cgroup/memory.max")
	limit, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return limit
}

// inodes are those of the sockets that the processes have open.
func inodes(of []process) map[string]bool {
	open := map[string]bool{}
	var r proc.Reader
	for _, p := range of {
		held, _ := r.Sockets(p.pid, nil)
		for _, inode := range held {
			open[strconv.FormatUint(uint64(inode), 10)] = true
		}
	}
	return open
}
