package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A Client is a connection to an initd. Several goroutines may use it, and take
// turns: a call of [Client.Follow] has the connection until it ends.
type Client struct {
	conn  net.Conn
	turn  chan struct{} // full: a call has the connection
	lines *bufio.Reader
	begun []byte // the beginning of an answer whose reader gave up
	last  int64  // ID of the last request
	err   error  // why the connection is of no more use
}

// A Refusal is an error that initd answered with.
type Refusal struct{ Code, Text string }

func (r *Refusal) Error() string { return r.Text }

// Dial connects to the control socket at path.
func Dial(path string) (*Client, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	return NewClient(conn), nil
}

// NewClient returns a client that uses a connection, which is its own from then on.
func NewClient(conn net.Conn) *Client {
	return &Client{conn: conn, turn: make(chan struct{}, 1), lines: bufio.NewReader(conn)}
}

// Peer is the process that listens at the other end; see the function [Peer].
func (c *Client) Peer() (pid, uid int, err error) { return Peer(c.conn) }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Ask sends a request and returns the answer, or the first one if there are several;
// the others are dropped when they arrive. If initd refuses, the error is a
// [*Refusal]; if ctx is done, it is that of ctx. After these two the connection can
// still be used, and after any other error it cannot.
func (c *Client) Ask(ctx context.Context, r Request) (Answer, error) {
	for a, err := range c.Follow(ctx, r) {
		return a, err
	}
	return Answer{}, io.ErrUnexpectedEOF
}

// Follow sends a request and yields all answers: of a swap with Wait and of await up
// to the final outcome, of subscribe until the caller stops, ctx is done or the
// connection breaks, which is an error. A connection that has subscribed can be used
// for nothing else.
func (c *Client) Follow(ctx context.Context, r Request) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			yield(Answer{}, ctx.Err())
			return
		}
		if err := ctx.Err(); err != nil {
			yield(Answer{}, err)
			return
		}
		defer c.cancelWith(ctx)()
		if c.err != nil {
			yield(Answer{}, c.err)
			return
		}
		if err := c.send(ctx, &r); err != nil {
			yield(Answer{}, err)
			return
		}
		if r.Request == AskSubscribe {
			c.err = errors.New("this connection is subscribed to events; use another one for other requests")
		}
		for {
			a, err := c.receive(ctx, r.ID)
			if err != nil {
				if ctx.Err() == nil {
					c.err = err
				}
				yield(a, err)
				return
			}
			if a.Error != "" {
				c.err = nil
				yield(a, &Refusal{a.Code, a.Error})
				return
			}
			if !yield(a, nil) || a.isLast(r) {
				return
			}
		}
	}
}

// cancelWith ends reads and writes on the connection when ctx is done, until the
// function that it returns is called.
func (c *Client) cancelWith(ctx context.Context) (release func()) {
	c.conn.SetDeadline(time.Time{})
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		c.conn.SetDeadline(time.Unix(1, 0)) // long past
	})
	return func() {
		if !stop() {
			<-ended // or it would end those of the next call
		}
	}
}

// isLast reports whether no answer to the request follows.
func (a Answer) isLast(r Request) bool {
	return !r.waits() || a.Outcome != nil && a.Outcome.Final
}

func (c *Client) send(ctx context.Context, r *Request) error {
	c.last++
	r.ID = c.last
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n, err := c.conn.Write(append(line, '\n'))
	switch {
	case err == nil, errors.Is(err, unix.EPIPE): // initd has hung up, and may have answered why
		return nil
	case n > 0 || ctx.Err() == nil:
		c.err = fmt.Errorf("incomplete request: %w", err)
	}
	return cmp.Or(ctx.Err(), err)
}

// receive reads the next answer to a request. Answers to an earlier request, whose
// caller gave up, are dropped.
func (c *Client) receive(ctx context.Context, id int64) (Answer, error) {
	for {
		piece, err := c.lines.ReadSlice('\n')
		if len(c.begun)+len(piece) > MaxAnswer {
			return Answer{}, fmt.Errorf("answer from initd: the line is too long: more than %d bytes", MaxAnswer)
		}
		c.begun = append(c.begun, piece...)
		switch {
		case err == nil:
		case err == bufio.ErrBufferFull:
			continue
		case ctx.Err() != nil:
			return Answer{}, ctx.Err()
		case err == io.EOF:
			return Answer{}, io.ErrUnexpectedEOF
		default:
			return Answer{}, err
		}
		line := c.begun
		c.begun = nil
		var a Answer
		if err := json.Unmarshal(line, &a); err != nil {
			return Answer{}, fmt.Errorf("answer from initd: %w", err)
		}
		if a.Version != Version {
			return Answer{}, fmt.Errorf("initd uses version %d of the control protocol, but this program uses version %d", a.Version, Version)
		}
		if a.ID == id || a.ID == 0 && a.Error != "" {
			return a, nil
		}
	}
}
