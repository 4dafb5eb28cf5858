package machine

import "time"

// Policy is what the decisions depend on, taken from the settings. A zero duration of a
// timeout means no limit.
type Policy struct {
	Workers    int  // of the pool when there is little to do, at least 1
	MaxWorkers int  // it never has more; 0: it never grows by itself
	MinIdle    int  // the pool grows while fewer are idle
	MaxIdle    int  // it shrinks, down to Workers, while more are
	Surge      int  // slots that a swap replaces at a time; 0: all
	Steer      bool // each slot has sockets of its own

	Recycling

	DisconnectSignal Signal        // to a worker whose clients have gone while it is busy; 0: none
	Survey           time.Duration // time between two looks at the workers; 0: never

	Hooks       [hooks]bool // those that there are
	HookTimeout time.Duration
	Debounce    time.Duration // how long a watched file has to be left alone

	Ready        Ready
	Looks        bool          // there are listeners, and workers can be looked at, whether they wait for connections
	Interval     time.Duration // how long a worker lives to count as alive
	StableAfter  time.Duration // how long it is ready for its end to be no failed start; at least Interval
	StartTimeout time.Duration // limit of an attempt, from its start to its readiness
	Probe        bool          // a probe follows the workers' own readiness
	ProbeTimeout time.Duration // limit of one run of the probe
	Watchdog     time.Duration // longest silence of a ready worker

	SignalOnHup       Signal // ends the workers of a replaced generation
	SignalOnTerm      Signal // ends every worker when TERM stops initd
	DrainTimeout      time.Duration
	MaxOldGenerations int // 0: no limit
	Timing

	StopDelay   time.Duration
	StopTimeout time.Duration
	KillGroup   bool // kill process groups instead of single workers, and end the orphans of workers

	PID1         bool // the kernel kills all processes that are left when initd exits; pid_namespaces(7)
	LeaveOrphans bool // exit without ending the orphans that remain

	LogCommands int  // how many there are
	HTTP        bool // there is an HTTP process

	Respawn     Respawn
	MaxBackoff  time.Duration
	MaxFailures int // failed attempts in a row before giving up; 0: never

	SignalMap map[Signal]Signal // a signal's replacement, 0 to drop it
	ExitMap   map[int]int       // a worker's exit status as initd's own
}

// Timing is the part of a policy that an envdir may change with each generation.
type Timing struct {
	KillOldDelay        time.Duration // trial time of a new generation
	AutoRestart         bool
	AutoRestartInterval time.Duration
}

// Ready is what makes a worker ready.
type Ready int

const (
	Auto   Ready = iota // Notify or Seen, whichever comes first; Alive instead of Seen where that cannot be told
	Alive               // it has lived for the interval
	Notify              // it has sent READY=1
	Seen                // it has lived for the interval and was seen to wait for connections
)

var readyNames = []string{Auto: "auto", Alive: "alive", Notify: "notify", Seen: "accepting"}

// String is the word for it in settings.
func (r Ready) String() string { return readyNames[r] }

// Values are all of them, in the order in which they are listed to users.
func (Ready) Values() []Ready { return []Ready{Alive, Notify, Seen, Auto} }

// countsNotification reports whether READY=1 makes a worker ready.
func (r Ready) countsNotification() bool { return r == Auto || r == Notify }

// Respawn is what happens when a worker of the serving generation ends by itself.
type Respawn int

const (
	Always    Respawn = iota // it is replaced
	OnFailure                // it is replaced if it failed, else initd stops
	Never                    // initd ends with its status
)

var respawnNames = []string{Always: "always", OnFailure: "on-failure", Never: "never"}

// String is the word for it in settings.
func (r Respawn) String() string { return respawnNames[r] }

// Values are all of them, in the order in which they are listed to users.
func (Respawn) Values() []Respawn { return []Respawn{Always, OnFailure, Never} }

// orphanGrace is what orphans get to end where no stop-timeout is set.
const orphanGrace = 5 * time.Second

// minInterval takes the place of a zero interval where it is decided what a failure
// is, and how long to wait after it.
const minInterval = 100 * time.Millisecond

// interval is what decides whether a worker has lived at all, and in what steps to
// wait.
func (p *Policy) interval() time.Duration {
	if p.Interval <= 0 {
		return minInterval
	}
	return p.Interval
}

// stableAfter is how long a worker has to be ready to be stable, and how long a
// generation has to be for earlier failures to be forgotten.
func (p *Policy) stableAfter() time.Duration { return max(p.StableAfter, p.interval()) }

// backoff is the time from the start of a failed attempt to that of the next,
// after the given number of failures in a row: the interval, then 2, 4, …
// times that, up to MaxBackoff.
func (p *Policy) backoff(failures int) time.Duration {
	const ceiling = 24 * time.Hour // where MaxBackoff is 0
	limit := p.MaxBackoff
	if limit <= 0 {
		limit = ceiling
	}
	wait := p.interval()
	for i := 1; i < failures && wait < limit; i++ {
		wait = times(wait, 2)
	}
	return min(wait, limit)
}

// ends reports whether a signal is one by which an operator has a worker end. KILL is
// refused.
func (p *Policy) ends(s Signal) bool {
	return s == TERM || s == INT || s == QUIT || s == p.SignalOnHup || s == p.SignalOnTerm
}

// times is n times a duration, or the longest there is.
func times(d time.Duration, n int) time.Duration {
	const longest = time.Duration(1<<63 - 1)
	if d > longest/time.Duration(n) {
		return longest
	}
	return d * time.Duration(n)
}

// exitStatus is the status initd ends with when it takes over a worker's.
func (p *Policy) exitStatus(s Status) int {
	n := s.ExitStatus()
	if mapped, ok := p.ExitMap[n]; ok {
		return mapped
	}
	return n
}
