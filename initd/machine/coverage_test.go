package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// coverage is what the schedules have come across.
type coverage struct {
	steps      int
	situations map[string]int
	states     [Failed + 1]int
	workers    [killed + 1]int
	phases     [exited + 1]int
	ends       [fates][Failed + 1]int // of workers, by the state of their generation
}

func newCoverage() *coverage { return &coverage{situations: map[string]int{}} }

func (c *coverage) mark(situation string) { c.situations[situation]++ }

func (c *coverage) stale(event Event) {
	name, _, _ := strings.Cut(event.String(), " ")
	c.mark("stale " + name)
}

// look takes note of the states that a machine is in.
func (c *coverage) look(m *Machine) {
	c.steps++
	c.phases[m.phase]++
	for _, g := range m.generations {
		c.states[g.state]++
		for w := range g.live {
			c.workers[w.state]++
		}
	}
}

// end takes note of a worker's end in the course of operation.
func (c *coverage) end(m *Machine, generation int, f fate) {
	if g := m.generation(generation); g != nil && m.phase == operating {
		c.ends[f][g.state]++
	}
}

func (c *coverage) add(other *coverage) {
	c.steps += other.steps
	for s, n := range other.situations {
		c.situations[s] += n
	}
	for i, n := range other.states {
		c.states[i] += n
	}
	for i, n := range other.workers {
		c.workers[i] += n
	}
	for i, n := range other.phases {
		c.phases[i] += n
	}
	for f, all := range other.ends {
		for s, n := range all {
			c.ends[f][s] += n
		}
	}
}

func (c *coverage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "generations by state %v, workers by state %v, steps by phase %v\nends of workers, from %v to %v:\n", c.states, c.workers, c.phases, Preparing, Failed)
	for f, all := range c.ends {
		fmt.Fprintf(&b, "  %-15v %v\n", fate(f), all)
	}
	for _, s := range slices.Sorted(maps.Keys(c.situations)) {
		fmt.Fprintf(&b, "  %-55s %d\n", s, c.situations[s])
	}
	return b.String()
}

// missing is what there is to come across and was not.
func (c *coverage) missing() (all []string) {
	for s, n := range c.states {
		if n == 0 {
			all = append(all, "a generation that is "+State(s).String())
		}
	}
	for s, n := range c.workers {
		if n == 0 {
			all = append(all, fmt.Sprintf("a worker in state %d", s))
		}
	}
	for p, n := range c.phases {
		if n == 0 {
			all = append(all, fmt.Sprintf("phase %d", p))
		}
	}
	for f, n := range c.ends {
		for s := Starting; s <= Failed; s++ {
			if n[s] == 0 && meets(fate(f), s) {
				all = append(all, fmt.Sprintf("the end of a worker that is %v in a generation that is %v", fate(f), s))
			}
		}
	}
	for _, s := range situations {
		if c.situations[s] == 0 {
			all = append(all, s)
		}
	}
	return all
}

// meets reports whether a worker of this fate can end while its generation is
// so. In one that is being probed or tried, all have become ready.
func meets(f fate, s State) bool {
	switch f {
	case healthy:
		return s >= Retiring
	case cannotFork, cannotExecute, stuck:
		return s != Probing && s != Trial
	}
	return true
}
