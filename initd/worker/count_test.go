package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"server-starter/initd/scoreboard"
	"server-starter/initd/worker"
)

func TestHandler(t *testing.T) {
	s := join(t, "")
	handled := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.is(scoreboard.Busy, 1, int(r.ContentLength))
		switch r.URL.Path {
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/hijack":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		default:
			w.(io.ReaderFrom).ReadFrom(strings.NewReader(r.URL.Path))
			w.(http.Flusher).Flush()
		}
	})
	counted, over := worker.Handler(handled), make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { over <- struct{}{} }()
		counted.ServeHTTP(w, r)
	}))
	defer server.Close()
	s.is(scoreboard.Idle, 0, 0)
	for i, path := range []string{"/", "/panic", "/hijack", "/"} {
		c := dial(t, server.Listener.Addr())
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, i, strings.Repeat("x", i))
		io.Copy(io.Discard, c)
		<-over
		s.is(scoreboard.Idle, 0, i+1)
	}
}

// Serve counts each request once, whatever else is around its handler.
func TestServeCounts(t *testing.T) {
	s := join(t, "")
	type key struct{}
	in, out := make(chan any), make(chan bool)
	l := listen(t, "tcp", "127.0.0.1:0")
	served := serve(t, &http.Server{
		BaseContext: func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "mine") },
		Handler: worker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in <- r.Context().Value(key{})
			<-out
		})),
	}, l)
	s.is(scoreboard.Idle, 0, 0)
	one, other := dial(t, l.Addr()), dial(t, l.Addr())
	one.sends("/")
	if value := <-in; value != "mine" {
		t.Errorf("the server's own BaseContext has given %v", value)
	}
	s.is(scoreboard.Busy, 1, 0)
	other.sends("/")
	<-in
	s.is(scoreboard.Busy, 2, 0)
	close(out)
	one.gets(false)
	other.gets(false)
	s.becomes(scoreboard.Idle, 0, 2)
	served.ends()
}

func TestServeUncounted(t *testing.T) {
	s := join(t, "")
	l := listen(t, "tcp", "127.0.0.1:0")
	served := serve(t, &http.Server{Handler: http.NotFoundHandler()}, l, worker.Uncounted())
	c := dial(t, l.Addr())
	c.sends("/")
	if response, err := http.ReadResponse(c.reader, nil); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", response, err)
	}
	s.is(scoreboard.Absent, 0, 0)
	served.ends()
}

// ends stops it and waits for its end, at which it says nothing more.
func (s *service) ends() {
	s.Helper()
	s.stop()
	if err := s.end(); err != nil {
		s.Error(err)
	}
}

func TestLoop(t *testing.T) {
	s := join(t, "")
	super := newSupervisor(t, abstract(t))
	t.Setenv("NOTIFY_SOCKET", abstract(t))
	l := listen(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	begin := func(limit int) {
		ended = make(chan error, 1)
		go func() {
			ended <- worker.Loop(ctx, l, limit, func(conn net.Conn) { io.Copy(conn, conn) })
		}()
		super.receives("READY=1")
	}
	talk := func(before int) *client {
		c := dial(t, l.Addr())
		io.WriteString(c, "x")
		if b, err := c.reader.ReadByte(); err != nil || b != 'x' {
			t.Fatalf("%q, %v", b, err)
		}
		s.is(scoreboard.Busy, 1, before)
		return c
	}
	hangUp := func(c *client, finished int) {
		c.Conn.(*net.TCPConn).CloseWrite()
		c.ends()
		s.is(scoreboard.Idle, 0, finished)
	}
	begin(2)
	hangUp(talk(0), 1)
	hangUp(talk(1), 2)
	if err := <-ended; err != nil {
		t.Errorf("after its limit: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}

	l = listen(t, "tcp", "127.0.0.1:0")
	begin(0)
	c := talk(2)
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("told to stop it has left a connection: %v", err)
	default:
	}
	hangUp(c, 3)
	if err := <-ended; err != nil {
		t.Errorf("told to stop: %v", err)
	}

	l, ctx = listen(t, "tcp", "127.0.0.1:0"), t.Context()
	begin(0)
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("without its listener: %v", err)
	}
	if err := worker.Loop(ctx, starving{l, syscall.EMFILE}, 0, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after a want of files: %v", err)
	}
}

// starving is a listener that has no files left, for once.
type starving struct {
	net.Listener
	err error
}

var starved atomic.Bool

func (l starving) Accept() (net.Conn, error) {
	if starved.CompareAndSwap(false, true) {
		return nil, l.err
	}
	return l.Listener.Accept()
}
