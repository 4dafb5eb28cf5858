package control

import (
	"encoding/json"
	"time"
)

// Version is the version of the protocol. It grows when something changes that a
// client relies on, and not when something is added.
const Version = 1

// MaxRequest is the longest line that a client may send, in bytes.
const MaxRequest = 1024

// MaxAnswer is the longest line that a [Client] reads, in bytes. A status has some hundred
// for each worker.
const MaxAnswer = 16 << 20

// Places are where initctl looks for the socket, in this order, unless it is given a
// path. As PID 1, initd makes its socket at the first of them where it can.
var Places = []string{"/run/initd.sock", "/dev/shm/initd.sock"}

// What may be requested.
const (
	AskHealth      = "health"
	AskStatus      = "status"
	AskSwap        = "swap"
	AskAwait       = "await"
	AskStop        = "stop"
	AskScale       = "scale"
	AskSignal      = "signal"
	AskSubscribe   = "subscribe"
	AskEnvironment = "environment"
	AskSettings    = "settings"
)

// Request is a line that a client sends. Which fields are allowed depends on Request;
// any other is an error, so that a misspelt one is not ignored.
type Request struct {
	Request string `json:"request"`
	ID      int64  `json:"id,omitempty"` // is repeated in every answer to this request

	Wait       bool   `json:"wait,omitempty"`       // swap: send the outcomes, too, up to the final one
	Ticket     int    `json:"ticket,omitempty"`     // await: the ticket whose outcomes to send
	Workers    int    `json:"workers,omitempty"`    // scale: size of the pool when idle
	Signal     string `json:"signal,omitempty"`     // stop: TERM (if empty), INT or QUIT; signal: any
	Generation int    `json:"generation,omitempty"` // signal, environment: of this generation; 0: signal: of all, environment: of the serving one
	Slot       *int   `json:"slot,omitempty"`       // signal: only the worker in this slot
	Values     bool   `json:"values,omitempty"`     // environment: with values, for root in a pid namespace that initd can see
}

// Answer is a line that initd sends. If Error is empty, the request was successful, and
// the one of the last fields is set that belongs to it.
type Answer struct {
	Version int    `json:"version"`
	ID      int64  `json:"id,omitempty"`
	Answer  string `json:"answer"`          // the request, or outcome, event, error
	Error   string `json:"error,omitempty"` // what went wrong, for people
	Code    string `json:"code,omitempty"`  // the same, for programs

	Health      *Health         `json:"health,omitempty"`
	Status      *Status         `json:"status,omitempty"`
	Ticket      int             `json:"ticket,omitempty"`  // swap: by which its outcome can be asked for
	Outcome     *Outcome        `json:"outcome,omitempty"` // of the swap
	Workers     *int            `json:"workers,omitempty"` // scale: size when idle; signal: how many workers it was sent to
	Environment *Environment    `json:"environment,omitempty"`
	Settings    []Setting       `json:"settings,omitempty"`
	Event       json.RawMessage `json:"event,omitempty"` // a log line: an object with the log's keys
}

// Codes of errors.
const (
	BadRequest  = "bad-request"  // no JSON object, an unknown request or field, an invalid value
	Forbidden   = "forbidden"    // not for this client
	Busy        = "busy"         // too many clients wait for something
	NotPossible = "not-possible" // not in initd's state, or not with its settings
	NotFound    = "not-found"    // no such generation, worker or ticket
	Defect      = "defect"       // initd could not answer
)

// Health is what health checks ask for.
type Health struct {
	Live       bool   `json:"live"`             // the loop runs
	Ready      bool   `json:"ready"`            // a generation is serving, and initd is not being stopped
	Started    bool   `json:"started"`          // a generation has been ready since initd was started
	State      string `json:"state"`            // not-ready, ready, reloading, stopping
	Generation int    `json:"generation"`       // the serving one; 0: none
	Reason     string `json:"reason,omitempty"` // why it is not ready, or flapping, or why the last attempt failed

	Flapping *Flapping `json:"flapping,omitempty"` // present while workers end again and again, soon after they were ready
}

// Flapping is the state of a pool in which at least half of the slots lose one worker after
// the other before it was stable.
type Flapping struct {
	Since  time.Time `json:"since"`
	Losses int       `json:"losses"`  // in a row, in the slot that has had the most
	Last   string    `json:"last"`    // how the last of these workers ended: exit status 1, signal SEGV, signal KILL (out of memory)
	LastAt time.Time `json:"last_at"` // when
}

// Status is all that initd knows about itself. Times are RFC 3339 with fractions,
// durations seconds, sizes bytes.
type Status struct {
	Version     string       `json:"version"` // of initd
	PID         int          `json:"pid"`     // in its own pid namespace
	Command     []string     `json:"command"`
	Time        time.Time    `json:"time"`    // of this answer
	Started     time.Time    `json:"started"` // when initd was started
	Health      Health       `json:"health"`
	Attempt     int          `json:"attempt"`                // the number of the last attempt
	NextAttempt *time.Time   `json:"next_attempt,omitempty"` // when the next begins, while a back-off lasts
	Failures    int          `json:"failures"`               // failed attempts in a row
	Pool        Pool         `json:"pool"`
	Generations []Generation `json:"generations"` // by number
	Listeners   []Listener   `json:"listeners"`
	Swaps       []Swap       `json:"swaps"` // the last attempts, the newest first
	Counters    Counters     `json:"counters"`
	Memory      int64        `json:"memory,omitempty"` // initd's own, resident
}

