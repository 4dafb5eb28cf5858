package initd

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"server-starter/initd/machine"
	"server-starter/initd/scoreboard"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/initd/survey"
)

// surveyEvery is how often the workers have to be looked at: as rarely as
// what depends on it allows, and never where nothing does.
func surveyEvery(s *settings.Settings) time.Duration {
	every := time.Duration(0)
	for _, need := range []struct {
		is    bool
		every time.Duration
	}{
		{int(s.MaxWorkers) > int(s.Workers), 250 * time.Millisecond}, // to grow within a second of two looks that saw a queue
		{tellsOfDisconnects(s), 400 * time.Millisecond},              // to tell within a second of two that saw the client gone
		{s.MaxRequests > 0, time.Second},
		{s.MaxMemory > 0, memoryEvery},
	} {
		if need.is && (every == 0 || need.every < every) {
			every = need.every
		}
	}
	return every
}

// tellsOfDisconnects reports whether somebody wants to know that a worker is
// busy for clients that have gone.
func tellsOfDisconnects(s *settings.Settings) bool {
	return s.DisconnectSignal != 0 || len(s.HookOnDisconnect) > 0
}

// memoryEvery is how often memory is looked at: to share it out among those
// that have it in common is work for the kernel.
const memoryEvery = 5 * time.Second

// surveyor looks at workers.
type surveyor struct {
	results  chan machine.Surveyed
	measured time.Time       // when memory was
	said     map[string]bool // what stands in the way and was told of
}

// survey looks at workers, given by pid and with their rows. What /proc and the
// kernel's lists have to be asked for is done beside the loop, one survey at a
// time, as the machine sees to it.
func (in *instance) survey(workers map[int]int) {
	s := in.settings
	seen := machine.Surveyed{Queues: in.queues()}
	for _, q := range in.sockets.Waiting() {
		if q.Network == "udp" {
			q.Length = min(q.Length, 1) // of datagrams only their memory is known
		}
		seen.Queue += q.Length
	}
	pids := slices.Sorted(maps.Keys(workers))
	var facts survey.Facts
	for _, pid := range pids {
		sample := machine.Sample{PID: pid, Clients: -1}
		if workers[pid] != noRow {
			if row, ok := in.board.Read(workers[pid]); ok {
				sample.Activity, sample.Requests = activity(row.State), int64(row.Requests)
			}
		}
		if sample.Activity == machine.Silent && int(s.MaxWorkers) > int(s.Workers) {
			// Where nobody can connect, having no connection says nothing.
			if facts |= survey.CPU; in.accepts() {
				facts |= survey.Connections
			}
		}
		if sample.Activity != machine.Idle && tellsOfDisconnects(s) {
			facts |= survey.Disconnects
		}
		seen.Workers = append(seen.Workers, sample)
	}
	if now := time.Now(); s.MaxMemory > 0 && now.Sub(in.surveyor.measured) >= memoryEvery {
		in.surveyor.measured = now
		facts |= survey.Resident | survey.Proportional
	}
	request := survey.Request{Facts: facts, PIDs: pids, Listeners: in.sockets.All(), Descendants: true}
	go func() {
		defer in.breaks()
		if facts != 0 {
			found, err := survey.Take(request)
			in.surveyor.complain(err, in.warnings)
			for i := range seen.Workers {
				fill(&seen.Workers[i], found[seen.Workers[i].PID])
			}
		}
		in.surveyor.results <- seen
	}()
}

// accepts reports whether workers have a listener that has connections.
func (in *instance) accepts() bool {
	return slices.ContainsFunc(in.sockets.All(), func(l socket.Listener) bool { return l.Network == "tcp" || l.Network == "unix" })
}

// fill adds what was found of a worker.
func fill(s *machine.Sample, w survey.Worker) {
	s.CPU = w.CPU
	if w.Known&survey.Connections != 0 {
		s.Clients, s.Gone = w.Open, w.Closed
	}
	// What is shared is put down to each only where it cannot be shared out.
	if s.Memory = w.Resident; w.Known&survey.Proportional != 0 {
		s.Memory = w.Proportional
	}
}

func activity(s scoreboard.State) machine.Activity {
	return map[scoreboard.State]machine.Activity{scoreboard.Idle: machine.Idle, scoreboard.Busy: machine.Busy}[s]
}

// queues is how much waits in the sockets of each slot, where slots have their own.
func (in *instance) queues() (all []int) {
	if in.settings.ReusePort {
		for slot := range in.sockets.Slots() {
			all = append(all, in.sockets.Queue(slot))
		}
	}
	return all
}

// complain tells of each thing that stands in the way once, not of each worker
// whose file it is.
func (s *surveyor) complain(err error, warnings chan<- warning) {
	if err == nil {
		return
	}
	kind := err.Error()
	for _, known := range []error{fs.ErrPermission, errors.ErrUnsupported} {
		if errors.Is(err, known) {
			kind = known.Error()
		}
	}
	if !s.said[kind] && len(s.said) < 16 {
		s.said[kind] = true
		warnings <- warning{"survey", "cannot see all of the workers: " + err.Error()}
	}
}
