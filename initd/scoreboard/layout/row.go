package layout

import "time"

// State is what a worker reports of itself.
type State int

const (
	Absent State = iota // it reports nothing, or not yet
	Idle
	Busy
)

func (s State) String() string { return [...]string{"absent", "idle", "busy"}[s] }

// Row is a worker and what it reports, at one moment.
type Row struct {
	PID              int // 0 if it is about to be forked
	Generation, Slot int
	Age              time.Duration // since its row was claimed
	State            State
	InFlight         int           // the requests it is busy with
	For              time.Duration // how long it has been idle or busy; at most Age
	Requests         int           // those it has finished
	Busy             time.Duration // how long it was busy, up to when it last became idle; at most Age
}

// No worker finishes more requests than these, and one for each time.
const (
	mostRequests   = 1_000_000
	fastestRequest = 100 * time.Nanosecond
)

// Take reads what a worker has written, as far as it can be true: it was never idle or
// busy for longer than Age, which has to be set, and has not finished more requests than
// a worker can in that time.
func (r *Row) Take(row Memory, now time.Duration) {
	r.Requests = int(min(row.Load(Requests), mostRequests+uint64(r.Age/fastestRequest)))
	r.Busy = time.Duration(min(row.Load(BusyTime), uint64(r.Age/time.Microsecond))) * time.Microsecond
	since, load := Unpack(row.Load(Activity))
	switch load {
	case 0:
		return
	case 1:
		r.State = Idle
	default:
		r.State = Busy
		r.InFlight = int(load - 1)
	}
	r.For = min(max(0, now-since), r.Age)
}
