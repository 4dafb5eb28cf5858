package worker_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
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
	s.hears("READY=1")
	return s
}

// stop tells it to stop, and waits until it has begun to.
func (s *service) stop() {
	s.Helper()
	s.cancel()
	s.hears("STOPPING=1")
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
	if want := "serve: drain: requests were still under way after 1ms: context deadline exceeded"; err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
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
	request := func(path string) {
		t.Helper()
		response, err := (&http.Client{Transport: transport}).Post("https://"+l.Addr().String()+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || response.ProtoMajor != 2 {
			t.Fatalf("%s: %q, %v", response.Proto, body, err)
		}
	}
	request("/first")
	s.stop()
	request("/after")
	select {
	case <-gone:
	case <-time.After(late):
		t.Error("the connection was not left")
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
	s.hears("STOPPING=1")
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
	s.hears("STOPPING=1") // and it has never said READY=1
}

// TestServeInherited: a process serves what it inherits, in each tongue, or its own
// address; says so; and TERM, INT and QUIT have it answer what is on its way.
func TestServeInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	tcp, unix := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", path)
	udp := listenPacket(t, "udp", "127.0.0.1:0")
	free := listen(t, "tcp", "127.0.0.1:0")
	free.Close()
	handed := []string{"SERVER_STARTER_PORT=u=5;web=3;local=4"}
	for _, test := range []struct {
		name    string
		environ []string
		signal  syscall.Signal
		at      []net.Addr
	}{
		{"TERM", handed, syscall.SIGTERM, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"INT", handed, syscall.SIGINT, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"QUIT", handed, syscall.SIGQUIT, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"systemd", []string{"LISTEN_PID=self", "LISTEN_FDS=3"}, syscall.SIGTERM, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"alone", nil, syscall.SIGTERM, []net.Addr{free.Addr()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSupervisor(t, fmt.Sprintf("@worker-test-%d-%s", os.Getpid(), test.name))
			cmd := play(t, []*os.File{file(t, tcp), file(t, unix), file(t, udp)},
				append([]string{s.environ(), "ADDR=" + free.Addr().String()}, test.environ...), "serve")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			s.hears("READY=1")
			var clients []*client
			for _, address := range test.at {
				c := dial(t, address)
				c.sends("/")
				if got, want := c.gets(false), fmt.Sprint(cmd.Process.Pid); got != want {
					t.Errorf("%q answers, not %q", got, want)
				}
				clients = append(clients, c)
			}
			cmd.Process.Signal(test.signal)
			s.hears("STOPPING=1")
			if test.environ != nil {
				cmd.Process.Signal(test.signal) // initd stops, too
			}
			for _, c := range clients {
				c.sends("/")
				c.gets(true)
				c.ends()
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the path of the unix socket is gone: %v", err)
			}
		})
	}

	t.Run("a second signal alone", func(t *testing.T) {
		s := newSupervisor(t, fmt.Sprintf("@worker-test-%d-second", os.Getpid()))
		cmd := play(t, nil, []string{s.environ(), "ADDR=" + free.Addr().String()}, "serve")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.hears("READY=1")
		c := dial(t, free.Addr())
		c.sends("/")
		c.gets(false)
		cmd.Process.Signal(syscall.SIGINT)
		s.hears("STOPPING=1")
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
			t.Errorf("it ended with %v", cmd.ProcessState)
		}
	})

	t.Run("datagrams only", func(t *testing.T) {
		cmd := play(t, []*os.File{file(t, udp)}, []string{"SERVER_STARTER_PORT=53=3"}, "serve")
		var out strings.Builder
		cmd.Stderr = &out
		cmd.Run()
		if want := "serve: no listener is inherited, by SERVER_STARTER_PORT=\"53=3\"\n"; out.String() != want {
			t.Errorf("%q, not %q", out.String(), want)
		}
	})
}

// TestNoRequestLost: clients that never send a request twice have each of them answered
// while one server after the other takes the listener over.
func TestNoRequestLost(t *testing.T) {
	const servers, clients = 200, 4
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			l := listen(t, network, address)
			enough, answers := make(chan struct{}), make(chan string)
			var done sync.WaitGroup
			for range clients {
				done.Go(func() {
					for more := true; more; {
						more = talk(t, l.Addr(), answers, enough)
					}
				})
			}
			var running sync.WaitGroup
			stop := func() {}
			for number := range servers {
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, number) })}
				own := duplicate(t, l)
				ctx, cancel := context.WithCancel(t.Context())
				running.Go(func() {
					if err := worker.Serve(ctx, server, worker.On(own)); err != nil {
						t.Error(err)
					}
				})
				stop()
				stop = cancel
				for answer := ""; answer != fmt.Sprint(number); {
					select {
					case answer = <-answers:
						if answer == "" {
							t.FailNow()
						}
					case <-time.After(late):
						t.Fatalf("server %d never answers", number)
					}
				}
			}
			close(enough)
			done.Wait()
			stop()
			running.Wait()
		})
	}
}

// talk sends requests on one connection until it is told that there will be no further
// answer, or that there are enough of them. It reports whether to go on.
func talk(t *testing.T, to net.Addr, answers chan<- string, enough <-chan struct{}) bool {
	conn, err := net.Dial(to.Network(), to.String())
	if err != nil {
		t.Error(err)
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(late))
	reader := bufio.NewReader(conn)
	for {
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("a request is lost: %v", err)
			select {
			case answers <- "":
			case <-enough:
			}
			return false
		}
		body, _ := io.ReadAll(response.Body)
		select {
		case answers <- string(body):
		case <-enough:
			return false
		default: // nobody wants to know
		}
		if response.Close {
			return true
		}
	}
}

// duplicate is a listener for the same socket that does not make it block meanwhile.
func duplicate(t *testing.T, l net.Listener) (other net.Listener) {
	t.Helper()
	control(t, l.(syscall.Conn), func(fd int) {
		number, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		f := os.NewFile(number, "listener")
		defer f.Close()
		var err error
		if other, err = net.FileListener(f); err != nil {
			t.Fatal(err)
		}
	})
	return other
}
