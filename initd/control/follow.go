package control

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// follow calls send, which sends a client what is published, with a channel that is
// closed when the client hangs up. Requests that arrive meanwhile are read afterwards.
func (c *connection) follow(send func(gone <-chan struct{}) error) error {
	gone, watched := make(chan struct{}), make(chan struct{})
	c.SetReadDeadline(time.Time{})
	go func() {
		defer close(watched)
		hungUp := true
		defer func() {
			if hungUp {
				close(gone)
			}
		}()
		defer c.server.recover(nil)
		hungUp = !errors.Is(c.untilHungUp(), os.ErrDeadlineExceeded)
	}()
	err := send(gone)
	c.SetReadDeadline(time.Unix(1, 0)) // long past: it ends the wait
	<-watched
	return err
}

// untilHungUp waits until nobody is at the other end any more. It reads nothing: a
// hang-up is seen behind data that is unread, too, and of a client that has shut down
// its writing side. The error is that of the read deadline, or that the connection
// was closed on this side.
func (c *connection) untilHungUp() error {
	raw, err := c.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) })
}

// sendOutcomes sends the outcomes of a ticket, up to the final one.
func (c *connection) sendOutcomes(r Request, ticket int, gone <-chan struct{}) error {
	forgotten, newest, last := false, 0, false
	for next := int64(0); ; {
		outcomes, missed, more := c.server.outcomes.from(next, 1)
		next += missed + int64(len(outcomes))
		forgotten = forgotten || missed > 0
		for _, o := range outcomes {
			newest = max(newest, o.Ticket)
			if o.Ticket != ticket {
				continue
			}
			if o.Final {
				o = c.server.corrected(o, next)
			}
			if err := c.write(Answer{ID: r.ID, Answer: "outcome", Outcome: &o}); err != nil || o.Final {
				return err
			}
		}
		if len(outcomes) > 0 {
			continue
		}
		if forgotten && newest > ticket { // a ticket begins when the one before is over
			return c.write(Answer{ID: r.ID, Code: NotFound, Error: fmt.Sprintf("the outcome of ticket %d is no longer kept", ticket)})
		}
		if last {
			return c.endStream()
		}
		var err error
		if last, err = c.await(more, gone); err != nil {
			return err
		}
	}
}

// sendEvents sends the events that are published from now on.
func (c *connection) sendEvents(r Request, gone <-chan struct{}) error {
	events, unsubscribe := c.server.subscribe()
	defer unsubscribe()
	next := events.end()
	if err := c.write(Answer{ID: r.ID, Answer: AskSubscribe}); err != nil {
		return err
	}
	for last := false; ; {
		batch, missed, more := events.from(next, 16)
		next += missed + int64(len(batch))
		if missed > 0 {
			if err := c.write(Answer{ID: r.ID, Answer: "event", Event: missedEvents(missed)}); err != nil {
				return err
			}
		}
		for _, event := range batch {
			if err := c.writeJSON(r.ID, "event", event); err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			continue
		}
		if last {
			return c.endStream()
		}
		var err error
		if last, err = c.await(more, gone); err != nil {
			return err
		}
	}
}

// endStream tells a client that no more follows, and waits until it has hung up. The end
// of PID 1 kills every process of its container, pid_namespaces(7), also a client
// that has just learnt of it and is about to exit.
func (c *connection) endStream() error {
	if conn, ok := c.Conn.(*net.UnixConn); ok {
		conn.CloseWrite()
	}
	c.server.mu.Lock() // Close has set all deadlines by now
	c.SetReadDeadline(time.Now().Add(writeLimit))
	c.server.mu.Unlock()
	c.untilHungUp()
	return net.ErrClosed
}

// await waits until a journal has more for a client that is still there. Last reports
// that the server has been closed: what the journal has by then is all there will be.
func (c *connection) await(more, gone <-chan struct{}) (last bool, err error) {
	select {
	case <-more:
		return false, nil
	case <-gone:
		return false, io.ErrUnexpectedEOF
	case <-c.server.over:
		return true, nil
	}
}
