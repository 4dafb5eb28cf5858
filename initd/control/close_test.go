package control

import "testing"

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
	in.Close(patience)
	if got := in.connected(); got > 0 {
		t.Errorf("%d clients are there still", got)
	}
	if o := waiting.receiveOutcomes(0); o[0].Outcome != "stopped" {
		t.Errorf("who waits is told %+v", o)
	}
	if a := subscribed.receive(); string(a.Event) != `{"event":"exit"}` {
		t.Errorf("the subscriber is told %+v", a)
	}
	if a := asking.receive(); a.Health == nil || a.Health.State != "stopping" {
		t.Errorf("who has asked is told %+v", a)
	}
	late := in.connect()
	for _, p := range []*peer{waiting, subscribed, silent, asking, late} {
		p.receiveEnd()
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
