package control

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A loop that takes nothing keeps no client's goroutine once the server is closed.
func TestCallEndsWithServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := sink(t)
		begun := make(chan bool)
		sink.Call = func(_ Call, over <-chan struct{}) {
			close(begun)
			<-over
		}
		s := NewServer(sink, func(*Status) {})
		conn, client := net.Pipe()
		c := &connection{Conn: conn, server: s}
		s.connections = append(s.connections, c)
		go c.serve()
		client.Write([]byte(`{"request":"health"}` + "\n"))
		<-begun
		s.Close(time.Hour)
		if n, err := client.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes of an answer", n)
		}
		client.Write([]byte("x"))
		if _, err := s.ask(Request{Request: AskHealth}, false); err != net.ErrClosed {
			t.Errorf("a request after the end: %v", err)
		}
	})
}

// A call that the loop has taken and answered before the end is answered.
func TestAnswerInTime(t *testing.T) {
	var s *Server
	sink := sink(t)
	sink.Call = func(c Call, _ <-chan struct{}) {
		c.Answer(Answer{Ticket: 7})
		s.Close(0)
	}
	s = NewServer(sink, func(*Status) {})
	for range 20 { // a select chooses at random
		s.over = make(chan struct{})
		if a, err := s.ask(Request{Request: AskSwap}, false); err != nil || a.Ticket != 7 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
}

// Each goroutine of the server reports its panic, and the server goes on.
func TestPanics(t *testing.T) {
	for name, cause := range map[string]func(*testing.T, *initd){
		"Call": func(t *testing.T, in *initd) {
			in.sink.Call = func(Call, <-chan struct{}) { panic("Call") }
			if a := in.connect().ask(`{"request":"health"}`); a.Code != Defect {
				t.Errorf("%+v", a)
			}
		},
		"Idle": func(t *testing.T, in *initd) {
			in.sink.Idle = func(<-chan struct{}) { panic("Idle") }
			in.idle()
		},
		"Accept": func(t *testing.T, in *initd) {
			conn, p := pair(t)
			in.accept(broken{conn}, false)
			p.receiveEnd()
		},
		"follow": func(t *testing.T, in *initd) {
			conn, other := pair(t)
			other.conn.Close()
			c := &connection{Conn: noUnixConn{conn}, server: in.Server}
			gone := make(chan bool, 1)
			c.follow(func(hungUp <-chan struct{}) error {
				<-hungUp
				gone <- true
				return nil
			})
			<-gone
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := start(t)
			cause(t, in)
			select {
			case err := <-in.defects:
				if !strings.HasPrefix(err.Error(), "control socket: ") || !strings.Contains(err.Error(), "_test.go") && !strings.Contains(err.Error(), "follow.go") {
					t.Errorf("the defect is %v", err)
				}
			case <-time.After(patience):
				t.Error("no defect is reported")
			}
		})
	}
}

// broken is a connection that cannot be written to.
type broken struct{ net.Conn }

func (broken) SetWriteDeadline(time.Time) error { panic("write") }

// noUnixConn is a connection that is not of the type that is expected.
type noUnixConn struct{ net.Conn }
