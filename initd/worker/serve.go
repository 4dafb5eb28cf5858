package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// An Option is one of Serve's.
type Option func(*serving)

// On has Serve use these listeners instead of all the inherited ones.
func On(listeners ...net.Listener) Option {
	return func(s *serving) { s.listeners = append(s.listeners, listeners...) }
}

// DrainTimeout limits how long requests may take once the worker is being stopped; then
// the connections that are left are closed. The default is 0, no limit: initd has
// drain-timeout and stop-timeout for that, systemd TimeoutStopSec=.
func DrainTimeout(limit time.Duration) Option {
	return func(s *serving) { s.limit = limit }
}

// IdleGrace is how long a connection that is kept alive may stay idle once the worker
// is being stopped. The default is 1 s. It should be longer than a request needs to
// arrive, for one that arrives at a closed connection is lost. A worker takes at least
// that long to stop if a client keeps a connection that it does not use.
func IdleGrace(grace time.Duration) Option {
	return func(s *serving) { s.grace = grace }
}

// Uncounted makes Serve report nothing on the scoreboard, for a server that is not the
// worker's purpose; one of metrics, for instance.
func Uncounted() Option {
	return func(s *serving) { s.uncounted = true }
}

// serving is a Serve under way.
type serving struct {
	server    *http.Server
	tls       bool // as the server was given: net/http makes a TLSConfig of its own for HTTP/2
	listeners []net.Listener
	alone     bool // nothing is inherited
	limit     time.Duration
	grace     time.Duration
	uncounted bool
}

// Serve runs server until the worker is stopped, and drains it.
//
// It serves all inherited listeners, or listens on server.Addr if the process has
// inherited no socket; with TLS if server.TLSConfig is set. Once it accepts on all of
// them, it calls Ready. TERM, INT and QUIT stop it, each of which initd can be set to
// send, and so does the end of ctx. It returns nil when it has drained, and otherwise
// what went wrong.
//
// While it drains, what has been sent on any of its connections is answered:
//
//   - Requests under way are finished, however long they take, and each answer that
//     begins now has Connection: close.
//   - A connection that is kept alive and idle still gets an answer to its next
//     request. If none comes for a while (see [IdleGrace]) it is closed. One that has
//     just been made has 5 s, for it may take its time with TLS. What HTTP/1.1 cannot
//     prevent is that a request crosses with the end of a connection that has been
//     idle until then; clients may send that again (RFC 9112, section 9.3.1).
//   - HTTP/2 connections get a GOAWAY, and are closed when their requests are done.
//
// Further signals change nothing, so that a worker that was stopped by a swap still
// drains when initd itself is stopped; but if nothing was inherited, a second one ends
// the process at once.
//
// Hijacked connections, WebSockets for one, are not waited for. A handler that would
// go on for ever has to watch for the end itself: give Serve a ctx of
// [signal.NotifyContext] and let such handlers see it too. What was registered by
// server.RegisterOnShutdown is called only when all requests of HTTP/1 are done.
//
// If there is a scoreboard, Serve reports on it: the worker is idle once it accepts, and
// busy while a request is handled (see [Request], and [Uncounted]).
//
// Serve takes server over: it changes its Handler, its ConnState and its BaseContext,
// which are all still called.
func Serve(ctx context.Context, server *http.Server, options ...Option) error {
	s := &serving{server: server, tls: server.TLSConfig != nil, grace: time.Second}
	for _, option := range options {
		option(s)
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer release()
	if err := s.listen(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if !s.uncounted {
		counted(server)
	}
	drain := newDrain(server, s.grace)

	served := make(chan error, len(s.listeners))
	var silent atomic.Int32 // listeners on which nobody accepts yet
	silent.Add(int32(len(s.listeners)))
	accepting := func() {
		if silent.Add(-1) == 0 {
			s.report(Ready())
		}
	}
	for _, l := range s.listeners {
		go func() { served <- s.serve(&observed{l, sync.OnceFunc(accepting)}) }()
	}

	var failure error
	running := len(s.listeners)
	select {
	case failure = <-served:
		running--
	case <-ctx.Done():
	}
	if s.alone {
		release()
	}
	drain.begin()
	// These are the process's own copies. The sockets, with the connections that wait in
	// them, stay with whoever else holds them.
	for _, l := range s.listeners {
		l.Close()
	}
	for range running {
		<-served // from here on no connection is added
	}
	s.report(Stopping())
	if err := errors.Join(failure, drain.end(s.limit)); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// listen finds the listeners.
func (s *serving) listen() error {
	in, err := inherited()
	if err != nil {
		return err
	}
	s.alone = len(in.sockets) == 0
	if len(s.listeners) > 0 {
		return nil
	}
	for _, socket := range in.sockets {
		if socket.listener != nil {
			s.listeners = append(s.listeners, socket.listener)
		}
	}
	switch {
	case len(s.listeners) > 0:
		return nil
	case !s.alone:
		return errors.New("no inherited listener (" + in.source + ")")
	}
	service := ":http"
	if s.tls {
		service = ":https"
	}
	l, err := Listener(cmp.Or(s.server.Addr, service))
	s.listeners = []net.Listener{l}
	return err
}

func (s *serving) serve(l net.Listener) error {
	if s.tls {
		return s.server.ServeTLS(l, "", "")
	}
	return s.server.Serve(l)
}

// report logs what went wrong without being worth an end.
func (s *serving) report(err error) {
	switch {
	case err == nil:
	case s.server.ErrorLog != nil:
		s.server.ErrorLog.Print(err)
	default:
		log.Print(err)
	}
}

// observed is a listener that calls accepting before each Accept.
type observed struct {
	net.Listener
	accepting func()
}

func (l *observed) Accept() (net.Conn, error) {
	l.accepting()
	return l.Listener.Accept()
}
