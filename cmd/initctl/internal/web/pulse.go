package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
)

// pulseEvery is how often this process shows initd that it serves; it has a minute.
const pulseEvery = 20 * time.Second

// Pulse shows initd that this process serves at an address, until ctx is done.
func Pulse(ctx context.Context, address string, ask func(context.Context, control.Request) (control.Answer, error)) {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	pulse(ctx, ticker.C, address, ask)
}

// pulse requests /livez at the own address at each tick, for which initd is asked for
// its health. If this process cannot accept, or answer, initd is not asked, and starts
// another. Where no network leads to the address initd is asked directly.
func pulse(ctx context.Context, ticks <-chan time.Time, address string, ask func(context.Context, control.Request) (control.Answer, error)) {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address) // which may have a zone, and no URL has that as it is: RFC 6874
	}
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	for {
		select {
		case <-ticks:
		case <-ctx.Done():
			return
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/livez", nil)
		if err != nil {
			return
		}
		response, err := client.Do(request)
		switch {
		case err == nil:
			response.Body.Close()
		case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EADDRNOTAVAIL):
			ask(ctx, control.Request{Request: control.AskHealth})
		}
	}
}
