package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// A question is put to a server on a connection, and the answer is read to its end.
type question func(w io.Writer, r *bufio.Reader) (answer string, err error)

// A client puts questions by another protocol than HTTP. It sends them again by the same rule.
type client struct {
	dial
	question
	keepalive, once bool

	conn net.Conn // nil: there is none to be used once more
}

// request is as ask for HTTP.
func (c *client) request(f *Failure) (string, error) {
	for {
		fresh := c.conn == nil
		if fresh {
			conn, err := c.dial(context.Background(), "", "")
			if err != nil {
				return "", err
			}
			c.conn = conn
		}
		switch address := c.conn.LocalAddr().(type) {
		case *net.TCPAddr:
			f.Port = address.Port
		case *net.UDPAddr:
			f.Port = address.Port
		}
		c.conn.SetDeadline(time.Now().Add(patience))
		from := &counter{Reader: c.conn}
		answer, err := c.question(c.conn, bufio.NewReader(from))
		if err != nil || !c.keepalive {
			c.conn.Close()
			c.conn = nil
		}
		if err == nil || fresh || c.once || from.any {
			return answer, err
		}
	}
}

// counter notes whether anything was read.
type counter struct {
	io.Reader
	any bool
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.any = c.any || n > 0
	return n, err
}

// redis asks which process answers: https://redis.io/docs/latest/commands/info/.
func redis(w io.Writer, r *bufio.Reader) (string, error) {
	if _, err := io.WriteString(w, "INFO server\r\n"); err != nil {
		return "", err
	}
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil || size > maxBody {
		return "", fmt.Errorf("redis: %q", head)
	}
	text := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(r, text); err != nil {
		return "", err
	}
	return field(string(text), "process_id:")
}

// memcached asks which process answers: its doc/protocol.txt.
func memcached(w io.Writer, r *bufio.Reader) (string, error) {
	if _, err := io.WriteString(w, "stats\r\n"); err != nil {
		return "", err
	}
	var text strings.Builder
	for text.Len() < maxBody {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "END\r\n" {
			break
		}
		text.WriteString(line)
	}
	return field(text.String(), "STAT pid ")
}

// field is the pid in the line with such a beginning.
func field(text, name string) (string, error) {
	for line := range strings.Lines(text) {
		if pid, ok := strings.CutPrefix(line, name); ok {
			return "pid " + strings.TrimSpace(pid), nil
		}
	}
	return "", fmt.Errorf("an answer without %q: %q", name, text)
}

// txt asks for the text of a name: RFC 1035, sections 3.3.14 and 4.1.
func txt(name string) question {
	return func(w io.Writer, r *bufio.Reader) (string, error) {
		id := uint16(rand.Uint32())
		query := binary.BigEndian.AppendUint16(nil, id)
		query = append(query, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired, one question
		for label := range strings.SplitSeq(name, ".") {
			query = append(append(query, byte(len(label))), label...)
		}
		query = append(query, 0, 0, 16, 0, 1) // TXT, IN
		if _, err := w.Write(query); err != nil {
			return "", err
		}
		answer := make([]byte, 4096)
		n, err := r.Read(answer)
		if err != nil {
			return "", err
		}
		answer = answer[:n]
		const record = 12 // a pointer to the name, type, class, time to live, length
		at := len(query) + record
		if n <= at || !bytes.Equal(answer[:2], query[:2]) || answer[3]&15 != 0 || answer[len(query)]&0xc0 != 0xc0 {
			return "", errors.New("dns: no answer to the question")
		}
		text := answer[at+1:]
		return string(text[:min(len(text), int(answer[at]))]), nil
	}
}
