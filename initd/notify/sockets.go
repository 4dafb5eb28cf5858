package notify

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// Sockets are the notification sockets of generations, one each, so that what a
// worker of one generation sends is never taken for another's. The methods are for
// one goroutine. A nil *Sockets is for a program whose workers are not to notify:
// it opens none.
type Sockets struct {
	receive func(Note)
	start   func(func())
	open    map[int]*generationSocket
}

// Note is a message that came by the socket of a generation.
type Note struct {
	Generation int
	Message
}

type generationSocket struct {
	*Server
	closed  atomic.Bool
	flushes chan chan<- struct{} // what to send to when all that has come was received
}

// most is how many datagrams a flush takes from a socket, where senders go on sending:
// more than wait in one anywhere (net.unix.max_dgram_qlen).
const most = 1024

// NewSockets returns sockets whose messages are passed to receive: those of one
// generation one after the other, by a goroutine of its own, which may wait in
// receive. Start starts a goroutine.
func NewSockets(receive func(Note), start func(func())) *Sockets {
	return &Sockets{receive: receive, start: start, open: map[int]*generationSocket{}}
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
	socket := &generationSocket{Server: server, flushes: make(chan chan<- struct{}, 1)}
	s.open[generation] = socket
	s.start(func() { s.run(generation, socket) })
	return server.Address(), nil
}

func (s *Sockets) run(generation int, socket *generationSocket) {
	defer socket.flushed()
	for {
		message, err := socket.Receive()
		switch {
		case socket.closed.Load():
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.flush(generation, socket)
		case err != nil:
			return
		default:
			s.receive(Note{generation, message})
		}
	}
}

// flush receives all that has come.
func (s *Sockets) flush(generation int, socket *generationSocket) {
	for range most {
		message, known, err := socket.arrived()
		if err != nil || socket.closed.Load() {
			break
		}
		if known {
			s.receive(Note{generation, message})
		}
	}
	socket.flushed()
}

// flushed lets go who waits for it.
func (g *generationSocket) flushed() {
	select {
	case done := <-g.flushes:
		done <- struct{}{}
	default:
	}
}

// Flush has all that has come to the sockets by now received. What it returns waits
// until receive has returned for all of that, or the limit is over, and is for any
// goroutine.
func (s *Sockets) Flush() (wait func(limit time.Duration)) {
	if s == nil {
		return func(time.Duration) {}
	}
	done, n := make(chan struct{}, len(s.open)), 0
	for _, socket := range s.open {
		select {
		case socket.flushes <- done:
			n++
			socket.Interrupt()
		default: // the last flush has not got to it yet
		}
	}
	return func(limit time.Duration) {
		over := time.After(limit)
		for range n {
			select {
			case <-done:
			case <-over:
				return
			}
		}
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
