package worker

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os/signal"
	"syscall"
	"time"
)

// Loop is the main loop of a preforking worker: it accepts one connection after the
// other, has each served by handle, closes it, and returns nil after limit of them; 0 is
// no limit. Then the process should end, and initd starts another in its place. If that
// one should be ready before, use initd's max-requests instead of the limit.
//
// When it first accepts, it calls Ready. TERM, INT and QUIT stop it, and so does the end
// of ctx: the connection that it has is still served, the next one is for the
// successor. Loop closes l. Each connection counts as a request, as by [Request]. The
// error is that of accept(2), which is tried again if the cause may go away.
func Loop(ctx context.Context, l net.Listener, limit int, handle func(net.Conn)) error {
	ctx, release := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer release()
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	takePart()
	if err := Ready(); err != nil {
		log.Print(err)
	}
	for served := 0; limit == 0 || served < limit; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			one(conn, handle)
			served++
		case ctx.Err() != nil:
			return nil
		case passes(err):
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			return fmt.Errorf("loop: %w", err)
		}
	}
	return nil
}

func one(conn net.Conn, handle func(net.Conn)) {
	defer conn.Close()
	defer Request()()
	handle(conn)
}

// passes reports whether accepting fails for lack of something that may soon be
// available again: files or memory, accept(2).
func passes(err error) bool {
	for _, want := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}
