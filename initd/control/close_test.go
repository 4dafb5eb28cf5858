package control

import (
	"testing"
	"time"
)

// At the end clients are told what was said before it, however late they are, and
// let go.
func TestClose(t *testing.T) {
	in := start(t)
	held := make(chan Call)
	in.answer = func(c Call) {
		if c.Request.Request == AskHealth {
			held <- c
			return
		}
		answer(c)
	}
	waiting, subscribed, silent, asking := in.connect(), in.connect(), in.connect(), in.connect()
	if a := waiting.ask(`{"request":"swap","wait":true}`); a.Ticket != 3 {
		t.Fatalf("%+v", a)
	}
	subscribed.ask(`{"request":"subscribe"}`)
	silent.ask(`{"request":"settings"}`)
	asking.send(`{"request":"health"}` + "\n")
	call := <-held
	in.PublishOutcome(Outcome{Ticket: 3, Outcome: "stopped", Final: true})
	in.Publish([]byte(`{"event":"exit"}`))
	call.Answer(Answer{Health: &Health{State: "stopping"}})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		in.Close(patience)
	}()
	if o := waiting.receiveOutcomes(0); o[0].Outcome != "stopped" {
		t.Errorf("who waits is told %+v", o)
	}
	if a := subscribed.receive(); string(a.Event) != `{"event":"exit"}` {
		t.Errorf("the subscriber is told %+v", a)
	}
	subscribed.receiveEnd()
	subscribed.conn.Close()
	<-closed
	if got := in.connected(); got > 0 {
		t.Errorf("%d clients are there still", got)
	}
	if a := asking.receive(); a.Health == nil || a.Health.State != "stopping" {
		t.Errorf("who has asked is told %+v", a)
	}
	late := in.connect()
	for _, p := range []*peer{waiting, silent, asking, late} {
		p.receiveEnd()
	}
}

// Who follows what initd publishes is told that it ends, and waited for: in the container of which initd is PID 1, the
// end of initd is also that of the client.
func TestCloseWaitsForFollowers(t *testing.T) {
	for _, request := range []string{`{"request":"subscribe"}`, `{"request":"swap","wait":true}`} {
		in := start(t)
		in.answer = answer
		p := in.connect()
		p.ask(request)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			in.Close(patience)
		}()
		p.receiveEnd()
		if in.connected() != 1 {
			t.Errorf("%s: the connection has ended before the client closed it", request)
		}
		p.conn.Close()
		select {
		case <-closed:
		case <-time.After(patience):
			t.Fatalf("%s: Close has not returned after the client closed its connection", request)
		}
	}
}

// Nobody is waited for that does not read.
func TestCloseIsLimited(t *testing.T) {
	in := start(t)
	stuck := in.connect()
	stuck.ask(`{"request":"subscribe"}`)
	text := append(append([]byte(`{"event":"`), make([]byte, 2000)...), `"}`...)
	for i := range text {
		if text[i] == 0 {
			text[i] = 'x'
		}
	}
	for range keptEvents {
		in.Publish(text)
	}
	in.Close(1)
	stuck.conn.Close()
}
