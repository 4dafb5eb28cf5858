// Package web serves the status of initd over HTTP: checks of its health,
// metrics, its status and a page that shows it. PID 1 speaks no HTTP. This runs in
// a process of its own, which may fall and is started again.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"server-starter/initd/control"
)

const (
	timeout   = 2 * time.Second        // for which initd may leave a request without an answer
	freshness = 200 * time.Millisecond // for which an answer is as good as a new one
	farewell  = time.Second            // for which requests may go on when ctx is done
	mostConns = 256                    // connections at a time
)

// Serve answers HTTP requests on l, which it closes, until ctx is done, and then
// returns nil. Requests have to be for an address, localhost, or one of names. It asks initd for health and status alone, however many clients
// there are at most one of each at a time, and an answer is used again for 200 ms.
//
// Asking is given ctx, and no shorter time: what is too late for one client is
// good for the next. A [*control.Refusal] is answered to the client. Any other error
// means that initd has gone, or that this process was cut off from it, and so
// does it for Serve, which returns the error.
func Serve(ctx context.Context, l net.Listener, names []string, ask func(context.Context, control.Request) (control.Answer, error)) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	gone := make(chan error, 1)
	question := func(what string) *share {
		return &share{ask: func() (control.Answer, error) {
			a, err := ask(asking, control.Request{Request: what})
			var refusal *control.Refusal
			if err != nil && !errors.As(err, &refusal) && asking.Err() == nil {
				err = fmt.Errorf("ask initd for %s: %w", what, err)
				select {
				case gone <- err:
				default:
				}
			}
			return a, err
		}}
	}
	conns := &bounded{most: mostConns}
	server := &http.Server{
		Handler:           site{question(control.AskHealth), question(control.AskStatus), lower(names)},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ConnState:         conns.note,

		DisableGeneralOptionsHandler: true, // OPTIONS is refused as any other, for * too
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	var err error
	select {
	case err = <-ended:
		err = fmt.Errorf("serve HTTP: %w", err)
	case err = <-gone:
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if server.Shutdown(limit) != nil {
		server.Close()
	}
	return err
}
