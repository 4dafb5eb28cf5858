package control

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// 100 clients that say nothing are let in, and those that have been silent the
// longest make room; one that asks is answered all the while.
func TestSilent(t *testing.T) {
	in := start(t)
	const n = 100
	var silent []*peer
	for range n {
		silent = append(silent, in.connect())
		if a := in.connect().ask(`{"request":"health"}`); a.Health == nil {
			t.Fatalf("beside %d that are silent: %+v", len(silent), a)
		}
	}
	for _, p := range silent[:n-maxConnections] {
		p.receiveEnd()
	}
	if n := in.connected(); n > maxConnections {
		t.Errorf("%d connections count", n)
	}
	eventually(t, "no more are served than may", func() bool { return serving() <= 2*maxConnections })
}

// One that is answered does not make room, one that has been is the last to.
func TestOldestGoes(t *testing.T) {
	in := start(t)
	var peers []*peer
	for range maxConnections {
		p := in.connect()
		p.ask(`{"request":"health"}`)
		eventually(t, "all wait for a request", in.allIdle)
		peers = append(peers, p)
	}
	peers[0].ask(`{"request":"health"}`)
	eventually(t, "all wait for a request", in.allIdle)
	late := in.connect()
	late.ask(`{"request":"health"}`)
	peers[1].receiveEnd()
	for _, p := range append(peers[2:], peers[0], late) {
		p.ask(`{"request":"health"}`)
	}
}

func (in *initd) allIdle() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, c := range in.connections {
		if !c.idle {
			return false
		}
	}
	return true
}

// What a client has said is not done where it had to make room: it would not be
// told.
func TestEndedIsNotServed(t *testing.T) {
	in := start(t)
	in.answer = func(c Call) { t.Errorf("asked for %s", c.Request.Request); answer(c) }
	conn, p := pair(t)
	c := &connection{Conn: conn, server: in.Server, idle: true}
	p.send(`{"request":"stop"}` + "\n")
	c.ended = true // just now
	c.serve()
	p.receiveEnd()
}

// As many as may wait keep nobody from asking, and no more may wait.
func TestWaiting(t *testing.T) {
	in := start(t)
	wait := []string{`{"request":"subscribe"}`, `{"request":"await","ticket":1}`, `{"request":"swap","wait":true}`}
	var waiting []*peer
	for i := range maxWaiting {
		p := in.connect()
		if a := p.ask(wait[i%len(wait)]); a.Error != "" {
			t.Fatalf("%+v", a)
		}
		waiting = append(waiting, p)
	}
	for _, request := range wait {
		p := in.connect()
		if a := p.ask(request); a.Code != Busy {
			t.Errorf("%s: %+v", request, a)
		}
		if a := p.ask(`{"request":"status"}`); a.Status == nil {
			t.Errorf("%+v", a)
		}
	}
	for range 3 * maxConnections {
		if a := in.connect().ask(`{"request":"health"}`); a.Health == nil {
			t.Errorf("%+v", a)
		}
	}
	in.PublishOutcome(Outcome{Ticket: 1, Outcome: "ready", Final: true})
	p := waiting[1]
	p.receive()
	p.ask(`{"request":"health"}`) // so it waits no more
	if a := p.ask(wait[0]); a.Error != "" {
		t.Errorf("in the place of one that waits no more: %+v", a)
	}
}

// Where all are being answered, one more is told so; the loop that does not answer
// is all that can bring that about.
func TestAllBusy(t *testing.T) {
	in := start(t)
	asked, goOn := make(chan bool), make(chan bool)
	in.answer = func(c Call) {
		asked <- true
		<-goOn
		answer(c)
	}
	var busy []*peer
	for range maxConnections {
		p := in.connect()
		p.send(`{"request":"health"}` + "\n")
		busy = append(busy, p)
	}
	<-asked
	eventually(t, "all are received", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		n := 0
		for _, c := range in.connections {
			if !c.idle {
				n++
			}
		}
		return n == maxConnections
	})
	p := in.connect()
	if a := p.receive(); a.Code != Busy {
		t.Errorf("one more: %+v", a)
	}
	p.receiveEnd()
	go func() {
		for range maxConnections - 1 {
			goOn <- true
			<-asked
		}
		goOn <- true
	}()
	for _, p := range busy {
		if a := p.receive(); a.Health == nil {
			t.Errorf("%+v", a)
		}
	}
}

