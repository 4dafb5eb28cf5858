package initd

import (
	"slices"
	"time"
)

// clock is the time of the machine. It stands still while the loop could not turn:
// while initd was stopped (docker pause, SIGSTOP), or a turn took long. What workers
// have sent in that time could not be received, and where they were stopped as well
// they could send nothing. A suspended computer is no such case, as time.Now does not
// count that time; CLOCK_MONOTONIC in clock_gettime(2).
type clock struct {
	kernel func() time.Time
	turned time.Time     // when the loop turned last
	next   time.Time     // when it was to turn again at the latest; zero: when something happens
	lost   time.Duration // time that does not count
	before time.Duration // the same, before the first of the pauses
	pauses []pause       // the last of them, oldest first
}

// pause is a time that does not count.
type pause struct {
	at   time.Time     // of the machine
	lost time.Duration // from the start to its end
}

const (
	// punctual is how late the loop may be for no other reason than that others
	// have the processors. The machine's time advances by as much between two pauses, so
	// that it gets on even where the loop is always late.
	punctual   = 100 * time.Millisecond
	keptPauses = 64
)

// now is the time of the machine, and is called at least once in each turn.
func (c *clock) now() time.Time {
	now := c.kernel()
	if late := !c.next.IsZero() && now.Sub(c.next) > punctual; late && c.advanced() {
		// By a nanosecond it goes on, so that what was before the pause and what comes
		// after can be told apart.
		c.lost += now.Sub(c.turned) - 1
		if len(c.pauses) == keptPauses {
			c.before = c.pauses[0].lost
			c.pauses = slices.Delete(c.pauses, 0, 1)
		}
		c.pauses = append(c.pauses, pause{c.turned.Add(-c.lost + now.Sub(c.turned) - 1), c.lost})
	}
	c.turned, c.next = now, now
	return now.Add(-c.lost)
}

// advanced reports whether time has passed since the last pause.
func (c *clock) advanced() bool {
	if len(c.pauses) == 0 {
		return true
	}
	last := c.pauses[len(c.pauses)-1]
	return c.turned.Add(-c.lost).Sub(last.at) >= punctual
}

// wait notes that the loop waits until a time of the machine, zero for as long as
// nothing happens, and returns how long that is.
func (c *clock) wait(until time.Time) time.Duration {
	now := c.now()
	if until.IsZero() {
		c.next = until
		return 0
	}
	c.next = until.Add(c.lost)
	return until.Sub(now)
}

// real is what the time was at a time of the machine.
func (c *clock) real(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	for _, s := range slices.Backward(c.pauses) {
		if s.at.Before(t) {
			return t.Add(s.lost)
		}
	}
	return t.Add(c.before)
}
