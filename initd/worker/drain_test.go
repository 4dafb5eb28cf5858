package worker

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience: how long connections may stay silent, on a virtual clock.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = time.Second
		d := newDrain(&http.Server{}, grace)
		start := time.Now()
		at := func(seconds float64) { // lets the time come
			time.Sleep(time.Until(start.Add(time.Duration(seconds * float64(time.Second)))))
			synctest.Wait()
		}
		var all []*recorded
		conn := func(name string, ends float64, states ...http.ConnState) *recorded {
			c := &recorded{name: name, drain: d, start: start, want: ends}
			all = append(all, c)
			for _, state := range states {
				d.note(c, state)
			}
			return c
		}
		const fresh, active, idle = http.StateNew, http.StateActive, http.StateIdle
		conn("made long before", 11, fresh)
		conn("idle for long", 11, fresh, active, idle)
		busy := conn("busy", 13, fresh, active)
		again := conn("idle, busy once more, idle", 21, fresh, active, idle)
		leaves := conn("leaves by itself", 10.2, fresh, active, idle)
		at(7)
		conn("made before", 12, fresh)
		at(10)
		conn("just made", 15, fresh)
		hijacked := conn("hijacked", 0, fresh, active)

		d.begin()
		ended := make(chan error, 1)
		go func() { ended <- d.end(0) }()
		at(10.1)
		d.note(hijacked, http.StateHijacked)
		at(10.2)
		leaves.Close()
		at(10.5)
		d.note(again, active)
		at(12)
		d.note(busy, idle)
		at(20)
		d.note(again, idle)
		select {
		case err := <-ended:
			t.Fatalf("it has ended before the last connection: %v", err)
		default:
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		at(40)
		for _, c := range all {
			if c.got != c.want {
				t.Errorf("%s: it has ended after %v s, not %v", c.name, c.got, c.want)
			}
		}
	})
}

// recorded is a connection that notes when it was closed.
type recorded struct {
	net.Conn
	name      string
	drain     *drain
	start     time.Time
	got, want float64
}

func (c *recorded) Close() error {
	c.got = time.Since(c.start).Seconds()
	c.drain.note(c, http.StateClosed)
	return nil
}

// TestHangUp: what has come in when a connection is hung up on can still be read, and
// answered, and then comes the end.
func TestHangUp(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "socket")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()

		io.WriteString(client, "request")
		hangUp(server)
		if got, err := io.ReadAll(server); err != nil || string(got) != "request" {
			t.Errorf("%s: read %q, %v", network, got, err)
		}
		io.WriteString(server, "answer")
		server.Close()
		if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
			t.Errorf("%s: %q was answered, %v", network, got, err)
		}
	}
	one, other := net.Pipe() // cannot be half closed
	hangUp(one)
	if _, err := other.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a pipe: %v", err)
	}
}