// Clients that hang up while they wait leave nothing behind, whether they have
// said something more or that they say no more; and those that come at once find
// their places free.
func TestGone(t *testing.T) {
	in := start(t)
	for _, request := range []string{`{"request":"subscribe"}`, `{"request":"await","ticket":1}`, `{"request":"swap","wait":true}`} {
		for _, further := range []string{"", `{"request":"health"}` + "\n", "half"} {
			for _, halfClosed := range []bool{false, true} {
				t.Run(fmt.Sprint(request, further, halfClosed), func(t *testing.T) {
					var gone []*peer
					for range maxWaiting {
						p := in.connect()
						if a := p.ask(request); a.Error != "" {
							t.Fatalf("%+v", a)
						}
						p.send(further)
						if halfClosed {
							p.conn.CloseWrite()
						}
						gone = append(gone, p)
					}
					for _, p := range gone {
						p.conn.Close()
					}
				})
			}
		}
	}
	eventually(t, "nobody is served", func() bool { return serving() == 0 })
	if in.Subscribed() {
		t.Error("somebody subscribes")
	}
}

// Who waits is not held to the time for a request, after which it would not be
// seen to hang up.
func TestFollowTakesItsTime(t *testing.T) {
	conn, p := pair(t)
	defer conn.Close()
	c := &connection{Conn: conn}
	c.SetReadDeadline(time.Unix(1, 0)) // it is over
	p.conn.Close()
	if err := c.follow(func(gone <-chan struct{}) error {
		select {
		case <-gone:
			return nil
		case <-time.After(patience):
			return os.ErrDeadlineExceeded
		}
	}); err != nil {
		t.Error("the hang-up was not seen")
	}
}

// A request of one that has hung up is done all the same.
func TestFireAndForget(t *testing.T) {
	in := start(t)
	asked := make(chan string, 1)
	in.answer = func(c Call) {
		asked <- c.Request.Request
		answer(c)
	}
	p := in.connect()
	p.send(`{"request":"stop"}` + "\n")
	p.conn.Close()
	if got := <-asked; got != AskStop {
		t.Errorf("asked for %s", got)
	}
}

// A client that asks and asks and reads no answer is stuck, and nobody else is.
func TestUnread(t *testing.T) {
	in := start(t)
	var stuck sync.WaitGroup
	for range maxConnections - maxWaiting - 1 {
		p := in.connect()
		stuck.Go(func() {
			for { // until its buffers are full, and it is closed
				if _, err := io.WriteString(p.conn, `{"request":"status"}`+"\n"); err != nil {
					return
				}
			}
		})
		defer p.conn.Close()
	}
	for range maxWaiting {
		in.connect().ask(`{"request":"subscribe"}`) // and reads no event
	}
	event := fmt.Appendf(nil, `{"event":"note","msg":"%01000d"}`, 0)
	for range 2000 {
		in.Publish(event)
	}
	p := in.connect()
	for range 200 {
		if a := p.ask(`{"request":"status"}`); a.Status == nil {
			t.Fatalf("%+v", a)
		}
	}
	t.Cleanup(stuck.Wait)
}

// Where nobody can be accepted, because there are no descriptors left, it is tried
// again, and not at once.
func TestNoDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(sink(t), func(*Status) {})
		conn, client := net.Pipe()
		began := time.Now()
		accepts := []func() (net.Conn, error){
			func() (net.Conn, error) { return nil, unix.EMFILE },
			func() (net.Conn, error) { return nil, unix.ENFILE },
			func() (net.Conn, error) { return conn, nil },
			func() (net.Conn, error) { return nil, fmt.Errorf("accept: %w", net.ErrClosed) },
		}
		var ended sync.WaitGroup
		ended.Go(func() { s.Accept(&scripted{accepts: accepts}, false) })
		line, err := bufio.NewReader(client).ReadBytes('\n')
		if took := time.Since(began); took < time.Second || took > time.Minute {
			t.Errorf("accepted after %v", took)
		}
		if a := understand(t, line); a.Code != Forbidden { // whose peer is not known
			t.Errorf("%s, %v", line, err)
		}
		ended.Wait()
	})
}

// scripted is a listener that accepts what is written down.
type scripted struct {
	net.Listener
	accepts []func() (net.Conn, error)
}

func (s *scripted) Accept() (net.Conn, error) {
	next := s.accepts[0]
	s.accepts = s.accepts[1:]
	return next()
}
