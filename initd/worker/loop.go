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
// no limit. The process is to end then, and initd starts another in its place. Where
// that one shall be ready first, leave the limit to initd's max-requests.
//
// When it first accepts it says READY=1. TERM, INT and QUIT tell it to stop, and so does
// the end of ctx: the connection that it has is still served, the next one is the
// successor's. Loop closes l. Each connection counts as a request, as by [Request]. An
// error is that of accepting, which is tried again where it passes by itself.
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

// passes says that accepting fails for want of something that may be there again soon:
// files or memory, accept(2).
func passes(err error) bool {
	for _, want := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}
