package web

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
)

// TestPulse: initd is asked as long as requests are answered, and no longer.
func TestPulse(t *testing.T) {
	// An address with a zone; that of the loopback interface is the same with any.
	for _, address := range []string{"127.0.0.1:0", "[::1%lo]:0"} {
		t.Run(address, func(t *testing.T) { testPulse(t, address) })
	}
}

func testPulse(t *testing.T, address string) {
	var asked atomic.Int32
	ask := func(ctx context.Context, r control.Request) (control.Answer, error) {
		asked.Add(1)
		return says(control.Status{Health: control.Health{Live: true}})(ctx, r)
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("needs IPv6: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if host, zone, _ := strings.Cut(address, "%"); zone != "" { // which the listener does not show
		_, port, _ := net.SplitHostPort(l.Addr().String())
		address = host + "%lo]:" + port
	} else {
		address = l.Addr().String()
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, l, nil, ask) }()
	ticks := make(chan time.Time)
	pulsing, end := context.WithCancel(t.Context())
	over := make(chan bool)
	go func() {
		pulse(pulsing, ticks, address, ask)
		close(over)
	}()
	tick := func() {
		t.Helper()
		select {
		case ticks <- time.Now():
		case <-over:
			t.Fatal("the pulse has ended")
		}
	}
	tick()
	tick() // the first is over
	if asked.Load() == 0 {
		t.Error("initd was not asked")
	}
	tick()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	before := asked.Load()
	tick()
	tick()
	if asked.Load() != before {
		t.Error("initd was asked although nobody serves")
	}
	end()
	<-over
}
