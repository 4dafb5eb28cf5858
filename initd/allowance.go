package initd

import "time"

// An allowance limits how many lines of the log one worker causes by what it sends: so
// many in a period, and no more until that is over. The zero allowance has a new period
// ahead.
type allowance struct {
	until   time.Time // the end of the period
	left    int
	dropped int // since the last that was taken
}

const (
	linesAllowed  = 10
	allowedPeriod = 10 * time.Second
)

// take reports whether one more is allowed, and how many were dropped before it.
func (a *allowance) take(now time.Time) (dropped int, ok bool) {
	if !now.Before(a.until) {
		a.until, a.left = now.Add(allowedPeriod), linesAllowed
	}
	if a.left == 0 {
		a.dropped++
		return 0, false
	}
	a.left--
	dropped, a.dropped = a.dropped, 0
	return dropped, true
}
