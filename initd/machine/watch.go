package machine

import (
	"fmt"
	"time"
)

// Changed: a file that is watched has other content.
type Changed struct{ Name string }

func (e Changed) String() string { return fmt.Sprintf("changed name=%q", e.Name) }

// debounce waits until the files that change have been left alone for a while, but
// not for ever.
type debounce struct{ first, last time.Time } // of the changes; zero: there are none

// maxDebounces limits the wait for files that change all the time.
const maxDebounces = 10

func (e Changed) apply(m *Machine) {
	if m.phase != operating || m.policy.Respawn == Never {
		return
	}
	if m.watch.last = m.now; m.watch.first.IsZero() {
		m.watch.first = m.now
	}
}

// swapChanged asks for a swap once the changes are over.
func (m *Machine) swapChanged() {
	if m.watch.first.IsZero() {
		return
	}
	quiet, limit := m.watch.last.Add(m.policy.Debounce), m.watch.first.Add(times(m.policy.Debounce, maxDebounces))
	if m.due(quiet) || m.due(limit) {
		m.watch, m.changed = debounce{}, true
		m.request(OnWatch)
	}
}
