package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is for what happens at once unless the machine is very busy.
const patience = 30 * time.Second

// An initd of these tests has a server on a real socket and a loop that answers
// by the book. At the end of a test nothing of it may be left.
type initd struct {
	*Server
	t        *testing.T
	path     string
	complete func(*Status) // may be set before the first client
	answer   func(Call)    // so may this: instead of the book
	defects  chan error
}

func start(t *testing.T) *initd {
	t.Helper()
	in := &initd{t: t, path: filepath.Join(t.TempDir(), "s"), answer: answer, complete: func(*Status) {}, defects: make(chan error, 100)}
	calls := make(chan Call)
	sink := sink(t)
	sink.Call = func(c Call, over <-chan struct{}) {
		select {
		case calls <- c:
		case <-over:
		}
	}
	sink.Defect = func(err error, _ <-chan struct{}) { in.defects <- err }
	in.Server = NewServer(sink, func(s *Status) { in.complete(s) })
	listener, err := net.Listen("unix", in.path)
	if err != nil {
		t.Fatal(err)
	}
	descriptors := openDescriptors(t) // the listener is one, and the first makes the runtime have some
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { in.Accept(listener, false) })
	running.Go(func() {
		for {
			select {
			case call := <-calls:
				in.answer(call)
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() { // after those of the clients
		eventually(t, "no goroutine serves a client", func() bool { return serving() == 0 })
		eventually(t, "no connection counts", func() bool { return in.connected() == 0 })
		eventually(t, "nobody subscribes", func() bool { return !in.Subscribed() })
		listener.Close()
		close(stop)
		running.Wait()
		eventually(t, "descriptors are closed", func() bool { return openDescriptors(t) < descriptors })
		if in.events != nil {
			t.Error("events are kept for nobody")
		}
	})
	return in
}

// sink is for a server that has no loop: nothing is to be asked of it, and no
// defect to come.
func sink(t *testing.T) Sink {
	return Sink{
		Call:   func(c Call, _ <-chan struct{}) { t.Errorf("%s is asked for", c.Request.Request) },
		Idle:   func(<-chan struct{}) {},
		Defect: func(err error, _ <-chan struct{}) { t.Error(err) },
	}
}

func (in *initd) connected() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.connections)
}

// book is what the initd of these tests, and of docs/CONTROL.md, knows.
var book = struct {
	status      Status
	environment Environment
	settings    []Setting
}{
	status: func() (s Status) {
		began := time.Date(2026, 11, 21, 3, 6, 15, 0, time.UTC)
		at := func(seconds float64) *time.Time {
			t := began.Add(time.Duration(seconds * float64(time.Second)))
			return &t
		}
		one, three := 0, 3
		requests := int64(4711)
		return Status{
			Version: "1.0.0", PID: 1, Command: []string{"/app/server"}, Time: *at(60), Started: began,
			Health:  Health{Live: true, Ready: true, Started: true, State: "ready", Generation: 1, Reason: "worker ended after 214ms: exit status 3"},
			Attempt: 2, NextAttempt: at(61.5), Failures: 1,
			Pool: Pool{Workers: 1, Rest: 1, Max: 4, Ready: 1, Idle: 1},
			Generations: []Generation{{Number: 1, State: "serving", Began: *at(0), Ready: at(1),
				Workers: []Worker{{Slot: 0, PID: 7, State: "ready", Started: *at(0), Ready: at(1), Activity: "idle", Requests: &requests, Memory: 19_005_440}}}},
			Listeners: []Listener{{Key: "8080", Network: "tcp", Address: "0.0.0.0:8080", FD: 3, Backlog: 4096}},
			Swaps: []Swap{
				{Generation: 2, Ticket: 2, Trigger: "control", Began: *at(59.5), Ended: at(59.75), Seconds: 0.25, Outcome: "failed",
					Reason: "worker ended after 214ms: exit status 3", Slot: &one, ExitStatus: &three,
					Stderr: []string{"config.yaml:7: unknown key"}, Variables: &Variables{Changed: []string{"CONFIG"}}},
				{Generation: 1, Ticket: 1, Trigger: "start", Began: *at(0), Ended: at(1), Seconds: 1, Outcome: "ready"},
			},
			Counters: Counters{Swaps: map[string]int64{"ready": 1, "failed": 1, "refused": 0, "stopped": 0}, SwapSeconds: 1, Started: 2, Died: 1, Requests: 4711, Control: 12},
			Memory:   2_883_584,
		}
	}(),
	environment: Environment{Generation: 1, Variables: []Variable{{Name: "CONFIG"}, {Name: "SERVER_STARTER_GENERATION"}}},
	settings: []Setting{
		{Name: "port", Values: []string{"8080"}, Source: "--port"},
		{Name: "interval", Values: []string{"1s"}, Source: "default"},
		{Name: "envdir", Values: []string{}, Source: "default"},
	},
}

