package control

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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
		if err := <-in.defects; !strings.Contains(err.Error(), "no such file") || !strings.Contains(err.Error(), "limits_test.go") {
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
			time.Sleep(silenceLimit / 2)
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

// Who says nothing for the limit, or not all of a line, has to go. The HTTP process has
// more time.
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
		time.Sleep(silenceLimit / 2)
		client.Write([]byte("?\n")) // and does not read
		<-ended
		if took := time.Since(began); took != silenceLimit/2+writeLimit {
			t.Errorf("given up after %v", took)
		}
	})
}
