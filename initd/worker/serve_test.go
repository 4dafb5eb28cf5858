package worker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/worker"
)

// service is a Serve under way in this process.
type service struct {
	*testing.T
	*supervisor
	cancel context.CancelFunc
	served chan error
	gate   chan struct{} // lets a request for /slow go on
	slow   chan struct{} // tells that there is one
}

// handle answers with the path.
func (s *service) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		s.slow <- struct{}{}
		<-s.gate
	}
	fmt.Fprint(w, r.URL.Path)
}

// serve runs a server on a listener, and waits until it is ready.
func serve(t *testing.T, server *http.Server, l net.Listener, options ...worker.Option) *service {
	t.Helper()
	s := &service{
		T: t, supervisor: newSupervisor(t, abstract(t)), served: make(chan error, 1),
		gate: make(chan struct{}), slow: make(chan struct{}, 100),
	}
	t.Setenv("NOTIFY_SOCKET", abstract(t))
	if server.Handler == nil { // as net/http has it
		was := http.DefaultServeMux
		t.Cleanup(func() { http.DefaultServeMux = was })
		http.DefaultServeMux = http.NewServeMux()
		http.HandleFunc("/", s.handle)
	}
	server.ErrorLog = log.New(io.Discard, "", 0)
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	t.Cleanup(func() { server.Close() })
	go func() { s.served <- worker.Serve(ctx, server, append(options, worker.On(l))...) }()
	s.receives("READY=1")
	return s
}

// stop tells it to stop, and waits until it has begun to.
func (s *service) stop() {
	s.Helper()
	s.cancel()
	s.receives("STOPPING=1")
}

// end waits for the end of Serve.
func (s *service) end() error {
	s.Helper()
	select {
	case err := <-s.served:
		return err
	case <-time.After(late):
		s.Fatal("it serves on")
	}
	return nil
}

// certificate is one for example.com, and what a client has to know to accept it.
func certificate(t *testing.T) (server *tls.Config, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots, ServerName: "example.com"}
}

// protocols are what HTTP/1 comes over, each with a way to connect.
func protocols(t *testing.T, test func(t *testing.T, l net.Listener, server *http.Server, connect func() *client)) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			l := listen(t, strings.Replace(network, "tls", "tcp", 1), address)
			server := &http.Server{}
			connect := func() *client { return dial(t, l.Addr()) }
			if network == "tls" {
				var config *tls.Config
				server.TLSConfig, config = certificate(t)
				connect = func() *client { return newClient(t, tls.Client(dial(t, l.Addr()).Conn, config)) }
			}
			test(t, l, server, connect)
		})
	}
}