// Pool is the size of the serving generation, in workers.
type Pool struct {
	Workers int `json:"workers"` // intended now
	Rest    int `json:"rest"`    // intended when idle
	Max     int `json:"max"`     // the upper limit; 0: it does not grow by itself
	Ready   int `json:"ready"`   // those that are ready, of all generations, and have a slot
	Busy    int `json:"busy"`    // those of them that are known to be busy
	Idle    int `json:"idle"`    // those of them that are known to be idle
}

// Generation is one that has workers, or is about to.
type Generation struct {
	Number  int        `json:"number"`
	State   string     `json:"state"` // preparing, checking, starting, probing, trial, serving, partial, retiring, failed
	Began   time.Time  `json:"began"`
	Ready   *time.Time `json:"ready,omitempty"`    // when it became ready
	ReadyBy string     `json:"ready_by,omitempty"` // what the least proved of its workers counted as ready by
	Workers []Worker   `json:"workers"`
}

// Worker is a process of a generation.
type Worker struct {
	Slot     int        `json:"slot"`
	PID      int        `json:"pid"`
	State    string     `json:"state"` // forking, executing, running, ready, stopping, ending, killed
	Started  time.Time  `json:"started"`
	Ready    *time.Time `json:"ready,omitempty"`
	ReadyBy  string     `json:"ready_by,omitempty"` // READY=1, accepting (it was seen to accept connections), interval (it had lived for it)
	Activity string     `json:"activity,omitempty"` // busy, idle; empty: unknown
	Requests *int64     `json:"requests,omitempty"` // counted on the scoreboard
	Memory   int64      `json:"memory,omitempty"`   // resident; 0: unknown
	Message  string     `json:"message,omitempty"`  // its last STATUS=, sd_notify(3)
	Orphan   bool       `json:"orphan,omitempty"`   // it is no worker, but was left by one that has ended
}

// Listener is a socket that workers inherit.
type Listener struct {
	Key     string `json:"key"` // its name in SERVER_STARTER_PORT
	Network string `json:"network"`
	Address string `json:"address"`
	FD      int    `json:"fd"`      // the worker's
	Queue   int    `json:"queue"`   // length of the accept queue, in connections; udp: of the receive buffer, in bytes
	Backlog int    `json:"backlog"` // the limit of Queue; 0: unknown
}

// Swap is one attempt at a new generation. If it fails and is tried again, that is
// another Swap.
type Swap struct {
	Generation int             `json:"generation"`
	Ticket     int             `json:"ticket"`  // of the request
	Trigger    string          `json:"trigger"` // start, signal, control, watch, clock, loss
	Began      time.Time       `json:"began"`
	Ended      *time.Time      `json:"ended,omitempty"` // when its outcome was known
	Seconds    float64         `json:"seconds"`         // from Began to Ended, or until now
	Outcome    string          `json:"outcome"`         // pending, ready, failed, refused, stopped, lost
	Lost       *time.Time      `json:"lost,omitempty"`  // lost: when, after it had been ready
	Reason     string          `json:"reason,omitempty"`
	Slot       *int            `json:"slot,omitempty"`        // of the worker that made it fail
	ExitStatus *int            `json:"exit_status,omitempty"` // that worker's
	Signal     string          `json:"signal,omitempty"`      // or the signal that ended it
	Stderr     []string        `json:"stderr,omitempty"`      // its last lines, where stderr-lines is set
	Lines      func() []string `json:"-"`                     // returns Stderr; called when the status is sent
	Variables  *Variables      `json:"variables,omitempty"`   // compared with the serving generation
}

// Variables are the names of the variables in which two environments differ.
type Variables struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
}

// Outcome is something that became of a request for a swap. An attempt that failed is
// tried again unless Final is set.
type Outcome struct {
	Ticket     int     `json:"ticket"`
	Outcome    string  `json:"outcome"` // begun, failed, ready, refused, superseded, stopped, lost
	Final      bool    `json:"final"`
	Generation int     `json:"generation,omitempty"`
	ReadyBy    string  `json:"ready_by,omitempty"` // ready: as that of the Generation
	Reason     string  `json:"reason,omitempty"`
	By         int     `json:"by,omitempty"`   // superseded: the ticket of the request that replaced it
	Next       float64 `json:"next,omitempty"` // failed: seconds to the next attempt
}

// Counters only grow.
type Counters struct {
	Swaps        map[string]int64 `json:"swaps"`        // by outcome: ready, failed, refused, stopped; lost: of the ready ones
	SwapSeconds  float64          `json:"swap_seconds"` // that all swaps took that became ready
	Started      int64            `json:"started"`      // workers
	Exited       int64            `json:"exited"`       // workers that were told to stop
	Died         int64            `json:"died"`         // workers that ended without having been told to
	OOMKilled    int64            `json:"oom_killed"`   // of these that died: by the kernel, because memory ran out
	Killed       int64            `json:"killed"`
	Recycled     int64            `json:"recycled"`
	Orphans      int64            `json:"orphans"`  // reaped
	Requests     int64            `json:"requests"` // finished by workers that count them on the scoreboard
	Relistened   int64            `json:"relistened"`
	HooksFailed  int64            `json:"hooks_failed"`
	Control      int64            `json:"control"`       // requests on the control socket
	LinesDropped int64            `json:"lines_dropped"` // of the log
}

// Environment is the environment of a generation.
type Environment struct {
	Generation int        `json:"generation"`
	Variables  []Variable `json:"variables"` // by name
}

// Variable has a value only if values were asked for.
type Variable struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"`
}

// Setting is one setting as it is in force.
type Setting struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // one for each of its items; none: it is not set
	Source string   `json:"source"` // the variable or flag that set it, or default
}
