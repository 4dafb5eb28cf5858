package control

import (
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// report is the status as it is sent, and is good for a moment: of many who ask
// at the same time, one makes it for all, and what asks all the time costs what
// asks ten times a second does.
type report struct {
	mu    sync.Mutex
	text  []byte
	state int64 // of the server, when it was asked for
	asked time.Time
}

// freshFor is how long a report is good unless something happens.
const freshFor = 100 * time.Millisecond

// Changed says that something has happened, so that no report made before is
// good any more. It never waits.
func (s *Server) Changed() { s.state.Add(1) }

// status is the status as JSON, from where calls are answered or from the last
// who has asked.
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
	text, err := json.Marshal(a.Status)
	if err == nil {
		r.text = text
	}
	return text, err
}
