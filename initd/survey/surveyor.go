package survey

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"server-starter/initd/machine"
	"server-starter/initd/scoreboard"
	"server-starter/initd/socket"
)

// memoryEvery is how often memory is looked at: to divide what processes share
// among them is work for the kernel.
const memoryEvery = 5 * time.Second

// maxWarned bounds how many kinds of errors are remembered.
const maxWarned = 16

// Surveyor takes the surveys that the machine asks for, and looks only for what
// something depends on. The zero Surveyor looks for nothing.
type Surveyor struct {
	Growth      bool // a pool grows and shrinks as its workers are busy: max-workers
	Requests    bool // a worker is replaced after so many: max-requests
	Memory      bool // or when it has so much: max-memory
	Disconnects bool // somebody has to know that a worker is busy for clients that have gone

	Row     func(row int) (r scoreboard.Row, ok bool) // reads the scoreboard; nil: there is none
	Sockets *socket.Set                               // those that workers accept from; nil: none
	PerSlot bool                                      // each slot has sockets of its own

	// Look is Take, unless a test has another.
	Look func(Request) (map[int]Worker, error)

	measured time.Time       // when memory was
	warned   map[string]bool // errors that a warning was returned for
}

// Every is how often a survey has to be taken: as rarely as what depends on it
// allows, and never (0) where nothing does.
func (s *Surveyor) Every() time.Duration {
	every := time.Duration(0)
	for _, need := range []struct {
		is    bool
		every time.Duration
	}{
		{s.Growth, 250 * time.Millisecond},      // to grow within a second of two surveys that saw a queue
		{s.Disconnects, 400 * time.Millisecond}, // to act within a second of two that saw the client gone
		{s.Requests, time.Second},
		{s.Memory, memoryEvery},
	} {
		if need.is && (every == 0 || need.every < every) {
			every = need.every
		}
	}
	return every
}

// Begin begins a survey of workers, given by pid and each with its row of the
// scoreboard, which is negative if it has none. It reads what belongs to the
// caller's goroutine, the scoreboard and the sockets' queues, and does not block.
//
// Take is the part that takes time: it asks /proc and the kernel's lists of
// connections. It is to be run by another goroutine, one survey at a time, and
// returns also what keeps it from seeing all of the workers: each kind of error
// once, and else nothing. Queues is what is seen without it.
func (s *Surveyor) Begin(now time.Time, workers map[int]int) (queues machine.Surveyed, take func() (seen machine.Surveyed, warning string)) {
	queues = s.queues()
	seen := queues
	request := Request{PIDs: slices.Sorted(maps.Keys(workers)), Descendants: true}
	if s.Sockets != nil {
		request.Listeners = s.Sockets.All()
	}
	for _, pid := range request.PIDs {
		sample := s.sample(pid, workers[pid])
		request.Facts |= s.needed(sample, request.Listeners)
		seen.Workers = append(seen.Workers, sample)
	}
	if s.Memory && now.Sub(s.measured) >= memoryEvery {
		s.measured = now
		request.Facts |= Resident | Proportional
	}
	return queues, func() (machine.Surveyed, string) {
		if request.Facts == 0 {
			return seen, ""
		}
		look := s.Look
		if look == nil {
			look = Take
		}
		found, err := look(request)
		for i := range seen.Workers {
			fill(&seen.Workers[i], found[seen.Workers[i].PID])
		}
		return seen, s.warning(err)
	}
}

// queues is how much waits to be accepted, in all and in the sockets of each slot.
func (s *Surveyor) queues() (seen machine.Surveyed) {
	if s.Sockets == nil {
		return seen
	}
	if s.PerSlot {
		for slot := range s.Sockets.Slots() {
			seen.Queues = append(seen.Queues, s.Sockets.Queue(slot))
		}
	}
	for _, q := range s.Sockets.Waiting() {
		if q.Network == "udp" {
			q.Length = min(q.Length, 1) // of datagrams only their memory is known
		}
		seen.Queue += q.Length
	}
	return seen
}

// sample is what a worker itself reports.
func (s *Surveyor) sample(pid, row int) machine.Sample {
	sample := machine.Sample{PID: pid, Clients: -1}
	if row < 0 || s.Row == nil {
		return sample
	}
	if r, ok := s.Row(row); ok {
		sample.Activity, sample.Requests = Activity(r.State), int64(r.Requests)
	}
	return sample
}

// Activity is what a worker reports in its row, in the machine's words.
func Activity(s scoreboard.State) machine.Activity {
	return map[scoreboard.State]machine.Activity{scoreboard.Idle: machine.Idle, scoreboard.Busy: machine.Busy}[s]
}

// needed are the facts that have to be found because of one worker.
func (s *Surveyor) needed(sample machine.Sample, listeners []socket.Listener) (facts Facts) {
	if sample.Activity == machine.Silent && s.Growth {
		// Where nobody can connect, having no connection means nothing.
		if facts |= CPU; slices.ContainsFunc(listeners, hasConnections) {
			facts |= Connections
		}
	}
	if sample.Activity != machine.Idle && s.Disconnects {
		facts |= Disconnects
	}
	return facts
}

func hasConnections(l socket.Listener) bool { return l.Network == "tcp" || l.Network == "unix" }

// fill adds what was found of a worker.
func fill(s *machine.Sample, w Worker) {
	s.CPU = w.CPU
	if w.Known&Connections != 0 {
		s.Clients, s.Gone = w.Open, w.Closed
	}
	// Memory that is shared counts in full for each only where it cannot be divided.
	if s.Memory = w.Resident; w.Known&Proportional != 0 {
		s.Memory = w.Proportional
	}
}

// warning is the text for an error, the first of its kind, and not one for each
// worker whose file it is.
func (s *Surveyor) warning(err error) string {
	if err == nil {
		return ""
	}
	kind := err.Error()
	for _, known := range []error{fs.ErrPermission, errors.ErrUnsupported} {
		if errors.Is(err, known) {
			kind = known.Error()
		}
	}
	if s.warned[kind] || len(s.warned) >= maxWarned {
		return ""
	}
	if s.warned == nil {
		s.warned = map[string]bool{}
	}
	s.warned[kind] = true
	return "cannot inspect all workers: " + err.Error()
}
