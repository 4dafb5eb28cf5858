package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (in *initd) dial() *Client {
	in.t.Helper()
	c, err := Dial(in.path)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { c.Close() })
	return c
}

func TestClient(t *testing.T) {
	in := start(t)
	in.answer = func(c Call) {
		answer(c)
		if c.Wait {
			in.PublishOutcome(Outcome{Ticket: 3, Outcome: "begun"})
			in.PublishOutcome(Outcome{Ticket: 3, Outcome: "failed"})
			in.PublishOutcome(Outcome{Ticket: 3, Outcome: "ready", Final: true})
		}
	}
	c, ctx := in.dial(), t.Context()
	if a, err := c.Ask(ctx, Request{Request: AskHealth}); err != nil || a.Health == nil {
		t.Errorf("%+v, %v", a, err)
	}
	var refusal *Refusal
	if _, err := c.Ask(ctx, Request{Request: "reload"}); !errors.As(err, &refusal) || refusal.Code != BadRequest || !strings.Contains(err.Error(), `"reload"`) {
		t.Errorf("%v", err)
	}
	var words []string
	for a, err := range c.Follow(ctx, Request{Request: AskSwap, Wait: true}) {
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, a.Answer)
		if a.Outcome != nil {
			words = append(words, a.Outcome.Outcome)
		}
	}
	if got := strings.Join(words, " "); got != "swap outcome begun outcome failed outcome ready" {
		t.Error(got)
	}
	// What nobody waits for any more is passed over.
	if a, err := c.Ask(ctx, Request{Request: AskSwap, Wait: true}); err != nil || a.Ticket != 3 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := c.Ask(ctx, Request{Request: AskStatus}); err != nil || a.Status == nil {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestClientSubscribes(t *testing.T) {
	in := start(t)
	c := in.dial()
	n := 0
	for a, err := range c.Follow(t.Context(), Request{Request: AskSubscribe}) {
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && string(a.Event) != fmt.Sprintf(`{"n":%d}`, n-1) {
			t.Errorf("%s as number %d", a.Event, n)
		}
		if n == 3 {
			break
		}
		in.Publish(fmt.Appendf(nil, `{"n":%d}`, n))
		n++
	}
	if _, err := c.Ask(t.Context(), Request{Request: AskHealth}); err == nil || !strings.Contains(err.Error(), "subscribed") {
		t.Errorf("after it has subscribed: %v", err)
	}
}

// Several goroutines share a client, whatever becomes of the contexts of some.
func TestClientIsShared(t *testing.T) {
	in := start(t)
	c := in.dial()
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for n := range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%2 == 0 {
					go cancel() // at some time
				}
				a, err := c.Ask(ctx, Request{Request: AskScale, Workers: 1000*i + n + 1})
				if err == nil && *a.Workers != 1000*i+n+1 || err != nil && (i%2 != 0 || err != context.Canceled) {
					t.Errorf("goroutine %d: %+v, %v", i, a, err)
				}
				cancel()
			}
		})
	}
	users.Wait()
}

// A context ends the wait for the answer, and that for one's turn; then the
// connection goes on.
func TestClientIsCancelled(t *testing.T) {
	in := start(t)
	asked, goOn := make(chan bool), make(chan bool)
	in.answer = func(c Call) {
		asked <- true
		<-goOn
		answer(c)
	}
	c := in.dial()
	first, cancelFirst := context.WithCancel(t.Context())
	second, cancelSecond := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	ended := make(chan bool)
	waits.Go(func() {
		if _, err := c.Ask(first, Request{Request: AskHealth}); err != context.Canceled {
			t.Errorf("the one whose turn it is: %v", err)
		}
	})
	<-asked
	go func() {
		if _, err := c.Ask(second, Request{Request: AskHealth}); err != context.Canceled {
			t.Errorf("the one whose turn it is not: %v", err)
		}
		ended <- true
	}()
	cancelSecond()
	<-ended // while the first one waits
	cancelFirst()
	waits.Wait()
	go func() { goOn <- true; <-asked; goOn <- true }()
	if a, err := c.Ask(t.Context(), Request{Request: AskStatus}); err != nil || a.Status == nil {
		t.Errorf("the next: %+v, %v", a, err)
	}
	if _, err := c.Ask(first, Request{Request: AskStatus}); err != context.Canceled {
		t.Errorf("too late: %v", err)
	}
}

