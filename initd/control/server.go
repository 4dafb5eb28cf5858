package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The bounds that keep clients from being a burden.
const (
	maxConnections = 16               // at a time; the one that has been silent the longest makes room
	maxWaiting     = 12               // of these that wait for what happens: others get in to ask, and go
	idleLimit      = 30 * time.Second // for a request, of a client that waits for nothing
	writeLimit     = 5 * time.Second  // for a client to take an answer
	keptOutcomes   = 64               // the last that can be asked for
	keptEvents     = 256              // that a subscriber may lag behind
	maxEvent       = 4096             // bytes of one; a longer one is told of as missed
	calmAfter      = time.Second / 4  // without a request
)

// A Call is a request that waits for whoever decides. It has to be answered, once.
type Call struct {
	Request
	Root   bool // the client is root
	answer chan Answer
}

// NewCall returns a call and where its answer will be.
func NewCall(r Request, root bool) (Call, <-chan Answer) {
	answer := make(chan Answer, 1)
	return Call{r, root, answer}, answer
}

// Answer answers the call. It never waits.
func (c Call) Answer(a Answer) { c.answer <- a }

// Refuse answers the call with what is wrong.
func (c Call) Refuse(code, text string) { c.answer <- Answer{Error: text, Code: code} }

// A Server speaks to clients. Its methods are for any goroutine.
type Server struct {
	calls    chan Call
	calm     chan struct{}
	complete func(*Status)
	warn     func(text string)
	outcomes *journal[Outcome]
	report   report
	state    atomic.Int64 // grows with all that happens
	answered atomic.Int64
	over     chan struct{} // closed when no call is answered any more

	mu          sync.Mutex
	connections []*connection // those that count against the bound
	events      *journal[json.RawMessage]
	subscribers atomic.Int32
	quiet       *time.Timer   // runs out when there has been no request for a while
	left        chan struct{} // closed when the last client has gone; nil: nobody waits
}

// NewServer returns a server without clients. What is asked of initd comes by
// [Server.Calls]. Complete adds to a status what may take its time; it is called
// by one goroutine at a time, and not by the one that answers calls. Warn is told
// of defects, which cost one client its connection and no more.
func NewServer(complete func(*Status), warn func(text string)) *Server {
	return &Server{
		calls: make(chan Call), calm: make(chan struct{}, 1), complete: complete, warn: warn,
		over:     make(chan struct{}),
		outcomes: newJournal[Outcome](keptOutcomes),
	}
}

// Calls are the requests that are to be answered.
func (s *Server) Calls() <-chan Call { return s.calls }

// Calm tells when clients have asked for something and no more does for a while:
// what that took may be given back.
func (s *Server) Calm() <-chan struct{} { return s.calm }

// Answered is how many requests have been.
func (s *Server) Answered() int64 { return s.answered.Load() }

// Tell lets those know who wait for the outcome of a swap.
func (s *Server) Tell(o Outcome) { s.outcomes.add(o) }

// Subscribed reports whether somebody wants to know of events.
func (s *Server) Subscribed() bool { return s.subscribers.Load() > 0 }

// Publish tells the subscribers of an event, a JSON object, which is copied. It
// never waits.
func (s *Server) Publish(event []byte) {
	if !s.Subscribed() {
		return
	}
	s.mu.Lock()
	events := s.events
	s.mu.Unlock()
	if events == nil {
		return
	}
	line := bytes.NewBuffer(make([]byte, 0, min(len(event), maxEvent)))
	if len(event) > maxEvent || json.Compact(line, event) != nil {
		events.add(missedEvents(1))
		return
	}
	events.add(line.Bytes())
}

