package machine

import "time"

// attendant is a process that is kept beside the workers: started before them,
// and again whenever it ends. The loggers take the output of the workers and of
// initd, and outlive them all: what they read from is a pipe, which holds what is
// written meanwhile. The companion is a child like any other when initd ends.
type attendant struct {
	runs     bool
	startAt  time.Time // when it may be started, if it does not run; zero before Begin
	started  time.Time
	failures int // times in a row that it has not lived for the interval
}

// attend starts the attendants that do not run and whose back-off is over. The
// loggers are wanted until the exit: also the last line of the last worker is to
// be taken. The companion is not, once the orphans were told to end.
func (m *Machine) attend() {
	if m.phase == exited {
		return
	}
	for i := range m.loggers {
		m.loggers[i].start(m, StartLogger{i})
	}
	if m.phase < orphaned {
		m.companion.start(m, StartCompanion{})
	}
}

// start starts an attendant when it is time.
func (a *attendant) start(m *Machine, action Action) {
	if !a.runs && m.due(a.startAt) {
		a.runs, a.started = true, m.now
		m.do(action)
	}
}

// ended sees to its next start: at once if it had lived for the interval, else
// with the back-off.
func (a *attendant) ended(m *Machine) {
	if !a.runs {
		return
	}
	if a.runs = false; m.now.Sub(a.started) >= m.policy.settled() {
		a.failures = 0
	}
	a.failures++
	a.startAt = a.started.Add(m.policy.backoff(a.failures))
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

// stopCompanion ends the companion where orphans are left alone: it serves initd.
func (m *Machine) stopCompanion() {
	if m.companion.runs {
		m.companion.runs = false
		m.do(StopCompanion{})
	}
}

func (e LoggerEnded) apply(m *Machine) {
	if 0 <= e.Logger && e.Logger < len(m.loggers) {
		m.loggers[e.Logger].ended(m)
	}
}

func (CompanionEnded) apply(m *Machine) { m.companion.ended(m) }