// A client knows what it can receive from nobody, of another version, and cut off.
func TestClientHearsNonsense(t *testing.T) {
	for _, test := range []struct{ says, want string }{
		{"", io.ErrUnexpectedEOF.Error()},
		{`{"version":1,"id":1,"answer":"hea`, io.ErrUnexpectedEOF.Error()},
		{`{"version":2,"id":1,"answer":"health"}` + "\n", "initd uses version 2 of the control protocol, but this program uses version 1"},
		{"HTTP/1.1 400 Bad Request\r\n", "answer from initd: invalid character"},
	} {
		server, p := pair(t)
		c := NewClient(p.conn)
		go func() {
			bufio.NewReader(server).ReadBytes('\n')
			io.WriteString(server, test.says)
			server.Close()
		}()
		for range 2 { // and it stays so
			if _, err := c.Ask(t.Context(), Request{Request: AskHealth}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q: %v", test.says, err)
			}
		}
	}
}

// What initd sends before it hangs up is received, even if it takes no request.
func TestClientIsTurnedAway(t *testing.T) {
	server, p := pair(t)
	fmt.Fprintf(server, `{"version":1,"answer":"error","error":"uid 7 may not control initd","code":"forbidden"}`+"\n")
	server.Close()
	var refusal *Refusal
	if _, err := NewClient(p.conn).Ask(t.Context(), Request{Request: AskStatus}); !errors.As(err, &refusal) || refusal.Code != Forbidden {
		t.Errorf("%v", err)
	}
}

// TestClientIsFlooded: what is no initd can send a line without an end, and does not fill the memory.
func TestClientIsFlooded(t *testing.T) {
	server, conn := net.Pipe()
	c := NewClient(conn)
	sent := make(chan int, 1)
	go func() {
		defer server.Close()
		bufio.NewReader(server).ReadBytes('\n')
		n, piece := 0, bytes.Repeat([]byte("x"), 1<<20)
		for n <= 2*MaxAnswer {
			m, err := server.Write(piece)
			if n += m; err != nil {
				break
			}
		}
		sent <- n
	}()
	for range 2 { // and it stays so
		if _, err := c.Ask(t.Context(), Request{Request: AskHealth}); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%v", err)
		}
	}
	c.Close()
	if n := <-sent; n > MaxAnswer+2<<20 {
		t.Errorf("%d bytes were read", n)
	}
}

// An answer of which a part had come when its context was done is put together.
func TestClientPutsTogether(t *testing.T) {
	server, conn := net.Pipe() // a write to it lasts until all is read
	c := NewClient(conn)
	lines := bufio.NewReader(server)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		lines.ReadBytes('\n')
		io.WriteString(server, `{"version":1,"id":1,"ans`)
		cancel()
	}()
	if _, err := c.Ask(ctx, Request{Request: AskHealth}); err != context.Canceled {
		t.Fatal(err)
	}
	go func() {
		lines.ReadBytes('\n')
		io.WriteString(server, `wer":"health"}`+"\n"+`{"version":1,"id":2,"answer":"settings"}`+"\n")
		server.Close()
	}()
	if a, err := c.Ask(t.Context(), Request{Request: AskSettings}); err != nil || a.Answer != AskSettings {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestDialNobody(t *testing.T) {
	var op *net.OpError
	if _, err := Dial(t.TempDir() + "/none"); !errors.As(err, &op) {
		t.Errorf("%v", err)
	}
}

// What ends a wait has ended before the next one begins, which it would end, too.
func TestClientCeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &slow{over: make(chan bool)}
		ctx, cancel := context.WithCancel(t.Context())
		cease := NewClient(conn).cancelWith(ctx)
		cancel()
		synctest.Wait()
		ceased := make(chan bool, 1)
		go func() {
			cease()
			ceased <- true
		}()
		synctest.Wait()
		if len(ceased) > 0 {
			t.Error("the wait may still be ended")
		}
		close(conn.over)
		<-ceased
	})
}

// slow is a connection whose wait takes long to end.
type slow struct {
	net.Conn
	over chan bool
}

func (s *slow) SetDeadline(t time.Time) error {
	if !t.IsZero() {
		<-s.over
	}
	return nil
}
