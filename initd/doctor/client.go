package doctor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A manner is how a program treats who connects.
type manner string

const (
	http    manner = "http"    // answers to GET as HTTP does
	answers manner = "answers" // answers to GET in some other way
	greets  manner = "greets"  // speaks first
	silent  manner = "silent"  // none of it: only connections can be counted
)

const (
	dialTime   = 2 * time.Second
	greetTime  = 300 * time.Millisecond // a program that speaks first does so by then
	answerTime = 3 * time.Second        // one that answers at all does so by then
	askTime    = 10 * time.Second       // and under load by then
)

const question = "GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: initd-check\r\n\r\n"

// A target is a listener as its clients see it.
type target struct {
	key              string
	network, address string
	manner           manner
	sample           string // the first line of an answer

	early    net.Conn    // of the client that was there before the program
	answers  chan answer // what it hears: one, or none if it is hung up on
	answered moment      // when it had its answer
	accepted bool
}

// An answer is when it began and how.
type answer struct {
	at   moment
	line string
}

func (t *target) dial() (net.Conn, error) { return net.DialTimeout(t.network, t.address, dialTime) }

// knock connects before anyone can have accepted, and asks.
func (t *target) knock(p *patient) {
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
			t.answers <- answer{p.now(), firstLine(buffer[:n])}
		}
	}()
}

// hear takes note of the early client's answer, if it has come.
func (t *target) hear() {
	select {
	case a := <-t.answers:
		t.answered, t.sample, t.accepted = a.at, a.line, true
	default:
	}
}

// leave has the early client go.
func (t *target) leave() {
	if t.early != nil {
		t.early.Close()
		t.early = nil
	}
}

// explore finds out what a program that answers answers to.
func (t *target) explore() {
	if strings.HasPrefix(t.sample, "HTTP/") {
		t.manner = http
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
		t.manner, t.sample = greets, firstLine(buffer[:n])
		return
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	conn.SetDeadline(time.Now().Add(answerTime))
	io.WriteString(conn, question)
	if n, _ = conn.Read(buffer); n > 0 {
		t.manner, t.sample = answers, firstLine(buffer[:n])
	}
}

// firstLine is what can be shown of it.
func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSpace(line)
	return strings.Trim(strconv.QuoteToASCII(string(line[:min(len(line), 60)])), `"`)
}

var (
	errHungUp = errors.New("closed without an answer")
	errCut    = errors.New("answer cut short")
)

// ask makes one request and wants the whole answer; of a silent program it
// wants the connection. The second half of the request is held back until the
// channel is closed; nil is none.
func (t *target) ask(hold <-chan struct{}) error {
	conn, err := t.dial()
	if err != nil || t.manner == silent {
		if err == nil {
			conn.Close()
		}
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(askTime))
	if t.manner != greets {
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
		case n > 0 && t.manner != http, whole(answer), len(answer) > enough:
			return nil
		case err == nil:
		case err != io.EOF:
			return err
		case len(answer) == 0:
			return errHungUp
		case !bytes.Contains(answer, []byte("\r\n\r\n")) || length(answer) >= 0:
			return errCut
		default:
			return nil // its end is the connection's
		}
	}
}

// whole reports whether an HTTP answer is all there, as far as it says itself.
func whole(answer []byte) bool {
	_, body, ended := bytes.Cut(answer, []byte("\r\n\r\n"))
	n := length(answer)
	return ended && n >= 0 && len(body) >= n
}

// length is what Content-Length says, -1 for nothing.
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

// A tally is what became of requests.
type tally struct {
	done int
	lost map[string]int // by reason
}

func (t tally) losses() (n int) {
	for _, count := range t.lost {
		n += count
	}
	return n
}

// A load is some clients that ask again and again.
type load struct {
	mu      sync.Mutex
	tally   tally
	hot     atomic.Bool // ask without a pause
	over    chan struct{}
	clients sync.WaitGroup
}

const (
	clients = 8
	halves  = 2 // to each listener
	pause   = 5 * time.Millisecond
)

func startLoad(on []*target) *load {
	l := &load{over: make(chan struct{})}
	l.take()
	for i := range max(clients, len(on)) {
		if len(on) > 0 && on[i%len(on)].network != "udp" {
			l.clients.Go(func() { l.run(on[i%len(on)]) })
		}
	}
	return l
}

func (l *load) run(t *target) {
	for {
		err := l.count(t.ask(nil))
		wait := pause
		if l.hot.Load() && err == nil {
			wait = 0
		}
		select {
		case <-l.over:
			return
		case <-time.After(wait):
		}
	}
}

func (l *load) count(err error) error {
	if errors.Is(err, syscall.EADDRNOTAVAIL) { // the client's own ports are used up
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.tally.done++
	} else {
		l.tally.lost[reason(err)]++
	}
	return err
}

// begin has a few requests be half sent until the channel is closed: quick ones
// are seldom under way at the very moment of a signal. It tells whether there
// are any.
func (l *load) begin(on []*target, hold <-chan struct{}) (any bool) {
	for _, t := range on {
		if t.manner == http {
			any = true
			for range halves {
				l.clients.Go(func() { l.count(t.ask(hold)) })
			}
		}
	}
	return any
}

// take returns what was counted since it was last called.
func (l *load) take() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	counted := l.tally
	l.tally = tally{lost: map[string]int{}}
	return counted
}

func reason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in " + askTime.String()
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}
