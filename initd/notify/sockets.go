package notify

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// Sockets are the notification sockets of generations, one each, so that what a
// worker of one generation sends is never taken for another's. The methods are for
// one goroutine. A nil *Sockets is for a program whose workers are not to notify:
// it opens none.
type Sockets struct {
	receive func(Note)
	failed  func(error)
	open    map[int]*generationSocket
}

// Note is a message that came by the socket of a generation.
type Note struct {
	Generation int
	Message
}

type generationSocket struct {
	*Server
	closed atomic.Bool
}

// NewSockets returns sockets whose messages are passed to receive: those of one
// generation one after the other, by a goroutine of its own, which may wait in
// receive. If that goroutine panics, failed is called with the reason.
func NewSockets(receive func(Note), failed func(error)) *Sockets {
	return &Sockets{receive: receive, failed: failed, open: map[int]*generationSocket{}}
}

// Open opens the socket of a generation, and returns its address for
// NOTIFY_SOCKET.
func (s *Sockets) Open(generation int) (address string, err error) {
	if s == nil {
		return "", nil
	}
	server, err := Listen()
	if err != nil {
		return "", err
	}
	s.Close(generation)
	socket := &generationSocket{Server: server}
	s.open[generation] = socket
	go s.run(generation, socket)
	return server.Address(), nil
}

func (s *Sockets) run(generation int, socket *generationSocket) {
	defer func() {
		if p := recover(); p != nil {
			s.failed(fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	for {
		message, err := socket.Receive()
		if err != nil || socket.closed.Load() {
			return
		}
		s.receive(Note{generation, message})
	}
}

// Close closes the socket of a generation, if it has one. Receive is not called
// for it any more; a call that has begun may still wait for its turn, and then
// brings a note of a generation that has no worker left.
func (s *Sockets) Close(generation int) {
	if s == nil {
		return
	}
	if socket := s.open[generation]; socket != nil {
		socket.closed.Store(true)
		socket.Server.Close()
		delete(s.open, generation)
	}
}

// Supervisor is what initd itself was started by, and reports to. The zero
// Supervisor is none.
type Supervisor struct {
	Address string // the value of NOTIFY_SOCKET; empty: nobody listens
}

// Send sends a state as [Send] does.
func (s Supervisor) Send(state string) error { return Send(s.Address, state) }