// answer answers by the book.
func answer(c Call) {
	one := 1
	switch c.Request.Request {
	case AskHealth:
		c.Answer(Answer{Health: &book.status.Health})
	case AskStatus:
		status := book.status
		c.Answer(Answer{Status: &status})
	case AskSwap:
		c.Answer(Answer{Ticket: 3})
	case AskAwait:
		if c.Ticket > 3 {
			c.Refuse(NotFound, "ticket 9 is not known: it was never given, or was over long ago")
			return
		}
		c.Answer(Answer{})
	case AskScale:
		c.Answer(Answer{Workers: &c.Workers})
	case AskSignal:
		if c.Slot != nil && *c.Slot > 0 {
			c.Refuse(NotFound, "generation 1 has no worker in slot 7")
			return
		}
		c.Answer(Answer{Workers: &one})
	case AskEnvironment:
		e := book.environment
		if c.Values {
			if !c.Root {
				c.Refuse(Forbidden, "only root may see values, in initd's own container")
				return
			}
			blue, number := "blue", "1"
			e.Variables = []Variable{{Name: "CONFIG", Value: &blue}, {Name: "SERVER_STARTER_GENERATION", Value: &number}}
		}
		c.Answer(Answer{Environment: &e})
	case AskSettings:
		c.Answer(Answer{Settings: book.settings})
	case AskStop:
		c.Answer(Answer{})
	}
}

// A peer is a client that has only a connection, as with nc -U.
type peer struct {
	t     *testing.T
	conn  *net.UnixConn
	lines *bufio.Reader
}

func (in *initd) connect() *peer {
	in.t.Helper()
	conn, err := net.Dial("unix", in.path)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { conn.Close() })
	return newPeer(in.t, conn)
}

func newPeer(t *testing.T, conn net.Conn) *peer {
	conn.SetDeadline(time.Now().Add(patience))
	return &peer{t, conn.(*net.UnixConn), bufio.NewReader(conn)}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatal(err)
	}
}

// receive is the next answer.
func (p *peer) receive() Answer {
	p.t.Helper()
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("no answer: %q, %v", line, err)
	}
	return understand(p.t, line)
}

func (p *peer) ask(line string) Answer {
	p.t.Helper()
	p.send(line + "\n")
	return p.receive()
}

// receiveEnd waits for the end of the connection. What was not read of what it said
// makes it one by a reset.
func (p *peer) receiveEnd() {
	p.t.Helper()
	line, err := p.lines.ReadBytes('\n')
	if err == nil || os.IsTimeout(err) {
		p.t.Fatalf("the connection goes on: %q, %v", line, err)
	}
}

// understand reads an answer as strictly as can be.
func understand(t *testing.T, line []byte) (a Answer) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	if a.Version != 1 || a.Answer == "" || (a.Answer == "error") != (a.Error != "") || (a.Error == "") != (a.Code == "") {
		t.Fatalf("it is no answer: %s", line)
	}
	return a
}

// serving is how many goroutines do something for a client.
func serving() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "control.(*connection).")
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// eventually waits for what no channel tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("not in time: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
