package control

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestAnswers(t *testing.T) {
	p := start(t).connect()
	for _, test := range []struct {
		request string
		is      func(Answer) bool
	}{
		{`{"request":"health"}`, func(a Answer) bool { return a.Health.Ready && a.Health.Generation == 1 }},
		{`{"request":"status"}`, func(a Answer) bool { return a.Status.Generations[0].Workers[0].PID == 7 }},
		{`{"request":"swap"}`, func(a Answer) bool { return a.Ticket == 3 }},
		{`{"request":"swap","wait":false}`, func(a Answer) bool { return a.Ticket == 3 }},
		{`{"request":"stop"}`, func(a Answer) bool { return true }},
		{`{"request":"stop","signal":"QUIT"}`, func(a Answer) bool { return true }},
		{`{"request":"scale","workers":5}`, func(a Answer) bool { return *a.Workers == 5 }},
		{`{"request":"signal","signal":"USR1","generation":1,"slot":0}`, func(a Answer) bool { return *a.Workers == 1 }},
		{`{"request":"environment"}`, func(a Answer) bool { return a.Environment.Variables[0].Value == nil }},
		{`{"request":"settings"}`, func(a Answer) bool { return len(a.Settings) == 3 }},
	} {
		a := p.ask(test.request)
		if r, _ := Parse([]byte(test.request)); a.Answer != r.Request || a.ID != 0 || !test.is(a) {
			t.Errorf("%s is answered %+v", test.request, a)
		}
		if a = p.ask(strings.Replace(test.request, "{", `{"id":-77,`, 1)); a.ID != -77 || !test.is(a) {
			t.Errorf("%s with an id is answered %+v", test.request, a)
		}
	}
}

func TestValuesAreForRoot(t *testing.T) {
	in := start(t)
	a := in.connect().ask(`{"request":"environment","values":true}`)
	if root := os.Geteuid() == 0; root != (a.Error == "") || root != (a.Environment != nil) {
		t.Errorf("uid %d is answered %+v", os.Geteuid(), a)
	}
}

// What is refused leaves the connection as good as it was.
func TestRefusals(t *testing.T) {
	p := start(t).connect()
	for _, test := range []struct {
		line, code, says string
		id               int64
	}{
		{``, BadRequest, "the line is empty", 0},
		{`   `, BadRequest, "the line is empty", 0},
		{`status`, BadRequest, "invalid character", 0},
		{`{"request":"status"`, BadRequest, "incomplete", 0},
		{`{"request":"status"}{}`, BadRequest, "unexpected data after the JSON object", 0},
		{`{"request":"status","id":7} x`, BadRequest, "unexpected data after the JSON object", 7},
		{`null`, BadRequest, `unknown request ""`, 0},
		{`[]`, BadRequest, "not a JSON object: array", 0},
		{`{"id":7,"request":"status","verbose":true}`, BadRequest, `unknown field "verbose"`, 7},
		{`{"id":7,"request":"swap","wiat":true}`, BadRequest, `unknown field "wiat"`, 7},
		{`{"id":7,"Request":"stop"}`, BadRequest, `unknown field "Request"`, 7},
		{`{"id":7,"request":"swap","WAIT":true}`, BadRequest, `unknown field "WAIT"`, 7},
		{`{"id":7,"request":"status","reque\u017ft":"stop"}`, BadRequest, `unknown field`, 7}, // ſ folds to s
		{`{"id":7,"request":"status","request":"stop"}`, BadRequest, `"request" is given twice`, 7},
		{`{"id":7,"request":"signal","signal":"USR1","slot":0,"\u0073lot":1}`, BadRequest, `"slot" is given twice`, 7},
		{`{"id":7,"request":{"request":"stop","request":"stop"}}`, BadRequest, `wrong type`, 7},
		{`{"id":7,"request":"reload"}`, BadRequest, `unknown request "reload"; expected one of await, environment`, 7},
		{`{"id":7,"request":"status","wait":true}`, BadRequest, `status does not take "wait"`, 7},
		{`{"id":7,"request":"scale","workers":"5"}`, BadRequest, `"workers" has a value of the wrong type: string`, 7},
		{`{"id":7,"request":"scale","workers":1.5}`, BadRequest, `wrong type: number 1.5`, 7},
		{`{"request":"scale","workers":99999999999999999999}`, BadRequest, `wrong type: number 9999`, 0},
		{`{"request":"scale"}`, BadRequest, `of 1 or more`, 0},
		{`{"request":"scale","workers":-1}`, BadRequest, `of 1 or more`, 0},
		{`{"request":"await"}`, BadRequest, `of 1 or more`, 0},
		{`{"request":"await","ticket":4}`, NotFound, `is not known`, 0},
		{`{"request":"signal"}`, BadRequest, `needs a "signal"`, 0},
		{`{"request":"signal","signal":"USR1","slot":-1}`, BadRequest, `"slot" must be 0 or more`, 0},
		{`{"request":"signal","signal":"USR1","slot":7}`, NotFound, `slot 7`, 0},
		{`{"request":"environment","generation":-1}`, BadRequest, `"generation" must be 1 or more`, 0},
	} {
		a := p.ask(test.line)
		if a.Code != test.code || !strings.Contains(a.Error, test.says) || a.ID != test.id {
			t.Errorf("%q is answered %+v; expected %s: …%s…, id %d", test.line, a, test.code, test.says, test.id)
		}
	}
	if a := p.ask(`{"request":"health"}`); a.Health == nil {
		t.Errorf("after all that: %+v", a)
	}
}

