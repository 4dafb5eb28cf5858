package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/control"
)

// says is an initd that always says the same.
func says(s control.Status) func(context.Context, control.Request) (control.Answer, error) {
	return func(_ context.Context, r control.Request) (control.Answer, error) {
		if r.Request == control.AskHealth {
			return control.Answer{Health: &s.Health}, nil
		}
		return control.Answer{Status: &s}, nil
	}
}

func fetch(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip, br")
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestChecks(t *testing.T) {
	healthy := control.Health{Live: true, Ready: true, Started: true, State: "ready", Generation: 3}
	for _, test := range []struct {
		name   string
		health control.Health
		path   string
		code   int
		body   string
	}{
		{"live", healthy, "/livez", 200, "ok\n"},
		{"ready", healthy, "/readyz", 200, "ok\n"},
		{"started", healthy, "/startupz", 200, "ok\n"},
		{"through a swap", control.Health{Live: true, Ready: true, Started: true, State: "reloading", Generation: 3}, "/readyz", 200, "ok\n"},
		{"flapping", control.Health{Live: true, Ready: true, Started: true, State: "ready", Generation: 3, Reason: "two\nare lost", Flapping: &control.Flapping{}}, "/readyz", 200, "ok, but two are lost\n"},
		{"flapping, live", control.Health{Live: true, Ready: true, Started: true, State: "ready", Generation: 3, Reason: "two are lost", Flapping: &control.Flapping{}}, "/livez", 200, "ok\n"},
		{"not yet, live", control.Health{Live: true, State: "not-ready"}, "/livez", 200, "ok\n"},
		{"not yet, ready", control.Health{Live: true, State: "not-ready", Reason: "generation 1 is starting"}, "/readyz", 503, "not ready: generation 1 is starting\n"},
		{"not yet, started", control.Health{Live: true, State: "not-ready"}, "/startupz", 503, "not started: no generation has been ready yet\n"},
		{"not yet, started, once", control.Health{Live: true, State: "not-ready", Reason: "no generation has been ready yet"}, "/startupz", 503, "not started: no generation has been ready yet\n"},
		{"not yet, started, failed", control.Health{Live: true, State: "not-ready", Reason: "generation 1 failed: exit status 3"}, "/startupz", 503, "not started: generation 1 failed: exit status 3\n"},
		{"not yet, no reason", control.Health{Live: true, State: "not-ready"}, "/readyz", 503, "not ready\n"},
		{"stopping", control.Health{Live: true, Started: true, State: "stopping", Generation: 3}, "/readyz", 503, "not ready: initd is stopping\n"},
		{"not live", control.Health{Ready: true, State: "ready"}, "/livez", 503, "not live: initd is ready\n"},
		{"one line", control.Health{State: "not-ready", Reason: "exit\nHTTP/1.1 200 OK\r\n\x1b[31m"}, "/readyz", 503, "not ready: exit HTTP/1.1 200 OK   [31m\n"},
		{"verbose", healthy, "/readyz?verbose", 200, "ok\nlive: true\nready: true\nstarted: true\nstate: ready\ngeneration: 3\n"},
		{"verbose reason", control.Health{Live: true, State: "not-ready", Reason: "exit status 1"}, "/readyz?verbose=1", 503,
			"not ready: exit status 1\nlive: true\nready: false\nstarted: false\nstate: not-ready\ngeneration: 0\nreason: exit status 1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, _ := serve(t, says(control.Status{Health: test.health}))
			r, body := fetch(t, "GET", url+test.path)
			if r.StatusCode != test.code || body != test.body {
				t.Errorf("%d %q, want %d %q", r.StatusCode, body, test.code, test.body)
			}
			if kind := r.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
				t.Error(kind)
			}
		})
	}
}

func TestMethodsAndPaths(t *testing.T) {
	url, _ := serve(t, says(steady()))
	paths := []string{"/", "/livez", "/readyz", "/startupz", "/metrics", "/status"}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD"} {
			r, body := fetch(t, method, url+path)
			if r.StatusCode != 200 || (body == "") != (method == "HEAD") {
				t.Errorf("%s %s: %s with %d bytes", method, path, r.Status, len(body))
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"} {
			if r, _ := fetch(t, method, url+path); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %s, allowed %q", method, path, r.Status, r.Header.Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/livez/", "//livez", "/x/../livez", "/LIVEZ", "/status.json", "/metrics/x", "/favicon.ico", "/%2e%2e/", "/debug/pprof/", "/page.html"} {
		if r, _ := fetch(t, "GET", url+path); r.StatusCode != 404 {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	for _, path := range append(paths, "/nothing") {
		r, _ := fetch(t, "GET", url+path)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Encoding": "",
			"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Error(policy)
	}
}

func TestMetricsAndStatus(t *testing.T) {
	url, _ := serve(t, says(swapping()))
	r, body := fetch(t, "GET", url+"/metrics")
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain; version=0.0.4") || !strings.Contains(body, "\ninitd_generation 40\n") {
		t.Errorf("%s\n%s", r.Header.Get("Content-Type"), body)
	}
	r, body = fetch(t, "GET", url+"/status")
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		t.Error(kind)
	}
	// An argument may be a secret: --token=hunter2.
	if strings.Contains(body, "hunter2") || strings.Contains(body, `"command"`) {
		t.Error("the command is told to everyone")
	}
	var got control.Status
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := swapping()
	want.Command = nil
	if a, b := marshal(t, got), marshal(t, want); a != b {
		t.Errorf("%s\nis not\n%s", a, b)
	}
}

