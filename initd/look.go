package initd

import (
	"errors"
	"time"

	"server-starter/initd/proc"
)

// looks are at what a process has in its memory or open, by which the loop finds out whom
// an orphan belongs to. They may block for ever: in the kernel, where the process holds
// the lock of its memory in uninterruptible sleep, or behind a survey that does;
// proc_pid_environ(5).
type looks struct {
	gate
	limit  time.Duration // how long the loop waits for a look
	reader proc.Reader   // of the goroutine in the gate
}

// lookLimit is the limit of looks: what is not seen by then belongs to nobody, so it is
// longer than a busy machine needs.
const lookLimit = time.Second

var errStuck = errors.New("a process cannot be looked at, or one before it")

func newLooks(start func(func())) *looks { return &looks{gate: newGate(start), limit: lookLimit} }

// look returns what f finds, and errStuck if that takes too long, or at once while an
// earlier one has not come back.
func look[T any](l *looks, f func(*proc.Reader) (T, error)) (found T, err error) {
	if l.occupied() {
		return found, errStuck
	}
	type result struct {
		found T
		err   error
	}
	done := make(chan result, 1)
	if !l.pass(l.limit, func() {
		found, err := f(&l.reader)
		done <- result{found, err}
	}) {
		return found, errStuck
	}
	r := <-done
	return r.found, r.err
}
