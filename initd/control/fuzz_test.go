package control

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// maxError is what an error of Parse stays below, in bytes.
const maxError = 600

var lines = []string{
	``, `{}`, `null`, `[1]`, `"x"`, `{"request":"health"}`, `{"request":"status","id":-1}`, `{"REQUEST":"status"}`,
	`{"request":"swap","wait":true}`, `{"request":"await","ticket":3,"id":9007199254740993}`, `{"request":"stop","signal":"INT"}`,
	`{"request":"scale","workers":1e3}`, `{"request":"signal","signal":"RTMIN+3","generation":2,"slot":0}`, `{"request":"subscribe"}`,
	`{"request":"environment","values":true}`, `{"request":"settings","settings":[]}`, `{"request":"\ud800","id":1}`, "\x00\xff{\"",
	`{"request":"` + strings.Repeat(`\u202e`, 150) + `"}`, `{"` + strings.Repeat("\xff", 1000) + `":1}`, `{"id":` + strings.Repeat("9", 1000) + `}`,
	`{"request":"signal","signal":"` + strings.Repeat("x", 900) + `"}`, `{"request":"status"} {"request":"stop"}`, strings.Repeat("[", 1000),
}

// TestErrors is the fuzz target's law, for what is known to be hard.
func TestErrors(t *testing.T) {
	for _, line := range lines {
		parse(t, []byte(line))
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range lines {
		f.Add([]byte(line))
	}
	f.Fuzz(parse)
}

func parse(t *testing.T, line []byte) {
	if len(line) > MaxRequest {
		return
	}
	before := bytes.Clone(line)
	r, err := Parse(line)
	if !bytes.Equal(line, before) {
		t.Fatal("the line was changed")
	}
	if err != nil {
		text := err.Error()
		if len(text) > maxError || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("the error is not fit to be shown: %d bytes, %q", len(text), text)
		}
		return
	}
	again, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) > MaxRequest {
		return // every character of it was one that takes more to write
	}
	if r2, err := Parse(again); err != nil || !reflect.DeepEqual(r, r2) {
		t.Fatalf("%q is %+v, which is %s, which is %+v, %v", line, r, again, r2, err)
	}
}

// FuzzConversation: whatever a client says, each line is answered, in its order,
// or the connection is closed, as the protocol has it.
func FuzzConversation(f *testing.F) {
	f.Add([]byte(strings.Join(lines, "\n")))
	for _, line := range lines {
		f.Add([]byte(line + "\n" + `{"request":"health"}` + "\n" + line))
	}
	f.Add([]byte(strings.Repeat(`{"request":"swap","wait":true}`+"\n", 40) + `{"request":"await","ticket":1}`))
	f.Add([]byte(strings.Repeat("x", MaxRequest-1) + "\n" + strings.Repeat("x", MaxRequest) + "\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		tickets := 0
		sink := sink(t)
		var s *Server
		sink.Call = func(c Call, _ <-chan struct{}) { // of one client, and so one at a time
			switch {
			case c.Request.Request == AskSwap:
				tickets++
				c.Answer(Answer{Ticket: tickets})
				s.PublishOutcome(Outcome{Ticket: tickets, Outcome: "begun"})
				s.PublishOutcome(Outcome{Ticket: tickets, Outcome: "ready", Final: true})
			case c.Request.Request == AskAwait && c.Ticket > tickets:
				c.Refuse(NotFound, "no such ticket")
			case c.Request.Request == AskAwait:
				c.Answer(Answer{})
			default:
				answer(c)
			}
		}
		s = NewServer(sink, func(*Status) {})
		var running sync.WaitGroup
		conn, p := pair(t)
		running.Go(func() { (&connection{Conn: conn, server: s, root: true}).serve() })
		running.Go(func() {
			p.conn.Write(said)
			p.conn.CloseWrite()
		})

		rest := said
		for subscribed := false; len(rest) > 0 && !subscribed; {
			line, after, _ := bytes.Cut(rest, []byte("\n"))
			rest = after
			if len(line) >= MaxRequest {
				if a := p.receive(); a.Code != BadRequest || a.Error == "" {
					t.Fatalf("a line of %d bytes is answered %+v", len(line), a)
				}
				continue
			}
			r, err := Parse(line)
			a := p.receive()
			switch {
			case a.ID != r.ID:
				t.Fatalf("%q is answered %+v", line, a)
			case err != nil:
				if a.Code != BadRequest || a.Error != err.Error() {
					t.Fatalf("%q is answered %+v", line, a)
				}
			case a.Error != "":
				if a.Code != NotFound {
					t.Fatalf("%q is answered %+v", line, a)
				}
			case a.Answer != r.Request:
				t.Fatalf("%q is answered %+v", line, a)
			case r.Request == AskSubscribe:
				subscribed = true
				p.conn.Close()
			case r.waits():
				for final := false; !final; {
					a := p.receive()
					final = a.Code == NotFound || a.Outcome.Final
					if a.ID != r.ID || a.Code == "" && a.Answer != "outcome" {
						t.Fatalf("%q is followed by %+v", line, a)
					}
				}
			}
		}
		p.receiveEnd()
		p.conn.Close()
		running.Wait() // nobody is served any more
		s.quiet.Stop()
	})
}
