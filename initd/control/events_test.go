package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEvents(t *testing.T) {
	in := start(t)
	in.Publish([]byte(`{"event":"early"}`)) // nobody is there
	p := in.connect()
	if a := p.ask(`{"request":"subscribe","id":5}`); a.Answer != AskSubscribe || a.ID != 5 {
		t.Errorf("%+v", a)
	}
	line := []byte("{ \"event\":\"note\",\n \"msg\":\"a <b>\"}\n")
	want := `{"event":"note","msg":"a <b>"}`
	in.Publish(line)
	copy(line, strings.Repeat("x", len(line))) // it is not kept
	a := p.receive()
	var event struct{ Event, Msg string }
	if err := json.Unmarshal(a.Event, &event); err != nil || event.Msg != "a <b>" || a.ID != 5 || a.Answer != "event" {
		t.Errorf("%+v, %s instead of %s", a, a.Event, want)
	}
	in.Publish([]byte(`no object`))
	if n := missed(t, p.receive()); n != 1 {
		t.Errorf("%d missed", n)
	}
	in.Publish([]byte(`{"event":"long","msg":"` + strings.Repeat("x", maxEvent) + `"}`))
	if n := missed(t, p.receive()); n != 1 {
		t.Errorf("%d missed", n)
	}
}

// A subscriber that is too slow is told how many events it has missed, of those
// that came since it subscribed, and has all others in their order. One that reads
// no more is given up.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(sink(t), func(*Status) {})
		_, unsubscribe := s.subscribe() // another one, so that events are kept
		defer unsubscribe()
		for range keptEvents + 1 {
			s.Publish([]byte(`{"event":"early"}`))
		}
		conn, client := net.Pipe()
		c := &connection{Conn: conn, server: s}
		ended := make(chan error)
		go func() { ended <- c.sendEvents(Request{Request: AskSubscribe}, nil) }()
		lines := bufio.NewReader(client)
		receive := func() Answer {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			return understand(t, line)
		}
		if a := receive(); a.Answer != AskSubscribe {
			t.Errorf("%+v", a)
		}
		const n = 5000
		for i := range n {
			s.Publish(fmt.Appendf(nil, `{"event":"note","n":%d}`, i))
		}
		lost := 0
		for next := 0; next < n; {
			a := receive()
			if m := missed(t, a); m > 0 {
				next += m
				lost += m
				continue
			}
			var event struct{ N int }
			if err := json.Unmarshal(a.Event, &event); err != nil || event.N != next {
				t.Fatalf("%s, %v instead of event %d", a.Event, err, next)
			}
			next++
		}
		if lost < n-keptEvents-16 {
			t.Errorf("%d were missed", lost)
		}
		s.Publish([]byte(`{"event":"last"}`))
		if a := receive(); string(a.Event) != `{"event":"last"}` {
			t.Errorf("%s", a.Event)
		}
		s.Publish([]byte(`{"event":"unread"}`))
		stopped := time.Now()
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(stopped) != writeLimit {
			t.Errorf("%v after %v", err, time.Since(stopped))
		}
	})
}

// missed is how many events one stands for that were not told.
func missed(t *testing.T, a Answer) int {
	t.Helper()
	var event struct {
		Time, Level, Msg, Event string
		Count                   int
	}
	if json.Unmarshal(a.Event, &event); event.Event != "missed" {
		return 0
	}
	if event.Time == "" || event.Level != "WARN" || event.Msg == "" || event.Count < 1 {
		t.Errorf("%s", a.Event)
	}
	return event.Count
}

func TestJournal(t *testing.T) {
	j := newJournal[int](3)
	if entries, missed, more := j.from(0, 9); entries != nil || missed != 0 || more == nil {
		t.Error("an empty one has", entries, missed)
	}
	_, _, more := j.from(0, 9)
	for i := range 10 {
		j.add(i)
		<-more
		kept := min(i+1, 3)
		entries, missed, _ := j.from(0, 9)
		if len(entries) != kept || missed != int64(i+1-kept) || entries[0] != i+1-kept || entries[kept-1] != i {
			t.Errorf("after %d: %v, %d missed", i, entries, missed)
		}
		if entries, missed, _ := j.from(int64(i), 1); len(entries) != 1 || entries[0] != i || missed != 0 {
			t.Errorf("the last: %v, %d missed", entries, missed)
		}
		_, _, more = j.from(j.end(), 9)
	}
}