func marshal(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRefused: what initd refuses is told, and is no reason to end.
func TestRefused(t *testing.T) {
	url, ended := serve(t, func(context.Context, control.Request) (control.Answer, error) {
		return control.Answer{}, fmt.Errorf("ask: %w", &control.Refusal{Code: control.Defect, Text: "out of order"})
	})
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics", "/status"} {
		if r, body := fetch(t, "GET", url+path); r.StatusCode != 503 || body != "ask: out of order\n" {
			t.Errorf("%s: %s %q", path, r.Status, body)
		}
	}
	select {
	case err := <-ended:
		t.Error(err)
	default:
	}
}

// TestSomethingElse: an answer without what was asked for is an error.
func TestSomethingElse(t *testing.T) {
	url, _ := serve(t, func(context.Context, control.Request) (control.Answer, error) { return control.Answer{}, nil })
	for _, path := range []string{"/livez", "/metrics", "/status"} {
		if r, body := fetch(t, "GET", url+path); r.StatusCode != 503 || body != "unexpected answer from initd\n" {
			t.Errorf("%s: %s %q", path, r.Status, body)
		}
	}
}

func TestConnectionBroken(t *testing.T) {
	url, ended := serve(t, func(context.Context, control.Request) (control.Answer, error) {
		return control.Answer{}, io.ErrUnexpectedEOF
	})
	if r, _ := fetch(t, "GET", url+"/livez"); r.StatusCode != 503 {
		t.Error(r.Status)
	}
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "ask initd for health: unexpected EOF" {
		t.Error(err)
	}
}

func TestListenerBroken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, nil, says(steady())); err == nil || !strings.HasPrefix(err.Error(), "serve HTTP: accept tcp 127.0.0.1:") {
		t.Error(err)
	}
}

// TestEnd: when it is to end, it does so at once and without an error, though
// initd does not answer and clients are connected.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		asked := make(chan struct{})
		go func() {
			ended <- Serve(ctx, l, nil, func(ctx context.Context, _ control.Request) (control.Answer, error) {
				close(asked)
				<-ctx.Done()
				return control.Answer{}, ctx.Err()
			})
		}()
		silent := l.dial()
		busy := l.dial()
		go io.WriteString(busy, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-asked
		cancel(errors.New("TERM"))
		began := time.Now()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > farewell {
			t.Errorf("took %v", took)
		}
		if _, err := l.Accept(); err == nil {
			t.Error("the listener is open")
		}
		silent.Close()
		busy.Close()
	})
}

// A line is a listener on which clients of the same bubble of time connect.
type line struct {
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func newLine() *line { return &line{conns: make(chan net.Conn), over: make(chan struct{})} }

func (l *line) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

func (l *line) Addr() net.Addr { return &net.TCPAddr{} }

func (l *line) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// TestShared: however many clients there are, initd is asked once, and again
// when the answer is no longer fresh.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, under, most atomic.Int32
		s := &share{ask: func() (control.Answer, error) {
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer under.Add(-1)
			time.Sleep(50 * time.Millisecond) // of the bubble, in which it costs nothing
			return control.Answer{Ticket: int(asked.Add(1))}, nil
		}}
		ask := func(clients, want int) {
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					if a, err := s.get(t.Context()); err != nil || a.Ticket != want {
						t.Errorf("%d %v, want %d", a.Ticket, err, want)
					}
				})
			}
			all.Wait()
		}
		ask(1000, 1)
		time.Sleep(freshness - time.Nanosecond)
		ask(1000, 1)
		time.Sleep(time.Nanosecond)
		ask(1000, 2)
		if most.Load() != 1 {
			t.Errorf("%d requests at a time", most.Load())
		}
	})
}

