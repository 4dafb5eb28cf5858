package worker_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/worker"
)

// TestHandlers: a handler finds all that net/http gives it.
func TestHandlers(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	mux := http.NewServeMux()
	begun, gate := make(chan struct{}), make(chan struct{})
	wait := func() { begun <- struct{}{}; <-gate }
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { wait() })
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) {
		wait()
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/string", func(w http.ResponseWriter, r *http.Request) {
		wait()
		io.WriteString(w, "body")
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		wait()
		w.(http.Flusher).Flush()
		io.WriteString(w, "body")
	})
	mux.HandleFunc("/control", func(w http.ResponseWriter, r *http.Request) {
		wait()
		control := http.NewResponseController(w)
		if err := errors.Join(control.SetWriteDeadline(time.Now().Add(late)), control.Flush()); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/copy", func(w http.ResponseWriter, r *http.Request) {
		wait()
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("no sendfile(2)")
		}
		io.Copy(w, strings.NewReader("body"))
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		wait()
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "body")
	})
	s := serve(t, &http.Server{Handler: mux}, l)
	var clients []*client
	paths := []string{"/empty", "/header", "/string", "/flush", "/control", "/copy", "/hints"}
	for _, path := range paths {
		c := dial(t, l.Addr())
		c.sends(path)
		<-begun
		clients = append(clients, c)
	}
	s.stop()
	close(gate)
	for i, path := range paths {
		c := clients[i]
		if path == "/hints" {
			hints, err := textproto.NewReader(c.reader).ReadLine()
			header, err2 := textproto.NewReader(c.reader).ReadMIMEHeader()
			if err := errors.Join(err, err2); err != nil || hints != "HTTP/1.1 103 Early Hints" || header.Get("Connection") != "" {
				t.Errorf("%q, %v, %v", hints, header, err)
			}
		}
		if got := c.gets(true); got != "" && got != "body" {
			t.Errorf("%s: %q", path, got)
		}
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// TestHijack: a connection that a handler has taken is its own affair.
func TestHijack(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	hijacked := make(chan net.Conn, 1)
	s := serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- conn
	})}, l)
	c := dial(t, l.Addr())
	c.sends("/")
	conn := <-hijacked
	s.stop()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	fmt.Fprint(conn, "on and on")
	conn.Close()
	if rest, err := io.ReadAll(c.reader); err != nil || string(rest) != "on and on" {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestHooks: the server's own ConnState is called as ever, and for the last time before
// Serve returns.
func TestHooks(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	states := make(chan http.ConnState, 10)
	server := &http.Server{ConnState: func(_ net.Conn, state http.ConnState) { states <- state }}
	s := serve(t, server, l, worker.IdleGrace(time.Millisecond))
	c := dial(t, l.Addr())
	c.sends("/")
	c.gets(false)
	s.stop()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	close(states)
	var seen []http.ConnState
	for state := range states {
		seen = append(seen, state)
	}
	if want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed}; !slices.Equal(seen, want) {
		t.Errorf("%v, not %v", seen, want)
	}
}

// broken is a listener that fails at its second use.
type broken struct {
	net.Listener
	used bool
}

var errBroken = errors.New("broken")

func (b *broken) Accept() (net.Conn, error) {
	if b.used {
		return nil, errBroken
	}
	b.used = true
	return b.Listener.Accept()
}

// TestListenerFails: the others are drained all the same, and the error is told.
func TestListenerFails(t *testing.T) {
	one, other := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	s := serve(t, &http.Server{}, other, worker.On(&broken{Listener: one}), worker.IdleGrace(late))
	c := dial(t, other.Addr())
	c.sends("/slow")
	<-s.slow
	last := dial(t, one.Addr())
	s.receives("STOPPING=1")
	last.sends("/after")
	last.gets(true)
	close(s.gate)
	c.gets(true)
	if err := s.end(); !errors.Is(err, errBroken) || err.Error() != "serve: broken" {
		t.Error(err)
	}
}

func TestServeErrors(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	s := newSupervisor(t, abstract(t))
	t.Setenv("NOTIFY_SOCKET", abstract(t))
	err := worker.Serve(t.Context(), &http.Server{Addr: l.Addr().String()})
	if want := fmt.Sprintf("serve: listener %[1]s: listen tcp %[1]s: bind: address already in use", l.Addr()); err == nil || err.Error() != want || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v, not %s", err, want)
	}
	if err := worker.Serve(t.Context(), &http.Server{TLSConfig: &tls.Config{}}, worker.On(l)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a certificate: %v", err)
	}
	s.receives("STOPPING=1") // and it has never said READY=1
}
