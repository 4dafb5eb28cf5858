package control

import (
	"encoding/json"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds on what clients can use up.
const (
	maxConnections = 16               // at a time; a new one takes the place of the one that has been idle the longest
	maxWaiting     = 12               // of these that wait for events or outcomes, so that others can still ask
	idleLimit      = 30 * time.Second // for a request, of a client that waits for nothing
	silenceLimit   = time.Minute      // for a request, of the HTTP process
	silenceParts   = 3                // of that limit: what passes while a container is paused is one, however long
	writeLimit     = 5 * time.Second  // for a client to take an answer
	keptOutcomes   = 64               // the last that can be asked for
	keptEvents     = 256              // that a subscriber may lag behind
	maxEvent       = 4096             // bytes of one; a longer one is dropped and counted
	idleAfter      = time.Second / 4  // without a request, the server is idle
)

// A Sink takes what a Server has for the loop.
//
// Its functions are called by the server's goroutines, several at a time. They may
// wait until the loop takes what they are given, but no longer than until over is
// closed, which is when [Server.Close] is called. A panic in Call or Idle is reported
// as one of the server's own.
type Sink struct {
	Call   func(c Call, over <-chan struct{})    // a request that has to be answered
	Idle   func(over <-chan struct{})            // there were requests, and have been none for a while: what they took may be given back
	Defect func(err error, over <-chan struct{}) // a panic, with its stack; it has cost one client its connection
}

// A Call is a request that the loop has to answer, once.
type Call struct {
	Request
	Root   bool // the client is root and could read the environment of processes, too: proc_pid_environ(5)
	answer chan Answer
}

// NewCall returns a call and the channel on which its answer comes.
func NewCall(r Request, root bool) (Call, <-chan Answer) {
	answer := make(chan Answer, 1)
	return Call{r, root, answer}, answer
}

// Answer answers the call. It never waits.
func (c Call) Answer(a Answer) { c.answer <- a }

// Refuse answers the call with an error: a code, and a text for people.
func (c Call) Refuse(code, text string) { c.answer <- Answer{Error: text, Code: code} }

// A Server answers clients. Its methods may be called by any goroutine.
type Server struct {
	sink     Sink
	complete func(*Status)
	outcomes *journal[Outcome]
	report   report
	state    atomic.Int64 // grows with every change
	answered atomic.Int64
	over     chan struct{} // closed by Close: no call is answered any more
	closing  sync.Once

	mu          sync.Mutex
	connections []*connection             // those that count against the bound
	events      *journal[json.RawMessage] // nil: nobody subscribes
	subscribers atomic.Int32
	quiet       *time.Timer   // runs out when there has been no request for idleAfter
	empty       chan struct{} // closed when the last connection has ended; nil: nobody waits for that
	idling      atomic.Bool   // the loop has not taken the last Idle yet
}

// NewServer returns a server without clients. Complete adds to a status what takes
// time to find out; it is called by one goroutine at a time, and never by the loop.
func NewServer(sink Sink, complete func(*Status)) *Server {
	return &Server{
		sink: sink, complete: complete,
		over:     make(chan struct{}),
		outcomes: newJournal[Outcome](keptOutcomes),
	}
}

// Answered is the number of requests that have been answered.
func (s *Server) Answered() int64 { return s.answered.Load() }

// Close is called at the end, when the loop answers no more calls. Clients get the
// outcomes and events that were published before, and are disconnected: those that
// follow what is published by half, so that they know and can end first. It waits for
// that no longer than limit, which a client that does not read or stays uses up. It may
// be called again.
func (s *Server) Close(limit time.Duration) {
	s.mu.Lock()
	s.closing.Do(func() { close(s.over) }) // under the lock: see connection.endStream
	empty := make(chan struct{})
	if s.empty = empty; len(s.connections) == 0 {
		s.mu.Unlock()
		return
	}
	for _, c := range s.connections {
		c.SetReadDeadline(time.Unix(1, 0)) // long past: it ends the wait for a request
	}
	s.mu.Unlock()
	select {
	case <-empty:
	case <-time.After(limit):
	}
}

// closed reports whether no call is answered any more.
func (s *Server) closed() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// ask has the loop answer a request. The error is net.ErrClosed after Close.
func (s *Server) ask(r Request, root bool) (Answer, error) {
	if s.closed() {
		return Answer{}, net.ErrClosed
	}
	call, answer := NewCall(r, root)
	s.sink.Call(call, s.over)
	select {
	case a := <-answer:
		return a, nil
	case <-s.over:
	}
	select {
	case a := <-answer: // it was in time
		return a, nil
	default:
		return Answer{}, net.ErrClosed
	}
}

// active notes that a client has come, gone, or been sent something.
func (s *Server) active() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quiet == nil {
		s.quiet = time.AfterFunc(idleAfter, s.idle)
		return
	}
	s.quiet.Reset(idleAfter)
}

func (s *Server) idle() {
	defer s.recover(nil)
	if s.idling.CompareAndSwap(false, true) {
		defer s.idling.Store(false)
		s.sink.Idle(s.over)
	}
}

// recover reports the panic of a goroutine, if there is one, and then calls after. It
// is to be deferred.
func (s *Server) recover(after func()) {
	p := recover()
	if p == nil {
		return
	}
	if after != nil {
		defer after()
	}
	s.sink.Defect(fmt.Errorf("control socket: %v\n%s", p, debug.Stack()), s.over)
}
