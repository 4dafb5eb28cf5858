package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"server-starter/initd/eventlog"
	"time"
)

// PublishOutcome sends an outcome to the clients that wait for its ticket. It never
// waits.
func (s *Server) PublishOutcome(o Outcome) { s.outcomes.add(o) }

// corrected is the outcome of a ticket with what was published of it from an entry on: a
// swap whose generation is lost soon after it was ready has failed after all.
func (s *Server) corrected(o Outcome, from int64) Outcome {
	later, _, _ := s.outcomes.from(from, keptOutcomes)
	for _, other := range later {
		if other.Ticket == o.Ticket {
			o = other
		}
	}
	return o
}

// Subscribed reports whether a client has subscribed to events.
func (s *Server) Subscribed() bool { return s.subscribers.Load() > 0 }

// Publish sends an event, a JSON object, which is copied, to the subscribers. It
// never waits.
func (s *Server) Publish(event []byte) {
	if !s.Subscribed() {
		return
	}
	s.mu.Lock()
	events := s.events
	s.mu.Unlock()
	if events == nil {
		return
	}
	line := bytes.NewBuffer(make([]byte, 0, min(len(event), maxEvent)))
	if len(event) > maxEvent || json.Compact(line, event) != nil {
		events.add(missedEvents(1))
		return
	}
	events.add(line.Bytes())
}

// missedEvents is the event that stands for n that a subscriber does not get.
func missedEvents(n int64) json.RawMessage {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"%d events were missed: the client reads too slowly, or they are too long","event":%q,"count":%d}`,
		time.Now().UTC().Format(time.RFC3339Nano), n, eventlog.Missed, n)
}

// subscribe returns the journal of events, which is kept until the last subscriber
// has called unsubscribe.
func (s *Server) subscribe() (events *journal[json.RawMessage], unsubscribe func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		s.events = newJournal[json.RawMessage](keptEvents)
	}
	s.subscribers.Add(1)
	return s.events, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.subscribers.Add(-1) == 0 {
			s.events = nil
		}
	}
}
