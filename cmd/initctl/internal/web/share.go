package web

import (
	"context"
	"fmt"
	"sync"
	"time"

	"server-starter/initd/control"
)

// A share asks initd for all who want to know the same: one request is under way
// at most, and its answer serves those who come within its freshness, too.
type share struct {
	ask func() (control.Answer, error) // returns when the connection breaks at the latest

	mu     sync.Mutex
	flight *flight // the last request; nil before the first
}

// A flight is a request. What follows done is set once that is closed.
type flight struct {
	began  time.Time
	done   chan struct{}
	ended  time.Time
	answer control.Answer
	err    error
}

// get returns an answer, or an error when initd has not answered within timeout.
// That runs from the request, not from when this one has come to wait for it.
func (s *share) get(ctx context.Context) (control.Answer, error) {
	f := s.join()
	late := time.NewTimer(time.Until(f.began.Add(timeout)))
	defer late.Stop()
	select {
	case <-f.done:
		return f.answer, f.err
	default:
	}
	select {
	case <-f.done:
		return f.answer, f.err
	case <-late.C:
		return control.Answer{}, fmt.Errorf("no answer from initd for %.1f s", time.Since(f.began).Seconds())
	case <-ctx.Done():
		return control.Answer{}, ctx.Err()
	}
}

// join returns the request that is under way, the last one if that is fresh, or
// a new one.
func (s *share) join() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flight; f != nil {
		select {
		case <-f.done:
			if time.Since(f.ended) < freshness {
				return f
			}
		default:
			return f
		}
	}
	f := &flight{began: time.Now(), done: make(chan struct{})}
	s.flight = f
	go func() {
		defer close(f.done)
		f.answer, f.err = s.ask()
		f.ended = time.Now()
	}()
	return f
}
