package accepting

import (
	"os"
	"slices"
	"strconv"
)

// Find finds the processes that belong to workers and do not descend from them: a daemon
// that they have left becomes a child of initd (prctl(2), PR_SET_CHILD_SUBREAPER). It
// is in the worker's process group, or has the variables that tell a worker who it is.
// Known are the children of initd that it has started itself.
func (l *Looker) Find(workers []Worker, known []int) {
	l.members = map[int][]int{}
	children, err := l.proc.Children(os.Getpid(), nil)
	if err != nil {
		return // then nobody's descendants can be found either, and Look says so
	}
	for _, child := range children {
		if slices.Contains(known, child) {
			continue
		}
		stat, err := l.proc.Stat(child)
		if err != nil || stat.State == 'Z' {
			continue
		}
		is := func(w Worker) bool { return w.PID == stat.Group }
		if !slices.ContainsFunc(workers, is) {
			generation, slot := Name(l.proc.Environ, child)
			is = func(w Worker) bool { return generation > 0 && w.Generation == generation && w.Slot == slot }
		}
		if i := slices.IndexFunc(workers, is); i >= 0 {
			pid := workers[i].PID
			l.members[pid] = append(l.members[pid], child)
		}
	}
}

// Name is what the environment of a process has as its generation and slot, which is that
// of the worker it descends from; 0 and 0 where it has none. A hook has them as well, and
// the event.
func Name(environ func(pid int, names ...string) ([]string, error), pid int) (generation, slot int) {
	values, err := environ(pid, "SERVER_STARTER_GENERATION", "SERVER_STARTER_WORKER", "SERVER_STARTER_EVENT")
	if err != nil || values[1] == "" || values[2] != "" {
		return 0, 0
	}
	generation, _ = strconv.Atoi(values[0])
	slot, _ = strconv.Atoi(values[1])
	return generation, slot
}