// Many requests in one packet are answered each, in their order, and those that
// come while a swap is waited for afterwards.
func TestPipeline(t *testing.T) {
	in := start(t)
	in.answer = func(c Call) {
		answer(c)
		if c.Wait {
			in.PublishOutcome(Outcome{Ticket: 3, Outcome: "ready", Final: true})
		}
	}
	p := in.connect()
	var packet strings.Builder
	const rounds = 200
	for i := range rounds {
		fmt.Fprintf(&packet, `{"id":%d,"request":"health"}`+"\n"+`{"id":%[1]d,"request":"swap","wait":true}`+"\n"+`{"id":%[1]d,"request":"nonsense"}`+"\n", i+1)
	}
	var written sync.WaitGroup
	written.Go(func() { p.conn.Write([]byte(packet.String())) })
	for i := range rounds {
		for _, want := range []string{AskHealth, AskSwap, "outcome", "error"} {
			if a := p.receive(); a.ID != int64(i+1) || a.Answer != want {
				t.Fatalf("round %d: %+v instead of %s", i+1, a, want)
			}
		}
	}
	written.Wait()
}

// One that says no more, as nc -N does at the end of its input, is answered in
// full, and needs no newline at the end.
func TestHalfClosed(t *testing.T) {
	in := start(t)
	ready := make(chan bool)
	in.answer = func(c Call) {
		answer(c)
		if c.Wait {
			in.PublishOutcome(Outcome{Ticket: 3, Outcome: "begun", Generation: 2})
			go func() {
				<-ready
				in.PublishOutcome(Outcome{Ticket: 3, Outcome: "ready", Final: true, Generation: 2})
			}()
		}
	}
	last := func(requests string) *peer {
		p := in.connect()
		p.send(requests)
		p.conn.CloseWrite()
		return p
	}
	for _, request := range []string{`{"request":"status"}`, `{"request":"status"}` + "\n"} {
		p := last(request)
		if a := p.receive(); a.Status == nil {
			t.Errorf("%q: %+v", request, a)
		}
		p.receiveEnd()
	}
	p := last(`{"request":"sta`)
	if a := p.receive(); a.Code != BadRequest {
		t.Errorf("cut off: %+v", a)
	}
	p.receiveEnd()

	p = last(`{"request":"swap","wait":true}` + "\n" + `{"request":"health"}`)
	if a := p.receive(); a.Ticket != 3 {
		t.Errorf("swap: %+v", a)
	}
	if a := p.receive(); a.Outcome == nil || a.Outcome.Final {
		t.Errorf("begun: %+v", a)
	}
	ready <- true
	if a := p.receive(); a.Outcome == nil || !a.Outcome.Final {
		t.Errorf("ready: %+v", a)
	}
	if a := p.receive(); a.Health == nil {
		t.Errorf("health: %+v", a)
	}
	p.receiveEnd()

	p = last(`{"request":"subscribe"}`)
	if a := p.receive(); a.Answer != AskSubscribe {
		t.Errorf("subscribe: %+v", a)
	}
	for i := range 3 {
		in.Publish(fmt.Appendf(nil, `{"event":"start","pid":%d}`+"\n", i))
		if a := p.receive(); string(a.Event) != fmt.Sprintf(`{"event":"start","pid":%d}`, i) {
			t.Errorf("event %d: %+v", i, a)
		}
	}
}

