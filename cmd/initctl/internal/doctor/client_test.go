package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serveClients is a server that treats each client like that.
func serveClients(t *testing.T, treat func(net.Conn)) *target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				treat(conn)
			}()
		}
	}()
	return &target{key: "8080", network: "tcp", address: l.Addr().String(), behaviour: silent}
}

// afterRequest sends a text when the request is there.
func afterRequest(text string) func(net.Conn) {
	return func(conn net.Conn) {
		request := bufio.NewReader(conn)
		for {
			line, err := request.ReadString('\n')
			if err != nil || strings.TrimSpace(line) == "" {
				break
			}
		}
		io.WriteString(conn, text)
	}
}

// TestBehaviour: how a program treats its clients is found out by two of them.
func TestBehaviour(t *testing.T) {
	for _, test := range []struct {
		name      string
		treat     func(net.Conn)
		behaviour behaviour
		sample    string
	}{
		{"http", afterRequest("HTTP/1.0 200 OK\r\n\r\nhello"), http, "HTTP/1.0 200 OK"},
		{"answers", afterRequest("what?\r\n"), answers, "what?"},
		{"greets", func(conn net.Conn) { io.WriteString(conn, "220 hello\r\n"); io.Copy(io.Discard, conn) }, greets, "220 hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := serveClients(t, test.treat)
			target.connectEarly(func() moment { return time.Second })
			defer target.hangUp()
			for late := time.After(patience); target.answered == 0; {
				select {
				case a := <-target.answers:
					target.answers <- a
					target.takeAnswer()
				case <-late:
					t.Fatal("no answer")
				}
			}
			if target.answered != time.Second || !target.accepted {
				t.Errorf("%+v", target)
			}
			target.classify()
			if target.behaviour != test.behaviour || target.sample != test.sample {
				t.Errorf("it is %s %q, not %s %q", target.behaviour, target.sample, test.behaviour, test.sample)
			}
		})
	}
}

// TestAsk: a request is lost unless the whole answer comes.
func TestAsk(t *testing.T) {
	for _, test := range []struct {
		name      string
		treat     func(net.Conn)
		behaviour behaviour
		want      error
	}{
		{"whole", afterRequest("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"), http, nil},
		{"until the end", afterRequest("HTTP/1.0 200 OK\r\n\r\nhel"), http, nil},
		{"cut body", afterRequest("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhel"), http, errCut},
		{"cut header", afterRequest("HTTP/1.0 200 OK\r\nContent-Le"), http, errCut},
		{"no answer", afterRequest(""), http, errHungUp},
		{"any answer", afterRequest("w"), answers, nil},
		{"no answer of another protocol", afterRequest(""), answers, errHungUp},
		{"greeting", func(conn net.Conn) { io.WriteString(conn, "220") }, greets, nil},
		{"no greeting", func(net.Conn) {}, greets, errHungUp},
		{"connection", func(net.Conn) {}, silent, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := serveClients(t, test.treat)
			target.behaviour = test.behaviour
			if err := target.ask(nil); err != test.want {
				t.Errorf("%v, not %v", err, test.want)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // which does not listen
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		bound, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		nobody := &target{network: "tcp", address: fmt.Sprint("127.0.0.1:", bound.(*unix.SockaddrInet4).Port), behaviour: http}
		if err := nobody.ask(nil); !errors.Is(err, syscall.ECONNREFUSED) || reason(err) != "connection refused" {
			t.Errorf("%v", err)
		}
	})
}

// TestHold: the second half of a request is sent when the channel is closed.
func TestHold(t *testing.T) {
	half := make(chan string, 1)
	server := serveClients(t, func(conn net.Conn) {
		text := make([]byte, len(question)/2)
		io.ReadFull(conn, text)
		half <- string(text)
		afterRequest("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")(conn)
	})
	server.behaviour = http
	hold := make(chan struct{})
	l := startLoad(nil)
	if !l.sendHalf([]*target{server}, hold) {
		t.Error("no request was sent")
	}
	for range halves {
		if got := <-half; got != question[:len(question)/2] {
			t.Errorf("the first half is %q", got)
		}
	}
	if got := l.take(); got.done != 0 {
		t.Errorf("%d requests are done before they were sent", got.done)
	}
	close(hold)
	l.clients.Wait()
	if got := l.take(); got.done != halves || got.losses() != 0 {
		t.Errorf("%+v", got)
	}
	server.behaviour = greets
	if l.sendHalf([]*target{server}, nil) {
		t.Error("a server that greets was sent half a request")
	}
}

// TestLoad: requests are counted, with the reasons of those that were lost.
func TestLoad(t *testing.T) {
	server := serveClients(t, afterRequest("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"))
	server.behaviour = http
	datagrams := &target{network: "udp", behaviour: silent}
	l := startLoad([]*target{server, datagrams})
	done := 0
	for late := time.Now().Add(patience); done < 20 && time.Now().Before(late); {
		done += l.take().done
	}
	close(l.over)
	l.clients.Wait()
	if done < 20 {
		t.Errorf("%d requests were answered", done)
	}
	l.take()
	for _, err := range []error{nil, os.ErrDeadlineExceeded, fmt.Errorf("x: %w", syscall.ECONNRESET), errHungUp, errHungUp, syscall.EADDRNOTAVAIL} {
		l.count(err)
	}
	if got := l.take(); got.done != 1 || got.losses() != 4 || reasons(got) != "closed without an answer (2), connection reset by peer (1), no answer in 10s (1)" {
		t.Errorf("%+v: %s", got, reasons(got))
	}
}

func TestWhole(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                   false,
		"HTTP/1.0 200 OK\r\n\r\n":            false, // it ends with the connection
		"A\r\nContent-Length: 2\r\n\r\nab":   true,
		"A\r\nContent-Length: 2\r\n\r\na":    false,
		"A\r\nCONTENT-LENGTH:0\r\n\r\n":      true,
		"A\r\nContent-Length: many\r\n\r\na": false,
	} {
		if got := whole([]byte(text)); got != want {
			t.Errorf("%q is whole: %v", text, got)
		}
	}
}

func TestFirstLine(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.0 200 OK\r\nX: y\r\n": "HTTP/1.0 200 OK",
		"\x00\x1b[31m\xff":            `\x00\x1b[31m\xff`,
		strings.Repeat("x", 100):      strings.Repeat("x", 60),
		"":                            "",
	} {
		if got := firstLine([]byte(text)); got != want {
			t.Errorf("of %q it is %q", text, got)
		}
	}
}
