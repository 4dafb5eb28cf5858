package machine

import "time"

// deathLimit is how long a worker that was killed may take to end. It takes longer only
// if it is in uninterruptible sleep, for example because a disk or a network file system
// does not respond, or if it has very much memory to free.
const deathLimit = time.Second

// Stuck: a worker did not end after it was killed. There is nothing to do but to log it.
type Stuck struct{ Generation, Slot, PID int }

func (a Stuck) String() string { return "stuck " + workerFields(a.Generation, a.Slot, a.PID) }

// reportStuck reports each worker that did not end after it was killed, once.
func (m *Machine) reportStuck() {
	for _, g := range m.generations {
		for w := range g.live {
			if w.state == killed && !w.stuck && m.due(w.killedAt.Add(deathLimit)) {
				w.stuck = true
				m.do(Stuck{g.number, w.slot, w.pid})
			}
		}
	}
}
