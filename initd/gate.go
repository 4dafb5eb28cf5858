package initd

import "time"

// gate is for what may block for ever, because a file system hangs for instance. It lets
// one goroutine in at a time: where that does not come back, one thread is lost, however
// often the same is tried again.
type gate struct {
	start func(func()) // a goroutine
	inner chan struct{}
}

func newGate(start func(func())) gate { return gate{start, make(chan struct{}, 1)} }

// pass calls f in a goroutine, once no other is in the gate, and reports whether f has
// returned within the limit. It blocks for as long, and so is not for the loop.
func (g gate) pass(limit time.Duration, f func()) bool {
	over := time.After(limit)
	select {
	case g.inner <- struct{}{}:
	case <-over:
		return false
	}
	done := make(chan struct{})
	g.start(func() {
		defer close(done)
		defer func() { <-g.inner }()
		f()
	})
	select {
	case <-done:
		return true
	case <-over:
	}
	select {
	case <-done: // initd itself may have been suspended
		return true
	default:
		return false
	}
}

// occupied reports whether somebody is in the gate. Where only one goroutine uses it, pass
// does not wait for another after that.
func (g gate) occupied() bool { return len(g.inner) > 0 }
