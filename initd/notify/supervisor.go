package notify

import (
	"sync"
	"time"
)

// Supervisor is what initd itself was started by, and reports to. A goroutine of its own
// sends the states, for the socket may be on a file system that hangs. A nil *Supervisor
// is none.
type Supervisor struct {
	states  chan string
	closing sync.Once
	done    chan struct{} // closed when all has been sent
}

// maxStates is how many states wait to be sent. If there are more, the newest are lost.
const maxStates = 64

// NewSupervisor returns the supervisor at an address, the value of NOTIFY_SOCKET; nil
// where that is empty. Start starts a goroutine; failed is called by it for each state
// that could not be sent.
func NewSupervisor(address string, start func(func()), failed func(error)) *Supervisor {
	if address == "" {
		return nil
	}
	s := &Supervisor{states: make(chan string, maxStates), done: make(chan struct{})}
	start(func() {
		defer close(s.done)
		for state := range s.states {
			if err := Send(address, state); err != nil {
				failed(err)
			}
		}
	})
	return s
}

// Send sends a state as [Send] does, after those before, soon.
func (s *Supervisor) Send(state string) {
	if s == nil {
		return
	}
	select {
	case s.states <- state:
	default:
	}
}

// Close waits until all has been sent, for at most the time given. It comes last, and may
// be called again.
func (s *Supervisor) Close(limit time.Duration) {
	if s == nil {
		return
	}
	s.closing.Do(func() { close(s.states) })
	select {
	case <-s.done:
	case <-time.After(limit):
	}
}