// TestErrorShared: clients of an initd that refuses cost it as little.
func TestErrorShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := &share{ask: func() (control.Answer, error) {
			asked++
			return control.Answer{}, io.ErrUnexpectedEOF
		}}
		for range 100 {
			if _, err := s.get(t.Context()); err != io.ErrUnexpectedEOF {
				t.Error(err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// TestNoAnswer: nobody waits for longer than 2 s, and when initd answers at last
// that is good for those who come then.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		answer := make(chan struct{})
		s := &share{ask: func() (control.Answer, error) {
			asked.Add(1)
			<-answer
			return control.Answer{Ticket: 1}, nil
		}}
		get := func(want time.Duration) {
			t.Helper()
			began := time.Now()
			_, err := s.get(t.Context())
			if took := time.Since(began); err == nil || !strings.HasPrefix(err.Error(), "no answer from initd for ") || took != want {
				t.Errorf("%v after %v, want %v", err, took, want)
			}
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { get(timeout) })
		}
		all.Wait()
		get(0) // it has been waited for
		time.Sleep(time.Hour)
		get(0)
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}

		// A client that goes away waits no more.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.flight.began = time.Now()
		if _, err := s.get(ctx); err != context.Canceled {
			t.Error(err)
		}

		close(answer)
		synctest.Wait()
		if a, err := s.get(t.Context()); err != nil || a.Ticket != 1 {
			t.Errorf("%v, %v", a, err)
		}
	})
}

// TestSilentClients: many who connect and say nothing keep nobody out who does.
func TestSilentClients(t *testing.T) {
	url, _ := serve(t, says(steady()))
	address := strings.TrimPrefix(url, "http://")
	// This one is in the middle of a request when the others come.
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	io.WriteString(slow, "GET /livez HTTP/1.1\r\nHo")
	var silent []net.Conn
	for range mostConns + 10 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if r, body := fetch(t, "GET", url+"/livez"); r.StatusCode != 200 {
		t.Errorf("%s %s", r.Status, body)
	}
	// The oldest have had to go, and the youngest may still speak.
	for _, c := range []net.Conn{slow, silent[0]} {
		c.SetReadDeadline(time.Now().Add(deadline))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an old one was kept: %d, %v", n, err)
		}
	}
	last := silent[len(silent)-1]
	io.WriteString(last, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if r, err := http.ReadResponse(bufio.NewReader(last), nil); err != nil || r.StatusCode != 200 {
		t.Error(r, err)
	}
}

// TestBounded plays states of connections, which only the oldest outlive.
func TestBounded(t *testing.T) {
	var b bounded
	b.most = 3
	closed := map[string]bool{}
	conns := map[string]net.Conn{}
	note := func(name string, state http.ConnState) {
		if conns[name] == nil {
			conns[name] = &tomb{bury: func() { closed[name] = true }}
		}
		b.note(conns[name], state)
	}
	expect := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if !closed[name] {
				t.Errorf("%s is open", name)
			}
		}
		if len(closed) != len(names) {
			t.Errorf("%v are closed, want %v", closed, names)
		}
	}
	note("a", http.StateNew)
	note("a", http.StateActive)
	note("b", http.StateNew)
	note("c", http.StateNew)
	note("c", http.StateClosed) // by itself
	note("d", http.StateNew)
	expect()
	note("e", http.StateNew)
	expect("b") // the oldest that is silent
	note("b", http.StateClosed)
	note("d", http.StateActive)
	note("e", http.StateActive)
	note("f", http.StateNew) // now none is silent but this one
	expect("b", "a")
	note("a", http.StateIdle) // too late
	note("a", http.StateClosed)
	note("d", http.StateIdle)
	note("g", http.StateNew)
	expect("b", "a", "f") // silent before d was
	if len(b.places) != b.most || b.silent.Len()+b.served.Len() != b.most {
		t.Errorf("%d places, %d silent, %d served", len(b.places), b.silent.Len(), b.served.Len())
	}
}

// A tomb is a connection that can only be closed.
type tomb struct {
	net.Conn
	bury func()
}

func (c *tomb) Close() error {
	c.bury()
	return nil
}

// TestSlowClient: headers that trickle in, or are too long, cost a connection its life.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, l, nil, says(steady())) }()
		c := l.dial()
		io.WriteString(c, "GET /livez HTTP/1.1\r\n")
		began := time.Now()
		for {
			time.Sleep(time.Second)
			if _, err := io.WriteString(c, "A: b\r\n"); err != nil {
				break
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		cancel()
		<-ended
	})
	url, _ := serve(t, says(steady()))
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\nA: "+strings.Repeat("a", 1<<20)+"\r\n\r\n")
	if r, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && r.StatusCode != 431 {
		t.Error(r.Status)
	}
}

// TestBeModest runs it in a process of its own, for what is raised stays so.
func TestBeModest(t *testing.T) {
	if os.Getenv("WEB_TEST_MODEST") != "" {
		if err := BeModest(); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile("/proc/self/oom_score_adj")
		if err := BeModest(); err != nil { // once more changes nothing
			t.Fatal(err)
		}
		again, _ := os.ReadFile("/proc/self/oom_score_adj")
		if string(text) != "900\n" || string(again) != "900\n" {
			t.Fatalf("%q, %q", text, again)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBeModest$")
	cmd.Env = append(os.Environ(), "WEB_TEST_MODEST=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
