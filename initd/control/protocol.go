package control

import (
	"encoding/json"
	"time"
)

// Version is that of the protocol: it grows when what a client relies on
// changes, and not when something is added.
const Version = 1

// MaxRequest is the longest line that a client may send, in bytes.
const MaxRequest = 1024

// Places are where initctl looks for the socket, in this order, unless it is told:
// and where initd makes it, the first that it can, where it is PID 1.
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

// Request is a line that a client sends. Which fields count depends on Request;
// others than these are an error, so that a misspelt one is not passed over.
type Request struct {
	Request string `json:"request"`
	ID      int64  `json:"id,omitempty"` // is given back with all that answers this request

	Wait       bool   `json:"wait,omitempty"`       // swap: tell the outcomes, too, up to the final one
	Ticket     int    `json:"ticket,omitempty"`     // await: whose outcomes are to be told
	Workers    int    `json:"workers,omitempty"`    // scale: size of the pool at rest
	Signal     string `json:"signal,omitempty"`     // stop: TERM (if empty), INT or QUIT; signal: any
	Generation int    `json:"generation,omitempty"` // signal, environment: of which; 0: all, the one that serves
	Slot       *int   `json:"slot,omitempty"`       // signal: the worker in this slot alone
	Values     bool   `json:"values,omitempty"`     // environment: with values, for root alone
}

// Answer is a line that initd sends. Error is empty where all went well, and
// then one of the last fields is set, after the request.
type Answer struct {
	Version int    `json:"version"`
	ID      int64  `json:"id,omitempty"`
	Answer  string `json:"answer"`          // the request, or outcome, event, error
	Error   string `json:"error,omitempty"` // what is wrong, for people
	Code    string `json:"code,omitempty"`  // the same for programs

	Health      *Health         `json:"health,omitempty"`
	Status      *Status         `json:"status,omitempty"`
	Ticket      int             `json:"ticket,omitempty"`  // swap: number of the request for a swap
	Outcome     *Outcome        `json:"outcome,omitempty"` // what became of it
	Workers     *int            `json:"workers,omitempty"` // scale: size at rest; signal: how many were sent it
	Environment *Environment    `json:"environment,omitempty"`
	Settings    []Setting       `json:"settings,omitempty"`
	Event       json.RawMessage `json:"event,omitempty"` // a line of the log: an object with the log's keys
}

// Codes of errors.
const (
	BadRequest  = "bad-request"  // no JSON object, an unknown request or field, a value that makes no sense
	Forbidden   = "forbidden"    // not for this client
	Busy        = "busy"         // as many clients wait for something as there may be
	NotPossible = "not-possible" // not in the state that initd is in, or as it is set
	NotFound    = "not-found"    // no such generation, worker or ticket
	Defect      = "defect"       // initd could not answer
)

// Health is what checks ask for.
type Health struct {
	Live       bool   `json:"live"`             // the loop turns
	Ready      bool   `json:"ready"`            // a generation serves, and initd is not being stopped
	Started    bool   `json:"started"`          // a generation has been ready since initd was started
	State      string `json:"state"`            // not-ready, ready, reloading, stopping
	Generation int    `json:"generation"`       // the one that serves; 0: none
	Reason     string `json:"reason,omitempty"` // why it is not ready, or why the last attempt has failed
}

// Status is all that initd knows of itself. Times are RFC 3339 with fractions,
// durations seconds, sizes bytes.
type Status struct {
	Version     string       `json:"version"` // of initd
	PID         int          `json:"pid"`     // in its own pid namespace
	Command     []string     `json:"command"`
	Time        time.Time    `json:"time"`    // when this was said
	Started     time.Time    `json:"started"` // when initd was
	Health      Health       `json:"health"`
	Attempt     int          `json:"attempt"`                // the last number that a generation was given
	NextAttempt *time.Time   `json:"next_attempt,omitempty"` // when the next begins, while a back-off lasts
	Failures    int          `json:"failures"`               // failed attempts in a row
	Pool        Pool         `json:"pool"`
	Generations []Generation `json:"generations"` // by number
	Listeners   []Listener   `json:"listeners"`
	Swaps       []Swap       `json:"swaps"` // the last attempts, the newest first
	Counters    Counters     `json:"counters"`
	Memory      int64        `json:"memory,omitempty"` // initd's own, resident
}

// Pool is the size of the generation that serves.
type Pool struct {
	Workers int `json:"workers"` // wanted now
	Rest    int `json:"rest"`    // wanted at rest
	Max     int `json:"max"`     // may be wanted; 0: it does not grow by itself
	Ready   int `json:"ready"`   // are ready, of all generations that hold a slot
	Busy    int `json:"busy"`    // of these, are known to be busy
	Idle    int `json:"idle"`    // of these, are known to be idle
}

