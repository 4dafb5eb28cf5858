package control

import (
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// report is the status as it is sent. It is good for a moment: of many clients that
// ask at the same time one has it made for all, and who asks all the time costs no
// more than who asks ten times a second.
type report struct {
	mu    sync.Mutex
	text  []byte
	state int64 // of the server, when it was asked for
	asked time.Time
}

// freshFor is how long a report is good if nothing changes.
const freshFor = 100 * time.Millisecond

// Changed notes that something has changed, so that no report made before is good
// any more. It never waits.
func (s *Server) Changed() { s.state.Add(1) }

// status is the status as JSON, from the loop or as the last client got it.
func (s *Server) status() ([]byte, error) {
	r := &s.report
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.text != nil && r.state == s.state.Load() && time.Since(r.asked) < freshFor {
		return r.text, nil
	}
	r.text, r.state, r.asked = nil, s.state.Load(), time.Now()
	a, err := s.ask(Request{Request: AskStatus}, false)
	if err != nil {
		return nil, err
	}
	if a.Status == nil {
		return nil, errors.New(a.Error)
	}
	s.complete(a.Status)
	for i := range a.Status.Swaps {
		if lines := a.Status.Swaps[i].Lines; lines != nil {
			a.Status.Swaps[i].Stderr = lines()
		}
	}
	text, err := json.Marshal(a.Status)
	if err == nil {
		r.text = text
	}
	return text, err
}
