package control

import (
	"encoding/json"
	"fmt"
	"math"
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
		{`{"request":"status"`, BadRequest, "cut off", 0},
		{`{"request":"status"}{}`, BadRequest, "something follows", 0},
		{`{"request":"status","id":7} x`, BadRequest, "something follows", 7},
		{`null`, BadRequest, `unknown request ""`, 0},
		{`[]`, BadRequest, "no object: array", 0},
		{`{"id":7,"request":"status","verbose":true}`, BadRequest, `unknown field "verbose"`, 7},
		{`{"id":7,"request":"swap","wiat":true}`, BadRequest, `unknown field "wiat"`, 7},
		{`{"id":7,"request":"reload"}`, BadRequest, `unknown request "reload"; expected one of await, environment`, 7},
		{`{"id":7,"request":"status","wait":true}`, BadRequest, `status takes no "wait"`, 7},
		{`{"id":7,"request":"scale","workers":"5"}`, BadRequest, `"workers" has a value of the wrong type: string`, 7},
		{`{"id":7,"request":"scale","workers":1.5}`, BadRequest, `wrong type: number 1.5`, 7},
		{`{"request":"scale","workers":99999999999999999999}`, BadRequest, `wrong type: number 9999`, 0},
		{`{"request":"scale"}`, BadRequest, `of 1 or more`, 0},
		{`{"request":"scale","workers":-1}`, BadRequest, `of 1 or more`, 0},
		{`{"request":"await"}`, BadRequest, `of 1 or more`, 0},
		{`{"request":"await","ticket":4}`, NotFound, `is not known`, 0},
		{`{"request":"signal"}`, BadRequest, `needs a "signal"`, 0},
		{`{"request":"signal","signal":"USR1","slot":-1}`, BadRequest, `a "slot" is 0 or more`, 0},
		{`{"request":"signal","signal":"USR1","slot":7}`, NotFound, `slot 7`, 0},
		{`{"request":"environment","generation":-1}`, BadRequest, `a "generation" is 1 or more`, 0},
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

func TestLongLine(t *testing.T) {
	in := start(t)
	request := `{"request":"health"}`
	longest := request + strings.Repeat(" ", MaxRequest-len(request)-1)
	p := in.connect()
	if a := p.ask(longest); a.Health == nil {
		t.Errorf("the longest line is answered %+v", a)
	}
	for _, n := range []int{MaxRequest, MaxRequest + 1, 2 * MaxRequest, 1 << 20} {
		written := make(chan bool)
		go func() {
			defer close(written)
			p.conn.Write([]byte(strings.Repeat("x", n) + "\n"))
		}()
		if a := p.receive(); a.Code != BadRequest || !strings.Contains(a.Error, "1024 bytes") {
			t.Errorf("a line of %d bytes is answered %+v", n, a)
		}
		<-written
		if a := p.ask(request); a.Health == nil {
			t.Errorf("after a line of %d bytes: %+v", n, a)
		}
	}

	p.send(strings.Repeat("x", MaxRequest+1)) // of a line that does not end
	p.conn.CloseWrite()
	if a := p.receive(); a.Code != BadRequest {
		t.Errorf("a line without end is answered %+v", a)
	}
	p.receiveEnd()
}

func TestGarbage(t *testing.T) {
	p := start(t).connect()
	for i := range 256 {
		garbage := strings.ReplaceAll(string([]byte{0, byte(i), 0xff, '"', byte(255 - i), 0x1b}), "\n", "")
		if a := p.ask(garbage); a.Code != BadRequest {
			t.Errorf("%q is answered %+v", garbage, a)
		}
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
		allowed := request == AskHealth || request == AskStatus || request == AskSettings
		if a := p.ask(line); allowed != (a.Error == "") || !allowed && a.Code != Forbidden {
			t.Errorf("%s is answered %+v", request, a)
		}
	}
	if a := p.ask(`{"request":"swap","wait":true}`); a.Code != Forbidden {
		t.Errorf("swap with wait is answered %+v", a)
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

// A defect in what completes a status costs the connection that asked.
func TestPanic(t *testing.T) {
	in := start(t)
	in.complete = func(*Status) { panic("no such file") }
	other, p := in.connect(), in.connect()
	if a := other.ask(`{"request":"health"}`); a.Health == nil {
		t.Errorf("before: %+v", a)
	}
	for range 3 * maxConnections {
		if a := p.ask(`{"request":"status"}`); a.Code != Defect {
			t.Errorf("after a panic: %+v", a)
		}
		p.receiveEnd()
		if err := <-in.defects; !strings.Contains(err.Error(), "no such file") || !strings.Contains(err.Error(), "server_test.go") {
			t.Errorf("the defect is %v", err)
		}
		p = in.connect()
	}
	if a := other.ask(`{"request":"health"}`); a.Health == nil {
		t.Errorf("the other one: %+v", a)
	}
}

// What JSON cannot write is an answer, too.
func TestUnwritable(t *testing.T) {
	in := start(t)
	in.complete = func(s *Status) { s.Counters.SwapSeconds = math.NaN() }
	p := in.connect()
	if a := p.ask(`{"request":"status","id":7}`); a.Code != Defect || a.ID != 7 {
		t.Errorf("it is %+v", a)
	}
	if a := p.ask(`{"request":"health"}`); a.Health == nil {
		t.Errorf("afterwards: %+v", a)
	}
}

// One at a time completes a status, and it is not the loop.
func TestComplete(t *testing.T) {
	in := start(t)
	var busy sync.Mutex
	in.complete = func(s *Status) {
		if !busy.TryLock() {
			t.Error("two complete a status")
			return
		}
		defer busy.Unlock()
		in.connect().ask(`{"request":"health"}`) // the loop answers meanwhile
		s.Memory = 42
	}
	var clients sync.WaitGroup
	for range 5 {
		p := in.connect()
		clients.Go(func() {
			if a := p.ask(`{"request":"status"}`); a.Status.Memory != 42 {
				t.Errorf("%+v", a.Status)
			}
		})
	}
	clients.Wait()
}

// Idle comes once, a while after the last request, and not without any.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := sink(t)
		sink.Call = func(c Call, _ <-chan struct{}) { answer(c) }
		taken := make(chan bool)
		sink.Idle = func(over <-chan struct{}) {
			select {
			case taken <- true:
			case <-over:
			}
		}
		s := NewServer(sink, func(*Status) {})
		conn, client := net.Pipe()
		go s.Serve(conn)
		answers := json.NewDecoder(client)
		idle := func() bool {
			select {
			case <-taken:
				return true
			default:
				return false
			}
		}
		ask := func() {
			fmt.Fprintln(client, `{"request":"health"}`)
			if err := answers.Decode(new(Answer)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		for round := range int64(2) {
			time.Sleep(time.Hour)
			if idle() {
				t.Error("idle without a request")
			}
			for range 10 {
				ask()
				time.Sleep(idleAfter - time.Nanosecond)
				if idle() {
					t.Error("idle between requests")
				}
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if !idle() {
				t.Error("not idle after the last request")
			}
			if got := s.Answered(); got != (round+1)*10 {
				t.Errorf("%d answered in round %d", got, round)
			}
		}
		// A loop that takes its time gets one for many, and nobody waits for one
		// that has ended.
		for range 3 {
			ask()
			time.Sleep(idleAfter)
		}
		synctest.Wait()
		if !idle() {
			t.Error("not idle after three requests")
		}
		if synctest.Wait(); idle() {
			t.Error("idle once more")
		}
		ask()
		time.Sleep(idleAfter)
		client.Close()
		s.Close(time.Second)
	})
}

// Who says nothing for the limit, or not all of a line, has to go; who is to look
// may take any time.
func TestLimits(t *testing.T) {
	for _, said := range []string{"", `{"request":"st`} {
		synctest.Test(t, func(t *testing.T) {
			s := NewServer(sink(t), func(*Status) {})
			conn, client := net.Pipe()
			began := time.Now()
			go (&connection{Conn: conn, server: s}).serve()
			go func() {
				for i := range len(said) { // a byte now and then is no line
					time.Sleep(time.Second)
					client.Write([]byte{said[i]})
				}
			}()
			if _, err := client.Read(make([]byte, 1)); err == nil || time.Since(began) != idleLimit {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(sink(t), func(*Status) {})
		conn, client := net.Pipe()
		began := time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Serve(conn)
		}()
		time.Sleep(time.Hour)
		client.Write([]byte("?\n")) // and does not read
		<-ended
		if took := time.Since(began); took != time.Hour+writeLimit {
			t.Errorf("given up after %v", took)
		}
	})
}
