package web

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"server-starter/initd/control"
)

// TestPulse: initd is asked as long as requests are answered, and no longer.
func TestPulse(t *testing.T) {
	var asked atomic.Int32
	ask := func(ctx context.Context, r control.Request) (control.Answer, error) {
		asked.Add(1)
		return says(control.Status{Health: control.Health{Live: true}})(ctx, r)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, l, nil, ask) }()
	ticks := make(chan time.Time)
	pulsing, end := context.WithCancel(t.Context())
	over := make(chan bool)
	go func() {
		pulse(pulsing, ticks, l.Addr().String(), ask)
		close(over)
	}()
	ticks <- time.Now()
	ticks <- time.Now() // the first is over
	if asked.Load() == 0 {
		t.Error("initd was not asked")
	}
	ticks <- time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	before := asked.Load()
	ticks <- time.Now()
	ticks <- time.Now()
	if asked.Load() != before {
		t.Error("initd was asked although nobody serves")
	}
	end()
	<-over
}
