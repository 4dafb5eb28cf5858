package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// connection is that of one client. The server's mutex guards idle, since, waits and
// ended.
type connection struct {
	net.Conn
	server   *Server
	root     bool      // the client is root, in a pid namespace that can be seen from here
	readOnly bool      // the client may ask for health and status only
	idle     bool      // it is the client's turn
	since    time.Time // when idle last changed
	waits    bool      // it counts against maxWaiting
	ended    bool
}

// hungUp reports whether nobody is at the other end any more; poll(2), POLLHUP.
// A client that has only shut down its writing side, as nc -N does, is still there.
func (c *connection) hungUp() (gone bool) {
	control(c.Conn, func(fd int) error {
		gone = hungUp(fd)
		return nil
	})
	return gone
}

func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, _ := unix.Poll(fds, 0)
	return n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// serve answers requests until the client hangs up, breaks a limit, or the server
// ends. The error is that of the last read or write.
func (c *connection) serve() error {
	s := c.server
	defer func() {
		s.active()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(c)
	}()
	defer s.recover(func() {
		c.write(Answer{Code: Defect, Error: "initd could not answer because of a defect; see its log"})
	})
	lines := bufio.NewReaderSize(c, MaxRequest)
	for silent := 0; ; {
		limit := idleLimit
		if c.readOnly {
			limit = silenceLimit / silenceParts
		}
		c.SetReadDeadline(time.Now().Add(limit))
		if s.closed() { // after the limit is set, for Close sets another
			return net.ErrClosed
		}
		line, err := lines.ReadSlice('\n')
		if silent++; c.readOnly && silent < silenceParts && len(line) == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		silent = 0
		if errors.Is(err, bufio.ErrBufferFull) {
			if !c.refuseLong(lines) {
				return err
			}
			continue
		}
		if err != nil && (err != io.EOF || len(line) == 0) { // the last line needs no newline
			return err
		}
		if !c.setIdle(false) { // it has been ended to make room, and could not get the answer
			return net.ErrClosed
		}
		r, err := Parse(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			err = c.write(Answer{ID: r.ID, Code: BadRequest, Error: err.Error()})
		} else {
			err = c.answer(r)
		}
		s.answered.Add(1)
		if err != nil {
			return err
		}
		c.setIdle(true)
	}
}

// refuseLong answers a line that is too long and reads the rest of it. It reports
// whether the client may go on.
func (c *connection) refuseLong(lines *bufio.Reader) bool {
	if c.write(Answer{Code: BadRequest, Error: fmt.Sprintf("the request is too long: a line may have at most %d bytes", MaxRequest)}) != nil {
		return false
	}
	// A connection that is closed with data unread is reset, and the client may
	// lose the answer.
	err := bufio.ErrBufferFull
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = lines.ReadSlice('\n')
	}
	c.server.answered.Add(1)
	return err == nil
}

// setIdle notes whether it is the client's turn, and reports whether the server has
// not ended the connection.
func (c *connection) setIdle(idle bool) bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.idle, c.waits, c.since = idle, false, time.Now()
	return !c.ended
}

// answer answers a request in full. An error ends the connection.
func (c *connection) answer(r Request) error {
	if c.readOnly && r.Request != AskHealth && r.Request != AskStatus {
		return c.write(Answer{ID: r.ID, Code: Forbidden, Error: r.Request + " is not allowed on this connection, which is read-only"})
	}
	if r.waits() && !c.mayWait() {
		return c.write(Answer{ID: r.ID, Code: Busy, Error: fmt.Sprintf("too many clients are waiting: the limit is %d", maxWaiting)})
	}
	if r.Request == AskSubscribe {
		return c.follow(func(gone <-chan struct{}) error { return c.sendEvents(r, gone) })
	}
	if r.Request == AskStatus {
		text, err := c.server.status()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			return c.write(Answer{ID: r.ID, Code: Defect, Error: err.Error()})
		}
		return c.writeJSON(r.ID, AskStatus, text)
	}
	a, err := c.server.ask(r, c.root)
	if err != nil {
		return err
	}
	a.ID = r.ID
	switch {
	case a.Error != "":
		a.Answer = ""
	case r.Request == AskAwait:
		a.Answer, a.Ticket = r.Request, r.Ticket
	default:
		a.Answer = r.Request
	}
	if err := c.write(a); err != nil || a.Error != "" || !r.waits() {
		return err
	}
	return c.follow(func(gone <-chan struct{}) error { return c.sendOutcomes(r, a.Ticket, gone) })
}

// mayWait reports whether one more client may wait for events or outcomes, and if
// so counts it. Those that have hung up do not count.
func (c *connection) mayWait() bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := 0
	for _, other := range slices.Clone(s.connections) {
		switch {
		case !other.waits:
		case other.hungUp():
			s.end(other)
		default:
			waiting++
		}
	}
	c.waits = waiting < maxWaiting
	return c.waits
}

// write sends an answer. A client that does not take it within writeLimit is given up.
func (c *connection) write(a Answer) error {
	a.Version = Version
	if a.Answer == "" {
		a.Answer = "error"
	}
	line, err := json.Marshal(a)
	if err != nil { // a number that JSON cannot write, for instance
		line, _ = json.Marshal(Answer{Version: Version, ID: a.ID, Answer: "error", Code: Defect, Error: err.Error()})
	}
	return c.send(append(line, '\n'))
}

// writeJSON sends an answer whose content is JSON already, in the field of the
// answer's own name. The text may be shared by many connections and is not copied.
func (c *connection) writeJSON(id int64, answer string, text []byte) error {
	head := fmt.Appendf(nil, `{"version":%d,`, Version)
	if id != 0 {
		head = fmt.Appendf(head, `"id":%d,`, id)
	}
	return c.send(fmt.Appendf(head, `"answer":%q,%q:`, answer, answer), text, []byte("}\n"))
}

func (c *connection) send(parts ...[]byte) error {
	c.server.active()
	c.SetWriteDeadline(time.Now().Add(writeLimit))
	line := net.Buffers(parts)
	_, err := line.WriteTo(c.Conn)
	return err
}