// Generation is one that has workers, or is on its way to having some.
type Generation struct {
	Number  int        `json:"number"`
	State   string     `json:"state"` // preparing, checking, starting, probing, trial, serving, partial, retiring, failed
	Began   time.Time  `json:"began"`
	Ready   *time.Time `json:"ready,omitempty"` // since when it serves, or has served
	Workers []Worker   `json:"workers"`
}

// Worker is a process of a generation.
type Worker struct {
	Slot     int        `json:"slot"`
	PID      int        `json:"pid"`
	State    string     `json:"state"` // forking, executing, running, ready, stopping, ending, killed
	Started  time.Time  `json:"started"`
	Ready    *time.Time `json:"ready,omitempty"`
	Activity string     `json:"activity,omitempty"` // busy, idle; empty: unknown
	Requests *int64     `json:"requests,omitempty"` // counted on the scoreboard
	Memory   int64      `json:"memory,omitempty"`   // resident; 0: unknown
	Message  string     `json:"message,omitempty"`  // its last STATUS=, sd_notify(3)
}

// Listener is a socket that workers are handed.
type Listener struct {
	Key     string `json:"key"` // its name in SERVER_STARTER_PORT
	Network string `json:"network"`
	Address string `json:"address"`
	FD      int    `json:"fd"`      // the worker's
	Queue   int    `json:"queue"`   // connections that wait to be accepted; udp: bytes
	Backlog int    `json:"backlog"` // that may wait; 0: unknown
}

// Swap is an attempt at a new generation. Of those that are tried again each is
// one by itself.
type Swap struct {
	Generation int             `json:"generation"`
	Ticket     int             `json:"ticket"`  // of the request
	Trigger    string          `json:"trigger"` // start, signal, control, watch, clock, loss
	Began      time.Time       `json:"began"`
	Ended      *time.Time      `json:"ended,omitempty"` // when the outcome was known
	Seconds    float64         `json:"seconds"`         // from one to the other, or until now
	Outcome    string          `json:"outcome"`         // pending, ready, failed, refused, stopped
	Reason     string          `json:"reason,omitempty"`
	Slot       *int            `json:"slot,omitempty"`        // of the worker whose end it was
	ExitStatus *int            `json:"exit_status,omitempty"` // that worker's
	Signal     string          `json:"signal,omitempty"`      // or the signal that ended it
	Stderr     []string        `json:"stderr,omitempty"`      // its last lines, where stderr-lines is set
	Lines      func() []string `json:"-"`                     // where Stderr is to come from
	Variables  *Variables      `json:"variables,omitempty"`   // against the generation that served
}

// Variables are the names of those in which two environments differ.
type Variables struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
}

// Outcome is what became of a request for a swap. Failed is final only with
// Final set: else initd tries again.
type Outcome struct {
	Ticket     int     `json:"ticket"`
	Outcome    string  `json:"outcome"` // begun, failed, ready, refused, superseded, stopped
	Final      bool    `json:"final"`
	Generation int     `json:"generation,omitempty"`
	Reason     string  `json:"reason,omitempty"`
	By         int     `json:"by,omitempty"`   // superseded: the ticket that has taken its place
	Next       float64 `json:"next,omitempty"` // failed: seconds to the next attempt
}

// Counters only grow.
type Counters struct {
	Swaps        map[string]int64 `json:"swaps"`        // by outcome: ready, failed, refused, stopped
	SwapSeconds  float64          `json:"swap_seconds"` // all that became ready took
	Started      int64            `json:"started"`      // workers
	Exited       int64            `json:"exited"`       // workers that were asked to
	Died         int64            `json:"died"`         // workers that ended by themselves
	Killed       int64            `json:"killed"`
	Recycled     int64            `json:"recycled"`
	Orphans      int64            `json:"orphans"`  // reaped
	Requests     int64            `json:"requests"` // served by workers, as far as they count them
	Relistened   int64            `json:"relistened"`
	HooksFailed  int64            `json:"hooks_failed"`
	Control      int64            `json:"control"`       // requests that were answered here
	LinesDropped int64            `json:"lines_dropped"` // of the log
}

// Environment is that of a generation.
type Environment struct {
	Generation int        `json:"generation"`
	Variables  []Variable `json:"variables"` // by name
}

// Variable has a value only where values were asked for by root.
type Variable struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"`
}

// Setting is one that is in force.
type Setting struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // as many as it has items; none: it is not set
	Source string   `json:"source"` // the variable or flag it came from, or default
}
