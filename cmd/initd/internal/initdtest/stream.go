package initdtest

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Stream is the lines that a command has written so far. It is an io.Writer.
type Stream struct {
	mu      sync.Mutex
	lines   []string
	partial string
	closed  bool
	changed chan struct{} // closed at the next change
}

// NewStream is one of nothing yet.
func NewStream() *Stream { return &Stream{changed: make(chan struct{})} }

func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.partial+string(p), "\n")
	s.partial = lines[len(lines)-1]
	s.lines = append(s.lines, lines[:len(lines)-1]...)
	s.change()
	return len(p), nil
}

// Close ends the stream: no more lines will come.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.change()
}

func (s *Stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// After returns the lines from number n on, whether more may come, and a channel that is closed at the next change.
func (s *Stream) After(n int) (lines []string, closed bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines[n:], s.closed, s.changed
}

// Await returns the first line that matches, now or later.
func (s *Stream) Await(t testing.TB, what string, match func(line string) bool) string {
	t.Helper()
	late := time.After(Patience)
	for n := 0; ; {
		lines, closed, changed := s.After(n)
		for _, line := range lines {
			if match(line) {
				return line
			}
		}
		if closed {
			t.Fatalf("it ended without: %s", what)
		}
		n += len(lines)
		select {
		case <-changed:
		case <-late:
			t.Fatalf("never seen: %s", what)
		}
	}
}

// Tail is the end of what was written.
func (s *Stream) Tail() string {
	lines, _, _ := s.After(0)
	return Tail(strings.Join(lines, "\n"))
}
