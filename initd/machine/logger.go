package machine

import "time"

// logger is a command that takes the output of the workers and of initd. It is
// started before them, again whenever it ends, and outlives them all: what it
// reads from is a pipe, which holds what is written meanwhile.
type logger struct {
	runs     bool
	startAt  time.Time // when it may be started, if it does not run; zero before Begin
	started  time.Time
	failures int // times in a row that it has not lived for the interval
}

// startLoggers starts the loggers that do not run and whose back-off is over,
// until the exit: also the last line of the last worker is to be taken.
func (m *Machine) startLoggers() {
	if m.phase == exited {
		return
	}
	for i := range m.loggers {
		if l := &m.loggers[i]; !l.runs && m.due(l.startAt) {
			l.runs, l.started = true, m.now
			m.do(StartLogger{i})
		}
	}
}

// lastLoggers starts those whose back-off is not over: nobody else will take
// what their pipes hold.
func (m *Machine) lastLoggers() {
	for i := range m.loggers {
		if l := &m.loggers[i]; !l.runs && !l.startAt.IsZero() {
			l.runs = true
			m.do(StartLogger{i})
		}
	}
}

// ended sees to its next start: at once if it had lived for the interval, else
// with the back-off.
func (l *logger) ended(m *Machine) {
	if l.runs = false; m.now.Sub(l.started) >= m.policy.settled() {
		l.failures = 0
	}
	l.failures++
	l.startAt = l.started.Add(m.policy.backoff(l.failures))
}