// missedEvents is the event that stands for some that a subscriber is not told.
func missedEvents(n int64) json.RawMessage {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"%d events are not told: they came too fast for this client, or are too long","event":"missed","count":%d}`,
		time.Now().UTC().Format(time.RFC3339Nano), n, n)
}

// Accept serves the clients that come to a unix socket until it is closed: those
// of root and of the user that initd runs as.
func (s *Server) Accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // there are no descriptors left, say
			time.Sleep(time.Second)
			continue
		}
		c := &connection{Conn: conn, server: s, since: time.Now(), idle: true}
		_, uid, err := Peer(conn)
		if err != nil || uid != 0 && uid != os.Geteuid() {
			c.write(Answer{Code: Forbidden, Error: fmt.Sprintf("uid %d may not steer initd: only root and uid %d may", uid, os.Geteuid())})
			conn.Close()
			continue
		}
		c.root = uid == 0
		if !s.admit(c) {
			c.write(Answer{Code: Busy, Error: fmt.Sprintf("%d clients are being answered, and there is no room for more", maxConnections)})
			conn.Close()
			continue
		}
		go c.serve()
	}
}

// Close is for the end, when nobody answers calls any more: clients are told what
// they are still to be told, and let go. That takes no longer than the limit, which
// one that does not read what it is sent uses up.
func (s *Server) Close(limit time.Duration) {
	close(s.over)
	s.mu.Lock()
	left := make(chan struct{})
	if s.left = left; len(s.connections) == 0 {
		s.mu.Unlock()
		return
	}
	for _, c := range s.connections {
		c.SetReadDeadline(time.Unix(1, 0)) // long past: it ends the wait for a request
	}
	s.mu.Unlock()
	select {
	case <-left:
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

// ask has a request answered by whoever decides.
func (s *Server) ask(r Request, root bool) (Answer, error) {
	call, answer := NewCall(r, root)
	select {
	case s.calls <- call:
	case <-s.over:
		return Answer{}, net.ErrClosed
	}
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

// Serve serves one client that may look and may not touch: it has no limits of
// time, and does not count against the bound.
func (s *Server) Serve(conn net.Conn) {
	c := &connection{Conn: conn, server: s, looks: true}
	c.serve()
}

// admit lets a client in. Where there would be too many, those go that have hung
// up, or else the one that has been silent the longest.
func (s *Server) admit(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.connections) >= maxConnections {
		var silent *connection
		for _, other := range slices.Clone(s.connections) {
			switch {
			case other.hungUp():
				s.end(other)
			case other.idle && (silent == nil || other.since.Before(silent.since)):
				silent = other
			}
		}
		if len(s.connections) >= maxConnections && silent != nil {
			s.end(silent)
		}
	}
	if len(s.connections) >= maxConnections {
		return false
	}
	s.connections = append(s.connections, c)
	return true
}

// end ends a connection, which counts no more from then on.
func (s *Server) end(c *connection) {
	c.ended = true
	c.Close()
	s.connections = slices.DeleteFunc(s.connections, func(other *connection) bool { return other == c })
	if len(s.connections) == 0 && s.left != nil {
		close(s.left)
		s.left = nil
	}
}

// subscribe is for one who reads the events, of which a journal is kept until he
// leaves.
func (s *Server) subscribe() (events *journal[json.RawMessage], leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		s.events = newJournal[json.RawMessage](keptEvents)
	}
	s.subscribers.Add(1)
	return s.events, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.subscribers.Add(-1) == 0 {
			s.events = nil
		}
	}
}

// stir has it noticed when no client has had anything, nor come or gone, for a
// while.
func (s *Server) stir() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quiet != nil {
		s.quiet.Reset(calmAfter)
		return
	}
	s.quiet = time.AfterFunc(calmAfter, func() {
		select {
		case s.calm <- struct{}{}:
		default:
		}
	})
}

// connection is a client.
type connection struct {
	net.Conn
	server *Server
	root   bool
	looks  bool      // it may look, not touch
	idle   bool      // it is to say something; the server's mutex
	since  time.Time // when it became idle; the server's mutex
	waits  bool      // it is told of what happens; the server's mutex
	ended  bool      // the server's mutex
}

// hungUp reports whether nobody is at the other end any more; poll(2), POLLHUP.
// Of one that only says no more, as nc -N does, it is not so.
func (c *connection) hungUp() (gone bool) {
	control(c.Conn, func(fd int) error {
		gone = hungUp(fd)
		return nil
	})
	return gone
}

func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, _ := unix.Poll(fds, 0)
	return n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

func (c *connection) serve() {
	s := c.server
	defer func() {
		if p := recover(); p != nil {
			s.warn(fmt.Sprintf("control socket: %v\n%s", p, debug.Stack()))
			c.write(Answer{Code: Defect, Error: "initd could not answer because of a defect; its log says more"})
		}
		s.stir()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(c)
	}()
	lines := bufio.NewReaderSize(c, MaxRequest)
	for {
		if !c.looks {
			c.SetReadDeadline(time.Now().Add(idleLimit))
		}
		if s.closed() { // after the limit is set, for Close sets another
			return
		}
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if c.write(Answer{Code: BadRequest, Error: fmt.Sprintf("a request is a line of at most %d bytes", MaxRequest)}) != nil {
				return
			}
			// Who is hung up on while he speaks may not hear what was said.
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = lines.ReadSlice('\n')
			}
			s.answered.Add(1)
			if err != nil {
				return
			}
			continue
		}
		if err != nil && (err != io.EOF || len(line) == 0) { // the last line needs no newline
			return
		}
		if !c.wait(false) { // it had to make room, and could not be told what came of it
			return
		}
		r, err := Parse(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			err = c.write(Answer{ID: r.ID, Code: BadRequest, Error: err.Error()})
		} else {
			err = c.answer(r)
		}
		s.answered.Add(1)
		if err != nil {
			return
		}
		c.wait(true)
	}
}

// wait says whether the client is to say something, and reports whether it is
// still there, as far as that is initd's choice.
func (c *connection) wait(idle bool) bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.idle, c.waits, c.since = idle, false, time.Now()
	return !c.ended
}

// answer answers a request in full. An error ends the connection.
func (c *connection) answer(r Request) error {
	if c.looks && r.Request != AskHealth && r.Request != AskStatus && r.Request != AskSettings {
		return c.write(Answer{ID: r.ID, Code: Forbidden, Error: r.Request + " is not for this connection, which is to look and not to touch"})
	}
	if r.waits() && !c.mayWait() {
		return c.write(Answer{ID: r.ID, Code: Busy, Error: fmt.Sprintf("%d clients wait for something, and no more may", maxWaiting)})
	}
	if r.Request == AskSubscribe {
		return c.follow(func(gone <-chan struct{}) error { return c.events(r, gone) })
	}
	if r.Request == AskStatus {
		text, err := c.server.status()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			return c.write(Answer{ID: r.ID, Code: Defect, Error: err.Error()})
		}
		return c.pass(r.ID, AskStatus, text)
	}
	a, err := c.server.ask(r, c.root)
	if err != nil {
		return err
	}
	a.ID = r.ID
	switch {
	case a.Error != "":
		a.Answer = ""
	case r.Request == AskAwait:
		a.Answer, a.Ticket = r.Request, r.Ticket
	default:
		a.Answer = r.Request
	}
	if err := c.write(a); err != nil || a.Error != "" || !r.waits() {
		return err
	}
	return c.follow(func(gone <-chan struct{}) error { return c.await(r, a.Ticket, gone) })
}

// mayWait reports whether one more client may wait for what happens, and has it
// counted. Those that have hung up do not count.
func (c *connection) mayWait() bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := 0
	for _, other := range slices.Clone(s.connections) {
		switch {
		case !other.waits:
		case other.hungUp():
			s.end(other)
		default:
			waiting++
		}
	}
	c.waits = waiting < maxWaiting
	return c.waits
}

// follow tells a client of what comes, for as long as it is there. What it says
// meanwhile is for later.
func (c *connection) follow(tell func(gone <-chan struct{}) error) error {
	gone, watched := make(chan struct{}), make(chan struct{})
	c.SetReadDeadline(time.Time{})
	go func() {
		defer close(watched)
		if !errors.Is(c.untilHungUp(), os.ErrDeadlineExceeded) {
			close(gone)
		}
	}()
	err := tell(gone)
	c.SetReadDeadline(time.Unix(1, 0)) // long past: it ends the wait
	<-watched
	return err
}

// untilHungUp waits until nobody is at the other end any more. It takes nothing
// of what the client says: a hang-up is seen behind that, too, and of a client
// that only says no more. An error is that of the read deadline, or that the
// connection has been closed on this side.
func (c *connection) untilHungUp() error {
	raw, err := c.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) })
}

// await tells the outcomes of a ticket, up to the final one.
func (c *connection) await(r Request, ticket int, gone <-chan struct{}) error {
	forgotten, newest, last := false, 0, false
	for next := int64(0); ; {
		outcomes, missed, more := c.server.outcomes.from(next, 1)
		next += missed + int64(len(outcomes))
		forgotten = forgotten || missed > 0
		for _, o := range outcomes {
			newest = max(newest, o.Ticket)
			if o.Ticket != ticket {
				continue
			}
			if err := c.write(Answer{ID: r.ID, Answer: "outcome", Outcome: &o}); err != nil || o.Final {
				return err
			}
		}
		if len(outcomes) > 0 {
			continue
		}
		if forgotten && newest > ticket { // a ticket begins when the one before is over
			return c.write(Answer{ID: r.ID, Code: NotFound, Error: fmt.Sprintf("ticket %d is over, and its outcome is no longer kept", ticket)})
		}
		if last {
			return net.ErrClosed
		}
		var err error
		if last, err = c.pause(more, gone); err != nil {
			return err
		}
	}
}

// events tells of what happens from now on.
func (c *connection) events(r Request, gone <-chan struct{}) error {
	events, leave := c.server.subscribe()
	defer leave()
	next := events.end()
	if err := c.write(Answer{ID: r.ID, Answer: AskSubscribe}); err != nil {
		return err
	}
	for last := false; ; {
		batch, missed, more := events.from(next, 16)
		next += missed + int64(len(batch))
		if missed > 0 {
			if err := c.write(Answer{ID: r.ID, Answer: "event", Event: missedEvents(missed)}); err != nil {
				return err
			}
		}
		for _, event := range batch {
			if err := c.pass(r.ID, "event", event); err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			continue
		}
		if last {
			return net.ErrClosed
		}
		var err error
		if last, err = c.pause(more, gone); err != nil {
			return err
		}
	}
}

// pause waits until a journal has more for a client that is there. Last says that
// nothing more is to come than what has come by then.
func (c *connection) pause(more, gone <-chan struct{}) (last bool, err error) {
	select {
	case <-more:
		return false, nil
	case <-gone:
		return false, io.ErrUnexpectedEOF
	case <-c.server.over:
		return true, nil
	}
}

// write sends a line. A client that does not take it in time is given up.
func (c *connection) write(a Answer) error {
	a.Version = Version
	if a.Answer == "" {
		a.Answer = "error"
	}
	line, err := json.Marshal(a)
	if err != nil { // a number that JSON cannot write, say
		line, _ = json.Marshal(Answer{Version: Version, ID: a.ID, Answer: "error", Code: Defect, Error: err.Error()})
	}
	return c.send(append(line, '\n'))
}

// pass sends an answer that is JSON already, in the field of its own name. Many may
// be sent the same, and nobody copies it.
func (c *connection) pass(id int64, answer string, text []byte) error {
	head := fmt.Appendf(nil, `{"version":%d,`, Version)
	if id != 0 {
		head = fmt.Appendf(head, `"id":%d,`, id)
	}
	return c.send(fmt.Appendf(head, `"answer":%q,%q:`, answer, answer), text, []byte("}\n"))
}

func (c *connection) send(parts ...[]byte) error {
	c.server.stir()
	c.SetWriteDeadline(time.Now().Add(writeLimit))
	line := net.Buffers(parts)
	_, err := line.WriteTo(c.Conn)
	return err
}
