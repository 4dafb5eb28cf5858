package worker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A drain empties a server of its connections.
//
// http.Server.Shutdown would close the idle ones at once, with whatever request is
// on its way to them, and drop a request that was being read when it was called
// (go.dev/issue/75591); SetKeepAlivesEnabled(false) does the former, too. So this
// keeps its own record of the connections of HTTP/1, answers with Connection: close,
// after which clients disconnect, and hangs up only on those that stay silent. Shutdown
// comes when they are gone; it is safe for HTTP/2, where a client learns which
// requests were received (GOAWAY; RFC 9113, section 6.8).
type drain struct {
	server   *http.Server
	handler  http.Handler
	grace    time.Duration
	stopping atomic.Bool

	mu     sync.Mutex
	open   map[net.Conn]*connection // those of HTTP/1
	sealed bool                     // nothing is added to them any more
	empty  chan struct{}            // closed when none is left then
}

// connection is what is known of a connection.
type connection struct {
	silent time.Time     // since when no request is under way; zero while one is
	least  time.Duration // how long it may be silent in any case: newGrace before the first
}

// newGrace is how long a connection may take to send its first request, the
// handshake of TLS included, as in net/http (go.dev/issue/22682). Tests shorten it.
var newGrace = 5 * time.Second

// newDrain puts itself between server and its handler.
func newDrain(server *http.Server, grace time.Duration) *drain {
	d := &drain{
		server: server, handler: server.Handler, grace: grace,
		open: make(map[net.Conn]*connection), empty: make(chan struct{}),
	}
	if d.handler == nil {
		d.handler = http.DefaultServeMux
	}
	server.Handler = d
	hook := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if hook != nil {
			hook(conn, state)
		}
		d.note(conn, state) // after which end may return
	}
	return d
}

// begin adds to all answers from now on that the connection will be closed.
func (d *drain) begin() { d.stopping.Store(true) }

// end returns when no connection is left. No new one may be accepted any more.
// Connections that are left after limit, unless it is 0, are closed.
func (d *drain) end(limit time.Duration) error {
	ctx := context.Background()
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	d.mu.Lock()
	d.sealed = true
	for conn, c := range d.open {
		d.await(conn, c)
	}
	d.checkEmpty()
	d.mu.Unlock()

	select {
	case <-d.empty:
		if err := d.server.Shutdown(ctx); err == nil || ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}
	d.server.Close()
	return fmt.Errorf("drain: requests were still in progress after %v: %w", limit, ctx.Err())
}

// note is the server's ConnState.
func (d *drain) note(conn net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.open[conn]
	switch {
	case state == http.StateNew:
		c = &connection{silent: time.Now(), least: newGrace}
		d.open[conn] = c
		d.await(conn, c)
	case c == nil: // of HTTP/2
	case state == http.StateActive:
		if c.least > 0 && isHTTP2(conn) { // this is its first state
			d.remove(conn)
		}
		c.silent, c.least = time.Time{}, 0
	case state == http.StateIdle:
		c.silent = time.Now()
		d.await(conn, c)
	default: // closed or hijacked
		c.silent = time.Time{}
		d.remove(conn)
	}
}

// await hangs up on conn if it stays silent for long enough.
func (d *drain) await(conn net.Conn, c *connection) {
	if !d.sealed || c.silent.IsZero() {
		return
	}
	// Whatever was before, it has the whole grace from now on.
	since, wait := c.silent, max(d.grace, c.least-time.Since(c.silent))
	time.AfterFunc(wait, func() {
		d.mu.Lock()
		still := c.silent.Equal(since)
		d.mu.Unlock()
		if still {
			hangUp(conn)
		}
	})
}

func (d *drain) remove(conn net.Conn) {
	delete(d.open, conn)
	d.checkEmpty()
}

func (d *drain) checkEmpty() {
	if d.sealed && len(d.open) == 0 {
		select {
		case <-d.empty:
		default:
			close(d.empty)
		}
	}
}

// isHTTP2 asks a connection on which something has been received. Without TLS one of
// HTTP/2 is taken for one of HTTP/1: it gets a GOAWAY with its next answer, and is
// closed if there is none.
func isHTTP2(conn net.Conn) bool {
	t, ok := conn.(*tls.Conn)
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

// hangUp ends a silent connection by its end of file: a request that has come in
// meanwhile is still read before that, and answered, where Close would throw it away.
func hangUp(conn net.Conn) {
	inner := conn
	if t, ok := conn.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	if half, ok := inner.(interface{ CloseRead() error }); ok && half.CloseRead() == nil {
		return
	}
	conn.Close()
}

// ServeHTTP handles a request, and adds Connection: close to its answer if that begins
// after the drain.
func (d *drain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if inner, ok := w.(writer); ok {
		a := &answer{inner, &d.stopping}
		d.handler.ServeHTTP(a, r)
		a.begin() // of an answer without a body
		return
	}
	if d.stopping.Load() {
		w.Header().Set("Connection", "close") // for HTTP/2 net/http makes a GOAWAY of it
	}
	d.handler.ServeHTTP(w, r)
}

// writer is what net/http gives to a handler for HTTP/1.
type writer interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	FlushError() error
}

// answer is that writer. All that makes it send the header is here.
type answer struct {
	writer
	stopping *atomic.Bool
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.writer }

func (a *answer) begin() {
	if a.stopping.Load() {
		a.Header().Set("Connection", "close")
	}
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 { // neither hints (103) nor another protocol (101)
		a.begin()
	}
	a.writer.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin()
	return a.writer.Write(p)
}

func (a *answer) WriteString(s string) (int, error) {
	a.begin()
	return a.writer.WriteString(s)
}

func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begin()
	return a.writer.ReadFrom(r)
}

func (a *answer) Flush() {
	a.begin()
	a.writer.Flush()
}

func (a *answer) FlushError() error {
	a.begin()
	return a.writer.FlushError()
}
