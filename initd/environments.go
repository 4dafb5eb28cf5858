package initd

// environments are those of the generations that may still start workers, by
// number.
type environments map[int]environ

// newest is the number of the newest of these generations that has workers; 0: none.
func (l *loop) newest() (newest int) {
	for g := range l.environments {
		if l.children.hasWorker(g) {
			newest = max(newest, g)
		}
	}
	return newest
}
