package initd

// environments are those of the generations that may still start workers, and
// the last that was given up: the hook that gets the outcome of an attempt runs
// with its environment.
type environments struct {
	of   map[int]environ
	over []int // generations that start no worker any more
}

// drop removes those that have been released.
func (e *environments) drop() {
	for _, generation := range e.over {
		delete(e.of, generation)
	}
	e.over = nil
}

// release is for a generation that starts no worker any more.
func (e *environments) release(generation int) { e.over = append(e.over, generation) }

// environmentFor is that of a generation, or of the newest that has workers.
func (l *loop) environmentFor(generation int) environ {
	if env, ok := l.environments.of[generation]; ok {
		return env
	}
	newest := 0
	for g := range l.environments.of {
		if l.children.hasWorker(g) {
			newest = max(newest, g)
		}
	}
	return l.environments.of[newest]
}