// A connection that is to look cannot touch.
func TestLooks(t *testing.T) {
	in := start(t)
	conn, p := pair(t)
	go in.Serve(conn)
	for request := range takes {
		line := map[string]string{
			AskAwait:  `{"request":"await","ticket":3}`,
			AskScale:  `{"request":"scale","workers":5}`,
			AskSignal: `{"request":"signal","signal":"KILL"}`,
		}[request]
		if line == "" {
			line = `{"request":"` + request + `"}`
		}
		allowed := request == AskHealth || request == AskStatus
		if a := p.ask(line); allowed != (a.Error == "") || !allowed && a.Code != Forbidden {
			t.Errorf("%s is answered %+v", request, a)
		}
	}
	if a := p.ask(`{"request":"swap","wait":true}`); a.Code != Forbidden {
		t.Errorf("swap with wait is answered %+v", a)
	}
}

// TestSilence: the HTTP process asks again and again, or it is not alive.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Sink{
			Call: func(c Call, _ <-chan struct{}) { answer(c) },
			Idle: func(<-chan struct{}) {}, Defect: func(err error, _ <-chan struct{}) { t.Error(err) },
		}, func(*Status) {})
		ours, theirs := net.Pipe()
		silent := make(chan bool, 1)
		go func() { silent <- s.Serve(ours) }()
		lines := bufio.NewReader(theirs)
		for range 3 {
			time.Sleep(silenceLimit - time.Second)
			fmt.Fprintln(theirs, `{"request":"health"}`)
			if line, err := lines.ReadString('\n'); err != nil {
				t.Fatal(line, err)
			}
		}
		if time.Sleep(silenceLimit + time.Second); len(silent) == 0 || !<-silent {
			t.Error("its silence is not noticed")
		}
		ours, theirs = net.Pipe()
		go func() { silent <- s.Serve(ours) }()
		if theirs.Close(); <-silent {
			t.Error("its end is taken for silence")
		}
	})
}

// paused is a connection on which nothing comes until so many deadlines have passed, as when a container is paused: then
// the next comes at once.
type paused struct {
	net.Conn
	deadlines int
}

func (p *paused) SetReadDeadline(time.Time) error { return nil }

func (p *paused) Read([]byte) (int, error) {
	if p.deadlines--; p.deadlines < 0 {
		return 0, io.EOF
	}
	return 0, os.ErrDeadlineExceeded
}

// TestPauseIsNoSilence: both sides were stopped when the deadline passed: the HTTP process gets the time to ask.
func TestPauseIsNoSilence(t *testing.T) {
	for deadlines, want := range map[int]bool{0: false, 1: false, 100: true} {
		s := NewServer(Sink{Idle: func(<-chan struct{}) {}}, func(*Status) {})
		ours, theirs := net.Pipe()
		defer theirs.Close()
		if silent := s.Serve(&paused{ours, deadlines}); silent != want {
			t.Errorf("%d deadlines are silence: %v, want %v", deadlines, silent, want)
		}
	}
}

// pair is a connection without a path: initd's end and the client's.
func pair(t *testing.T) (net.Conn, *peer) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "")
		ends[i], err = net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { ends[1].Close() })
	return ends[0], newPeer(t, ends[1])
}

// A process of another user cannot do a thing, even where it can reach the socket.
func TestForbidden(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	in := start(t)
	in.answer = func(c Call) { t.Errorf("asked for %s", c.Request.Request); answer(c) }
	// The test binary may be in a directory that only root can enter.
	for dir := filepath.Dir(in.path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	if err := os.Chmod(in.path, 0o777); err != nil {
		t.Fatal(err)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid, err := syscall.ForkExec("/proc/self/fd/3", os.Args[:1], &syscall.ProcAttr{
		Env: []string{"CONTROL_TEST_CLIENT=" + in.path}, Files: []uintptr{0, w.Fd(), 2, self.Fd()},
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}},
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 1000)
	n, _ := r.Read(line)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status != 0 {
		t.Errorf("the client ended with %v, %v: %s", status, err, line[:n])
	}
	if a := understand(t, line[:n]); a.Code != Forbidden || !strings.Contains(a.Error, "uid 54321") {
		t.Errorf("it was answered %s", line[:n])
	}
}
