package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"server-starter/initd/control"
)

// socketVariable names the socket where no flag does, as it does for initd.
const socketVariable = "SERVER_STARTER_CONTROL_SOCKET"

// answerLimit is how long initd may take for an answer that it has at hand.
const answerLimit = 10 * time.Second

// A connection is one to the initd at path.
type connection struct {
	*control.Client
	path string
}

// connect finds initd. The error is a *noInitd where none is there.
func (t *tool) connect() (*connection, error) {
	places, from := t.places, ""
	if path := strings.TrimSpace(t.socket); path != "" {
		places, from = []string{path}, "--control-socket"
	} else if path := strings.TrimSpace(t.getenv(socketVariable)); path != "" {
		places, from = []string{path}, socketVariable
	}
	if from != "" && places[0] == "none" {
		return nil, &noInitd{from: from, off: true}
	}
	none := &noInitd{from: from}
	for _, path := range places {
		c, err := control.Dial(path)
		if err == nil {
			if err = isInitd(c, path, from != ""); err == nil {
				return &connection{c, path}, nil
			}
			c.Close()
		}
		none.tried = append(none.tried, attempt{path, err})
	}
	return nil, none
}

// isInitd refuses what may be no initd, or not the one that was meant. At a default place
// that nobody has named, only PID 1 is: all containers of a pod share one /dev/shm. PID 1
// itself is always trusted. Elsewhere, whoever can write to the directory can make a
// socket. It is initd's if root or the user of initctl listens, or the owner of a
// directory that nobody else can write to.
func isInitd(c *control.Client, path string, named bool) error {
	pid, uid, err := c.Peer()
	switch {
	case err != nil:
		return err
	case pid == 1:
		return nil
	case !named && slices.Contains(control.Places, path):
		return errors.New("another container's initd listens there, or one that is not PID 1; to use it, set --control-socket")
	case uid == 0 || uid == os.Geteuid():
		return nil
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err == nil && dir.Mode().Perm()&0o022 == 0 && dir.Sys().(*syscall.Stat_t).Uid == uint32(uid) {
		return nil
	}
	return fmt.Errorf("uid %d listens there, which is neither root nor the user of initctl, and may be no initd: use a directory that belongs to that user", uid)
}

// noInitd is the error of a search for an initd that found none.
type noInitd struct {
	from  string // the flag or variable that named the place; empty: nobody did
	off   bool   // the setting turns the socket off
	tried []attempt
}

type attempt struct {
	path string
	err  error
}

func (n *noInitd) Error() string {
	if n.off {
		return "no initd can be asked: " + n.from + " is none"
	}
	var tried []string
	for _, a := range n.tried {
		tried = append(tried, a.path+": "+a.reason())
	}
	return "no initd answers: " + strings.Join(tried, "; ")
}

// hint is what can be done about it.
func (n *noInitd) hint() string {
	for _, a := range n.tried {
		if errors.Is(a.err, fs.ErrPermission) {
			return "Only root and the user that initd runs as may connect: run initctl as one of them (docker exec --user)."
		}
	}
	switch {
	case n.off:
		return "Start initd with " + socketVariable + "=PATH, and initctl with the same."
	case n.from != "":
		return n.from + " names this place. Run initctl in the container of initd, and start initd with control-socket=" + n.tried[0].path + "."
	}
	return "initd has a socket there if it is PID 1 and not a plain init (respawn=never), and elsewhere only if its setting\n" +
		"control-socket says so. Run initctl in the container of initd (docker exec), or name that other socket to initctl by\n" +
		"--control-socket or SERVER_STARTER_CONTROL_SOCKET."
}

// reason is the error of connect(2) in a few words.
func (a attempt) reason() string {
	err := a.err
	switch info, _ := os.Stat(a.path); {
	case errors.Is(err, syscall.EINVAL):
		return "longer than a unix socket's path can be, 107 bytes" // unix(7)
	case errors.Is(err, syscall.ECONNREFUSED) && info != nil && info.Mode().Type() != fs.ModeSocket:
		return "not a socket"
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens, the initd that made it has ended"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// lostInitd is an initd that was there and is no more.
type lostInitd struct {
	path string
	err  error
}

func (l *lostInitd) Error() string {
	return fmt.Sprintf("initd at %s closed the connection", l.path)
}
func (l *lostInitd) Unwrap() error { return l.err }

// follow is the client's, with errors that a user understands: that ctx is done,
// or a *lostInitd.
func (c *connection) follow(ctx context.Context, r control.Request) iter.Seq2[control.Answer, error] {
	return func(yield func(control.Answer, error) bool) {
		for a, err := range c.Client.Follow(ctx, r) {
			if !yield(a, c.explain(ctx, err)) {
				return
			}
		}
	}
}

// explain turns an error of the client into one that a user understands.
func (c *connection) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		<-ctx.Done() // the connection's deadline is the same, and may be a moment earlier
		return context.Cause(ctx)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return &lostInitd{c.path, err}
	}
	return err
}
