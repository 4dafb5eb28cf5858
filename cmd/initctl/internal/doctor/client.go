package doctor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A behaviour is how a program treats a client that connects.
type behaviour string

const (
	http    behaviour = "http"    // answers GET in HTTP
	answers behaviour = "answers" // answers GET in some other way
	greets  behaviour = "greets"  // sends something first
	silent  behaviour = "silent"  // none of these: only connections can be counted
)

const (
	dialTime   = 2 * time.Second
	greetTime  = 300 * time.Millisecond // a program that sends something first does so by then
	answerTime = 3 * time.Second        // one that answers at all does so by then
	askTime    = 10 * time.Second       // under load it does so by then
)

const question = "GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: initctl-check\r\n\r\n"

// A target is a listener as its clients see it.
type target struct {
	key              string
	network, address string
	behaviour        behaviour
	sample           string // the first line of an answer

	early    net.Conn    // the client that was there before the program
	answers  chan answer // that it gets: one, or none
	answered moment      // when it had its answer
	accepted bool
}

// An answer is when it began and its first line.
type answer struct {
	at   moment
	line string
}

func (t *target) dial() (net.Conn, error) { return net.DialTimeout(t.network, t.address, dialTime) }

// connectEarly connects before the program can have accepted, and asks.
func (t *target) connectEarly(now func() moment) {
	if t.network == "udp" {
		return
	}
	conn, err := t.dial()
	if err != nil {
		return
	}
	t.early, t.answers = conn, make(chan answer, 1)
	io.WriteString(conn, question)
	go func() {
		buffer := make([]byte, 512)
		if n, _ := conn.Read(buffer); n > 0 {
			t.answers <- answer{now(), firstLine(buffer[:n])}
		}
	}()
}

// takeAnswer takes note of the early client's answer, if it has come.
func (t *target) takeAnswer() {
	select {
	case a := <-t.answers:
		t.answered, t.sample, t.accepted = a.at, a.line, true
	default:
	}
}

// hangUp closes the early client's connection.
func (t *target) hangUp() {
	if t.early != nil {
		t.early.Close()
		t.early = nil
	}
}

// classify finds out the behaviour of a program that answers.
func (t *target) classify() {
	if strings.HasPrefix(t.sample, "HTTP/") {
		t.behaviour = http
		return
	}
	conn, err := t.dial()
	if err != nil {
		return
	}
	defer conn.Close()
	buffer := make([]byte, 512)
	conn.SetDeadline(time.Now().Add(greetTime))
	n, err := conn.Read(buffer)
	if n > 0 {
		t.behaviour, t.sample = greets, firstLine(buffer[:n])
		return
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	conn.SetDeadline(time.Now().Add(answerTime))
	io.WriteString(conn, question)
	if n, _ = conn.Read(buffer); n > 0 {
		t.behaviour, t.sample = answers, firstLine(buffer[:n])
	}
}

// firstLine is that of a text in a form that can be shown.
func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSpace(line)
	return strings.Trim(strconv.QuoteToASCII(string(line[:min(len(line), 60)])), `"`)
}

var (
	errHungUp = errors.New("closed without an answer")
	errCut    = errors.New("answer cut short")
)

// ask makes one request; the error is nil if the whole answer has come or, of a
// silent program, if there was a connection. The second half of the request is
// held back until the channel is closed; nil is at once.
func (t *target) ask(hold <-chan struct{}) error {
	conn, err := t.dial()
	if err != nil || t.behaviour == silent {
		if err == nil {
			conn.Close()
		}
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(askTime))
	if t.behaviour != greets {
		// An error here shows when reading, too; but what was answered before it is read first.
		begin := 0
		if hold != nil {
			begin = len(question) / 2
			io.WriteString(conn, question[:begin])
			<-hold
		}
		io.WriteString(conn, question[begin:])
	}
	const enough = 1 << 20
	var answer []byte
	buffer := make([]byte, 8<<10)
	for {
		n, err := conn.Read(buffer)
		answer = append(answer, buffer[:n]...)
		switch {
		case n > 0 && t.behaviour != http, whole(answer), len(answer) > enough:
			return nil
		case err == nil:
		case err != io.EOF:
			return err
		case len(answer) == 0:
			return errHungUp
		case !bytes.Contains(answer, []byte("\r\n\r\n")) || length(answer) >= 0:
			return errCut
		default:
			return nil // it ends with the connection
		}
	}
}

// whole reports whether an HTTP answer is complete, as far as its header shows.
func whole(answer []byte) bool {
	_, body, ended := bytes.Cut(answer, []byte("\r\n\r\n"))
	n := length(answer)
	return ended && n >= 0 && len(body) >= n
}

// length is that of Content-Length, -1 for none.
func length(answer []byte) int {
	head, _, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Length") {
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
				return n
			}
		}
	}
	return -1
}
