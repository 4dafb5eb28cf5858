package doctor

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A tally is how requests ended.
type tally struct {
	done int
	lost map[string]int // by reason
}

func (t tally) losses() (n int) {
	for _, count := range t.lost {
		n += count
	}
	return n
}

// A load is some clients, each of which asks again and again.
type load struct {
	mu      sync.Mutex
	tally   tally
	busy    atomic.Bool // ask without a pause
	over    chan struct{}
	clients sync.WaitGroup
}

const (
	clients = 8
	halves  = 2 // to each listener
	pause   = 5 * time.Millisecond
)

func startLoad(on []*target) *load {
	l := &load{over: make(chan struct{})}
	l.take()
	for i := range max(clients, len(on)) {
		if len(on) > 0 && on[i%len(on)].network != "udp" {
			l.clients.Go(func() { l.run(on[i%len(on)]) })
		}
	}
	return l
}

func (l *load) run(t *target) {
	for {
		err := l.count(t.ask(nil))
		wait := pause
		if l.busy.Load() && err == nil {
			wait = 0
		}
		select {
		case <-l.over:
			return
		case <-time.After(wait):
		}
	}
}

func (l *load) count(err error) error {
	if errors.Is(err, syscall.EADDRNOTAVAIL) { // the client's own ports are used up
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.tally.done++
	} else {
		l.tally.lost[reason(err)]++
	}
	return err
}

// sendHalf sends a few requests by half until the channel is closed: quick ones
// are seldom under way at the very moment of a signal. It reports whether there
// are any.
func (l *load) sendHalf(on []*target, hold <-chan struct{}) (any bool) {
	for _, t := range on {
		if t.behaviour == http {
			any = true
			for range halves {
				l.clients.Go(func() { l.count(t.ask(hold)) })
			}
		}
	}
	return any
}

// take returns what was counted since it was last called.
func (l *load) take() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	counted := l.tally
	l.tally = tally{lost: map[string]int{}}
	return counted
}

func reason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in " + askTime.String()
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}