// TestDrain: what has been sent on a connection is answered, whatever the connection's
// state at the stop, and each answer says that it is the last.
func TestDrain(t *testing.T) {
	protocols(t, func(t *testing.T, l net.Listener, server *http.Server, connect func() *client) {
		s := serve(t, server, l, worker.IdleGrace(late))
		busy, idle, fresh := connect(), connect(), connect()
		idle.sends("/first")
		idle.gets(false)
		busy.sends("/first")
		busy.gets(false)
		busy.sends("/slow")
		<-s.slow
		if conn, ok := fresh.Conn.(*tls.Conn); ok {
			conn.Handshake()
		}
		// A queue is in order: when the last one is accepted, all are.
		last := connect()
		last.sends("/last")
		last.gets(false)
		s.stop()

		if conn, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
			conn.Close()
			t.Error("it still listens")
		}
		for _, c := range []*client{idle, fresh, last} {
			c.sends("/after")
			if got := c.gets(true); got != "/after" {
				t.Errorf("%q", got)
			}
			c.ends()
		}
		select {
		case err := <-s.served:
			t.Fatalf("it has not waited for the request under way: %v", err)
		default:
		}
		close(s.gate)
		if got := busy.gets(true); got != "/slow" {
			t.Errorf("%q", got)
		}
		busy.ends()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestIdleGrace: a connection that stays silent is closed, in good order.
func TestIdleGrace(t *testing.T) {
	defer func(was time.Duration) { *worker.NewGrace = was }(*worker.NewGrace)
	*worker.NewGrace = time.Millisecond
	protocols(t, func(t *testing.T, l net.Listener, server *http.Server, connect func() *client) {
		s := serve(t, server, l, worker.IdleGrace(time.Millisecond))
		idle, busy, fresh := connect(), connect(), connect()
		idle.sends("/first")
		idle.gets(false)
		busy.sends("/slow")
		<-s.slow
		s.stop()
		idle.ends()
		close(s.gate)
		busy.gets(true)
		busy.ends()
		if conn, ok := fresh.Conn.(*tls.Conn); ok {
			fresh.reader.Reset(conn.NetConn()) // it has not come to a handshake
		}
		fresh.ends()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestNewGrace: one that has just been made may take longer.
func TestNewGrace(t *testing.T) {
	defer func(was time.Duration) { *worker.NewGrace = was }(*worker.NewGrace)
	*worker.NewGrace = late
	l := listen(t, "tcp", "127.0.0.1:0")
	s := serve(t, &http.Server{}, l, worker.IdleGrace(time.Millisecond))
	fresh, idle := dial(t, l.Addr()), dial(t, l.Addr())
	idle.sends("/first")
	idle.gets(false)
	s.stop()
	idle.ends()
	fresh.sends("/first")
	fresh.gets(true)
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// TestDrainTimeout: what takes too long is cut off, and said.
func TestDrainTimeout(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	s := serve(t, &http.Server{}, l, worker.DrainTimeout(time.Millisecond))
	c := dial(t, l.Addr())
	c.sends("/slow")
	<-s.slow
	s.stop()
	err := s.end()
	if want := "serve: drain: requests were still in progress after 1ms: context deadline exceeded"; err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, not %s", err, want)
	}
	if _, err := http.ReadResponse(c.reader, nil); err == nil {
		t.Error("an answer has come")
	}
	close(s.gate)
}

// TestHTTP2: connections of HTTP/2 are told to go away, and finish what is under way.
func TestHTTP2(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	server := &http.Server{}
	var config *tls.Config
	server.TLSConfig, config = certificate(t)
	s := serve(t, server, l, worker.IdleGrace(late))
	request := func(client *http.Client, path string) error {
		response, err := client.Post("https://"+l.Addr().String()+path, "", nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if response.ProtoMajor != 2 || string(body) != path {
			err = errors.Join(err, fmt.Errorf("%s: %q", response.Proto, body))
		}
		return err
	}
	client := func() *http.Client {
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	idle, busy := client(), client()
	if err := request(idle, "/first"); err != nil {
		t.Fatal(err)
	}
	slow := make(chan error, 1)
	go func() { slow <- request(busy, "/slow") }()
	<-s.slow
	s.stop()
	// It is told nothing before the first answer, and takes further requests until then.
	close(s.gate)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if err := s.end(); err != nil { // long before the idle grace is over
		t.Error(err)
	}
	var refused net.Error
	if err := request(idle, "/after"); !errors.As(err, &refused) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the idle connection was not left: %v", err)
	}
}

// TestHTTP2GoAway: a connection of HTTP/2 that is kept busy learns from its next answer
// that it has to go.
func TestHTTP2GoAway(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	server := &http.Server{}
	var config *tls.Config
	server.TLSConfig, config = certificate(t)
	s := serve(t, server, l, worker.IdleGrace(late))
	// One of HTTP/1 keeps Serve from the Shutdown that would tell it in any case.
	old := newClient(t, tls.Client(dial(t, l.Addr()).Conn, config))
	old.sends("/slow")
	<-s.slow

	gone := make(chan struct{})
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &watched{conn, sync.OnceFunc(func() { close(gone) })}, err
	}
	defer transport.CloseIdleConnections()
	request := func(path string) error {
		t.Helper()
		response, err := (&http.Client{Transport: transport}).Post("https://"+l.Addr().String()+path, "", nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || response.ProtoMajor != 2 {
			t.Fatalf("%s: %q, %v", response.Proto, body, err)
		}
		return nil
	}
	if err := request("/first"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	// It leaves the connection, or asks the next time by another one, which is refused: net/http may keep a connection
	// open that was told to go, until Shutdown, if GOAWAY crosses with the end of the answer.
	for told := false; !told; {
		err := request("/after")
		if told = errors.Is(err, syscall.ECONNREFUSED); err != nil && !told {
			t.Fatal(err)
		}
		select {
		case <-gone:
			told = true
		case <-time.After(time.Second):
		}
	}
	close(s.gate)
	old.gets(true)
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// watched is a connection that tells of its end.
type watched struct {
	net.Conn
	ended func()
}

func (c *watched) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.ended()
	}
	return n, err
}
