package machine

import "time"

// world is a shell without a kernel, and all that befalls it.
type world struct {
	*tape
	policy  Policy
	machine *Machine
	judge   *judge
	seen    *coverage
	now     time.Time
	pending queue
	last    int // of pending, ever
	steps   []step
	err     error
	refused []SignalRefused // by what is being done

	living      []*process    // by pid
	dead        []int         // pids, ever
	probe       int           // counts the probes
	probing     int           // the probe that runs, else 0
	orphans     int           // 0 none, 1 some that obey, 2 some that do not
	endsOrphans bool          // what is left is asked to end, and orphans of workers are among them
	calm        bool          // nothing fails any more
	late        time.Duration // by how much the timer may be
	reuse       bool          // of pids, at once
	quiet       time.Time     // until then nothing comes from outside
	answering   int           // starts that have no answer yet
	load
	looking *[]int     // the workers that somebody looks at, and may never answer
	running [hooks]int // hooks, by number; 0: it does not run
	ran     int        // counts the hooks

	http, httpStarts int // the one that runs, else 0; and how many there were
}

// step is a line of the transcript.
type step struct {
	at       time.Time
	event    Event
	actions  []Action
	deadline time.Time
}

// occurrence is something that will happen in the world.
type occurrence struct {
	at     time.Time
	number int
	happen func()
}

type queue []occurrence

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].number < q[j].number
}
func (q *queue) Push(x any) { *q = append(*q, x.(occurrence)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

var epoch = time.Unix(1_000_000_000, 0).UTC()
