package machine

import "time"

// service is a process that is kept running beside the workers: it is started
// before them, and again whenever it ends. The log commands take the output of
// the workers and of initd, and outlive them all: they read from a pipe, which
// holds what is written while none runs. The HTTP process is a child like any
// other when initd ends.
type service struct {
	runs     bool
	startAt  time.Time // when it may be started, if it does not run; zero before Begin
	started  time.Time
	failures int // times in a row that it has not lived for the interval
}

// startServices starts the services that do not run and whose back-off is over.
// The log commands are needed until the exit, for the last line of the last worker.
// The HTTP process is not, once the orphans were asked to end.
func (m *Machine) startServices() {
	if m.phase == exited {
		return
	}
	for i := range m.logCommands {
		m.logCommands[i].start(m, StartLogCommand{i})
	}
	if m.phase < orphaned {
		m.http.start(m, StartHTTP{})
	}
}

// start starts a service when it is time.
func (s *service) start(m *Machine, action Action) {
	if !s.runs && m.due(s.startAt) {
		s.runs, s.started = true, m.now
		m.do(action)
	}
}

// ended decides when the service is started again: at once if it had lived for the
// interval, else after the back-off.
func (s *service) ended(m *Machine) {
	if !s.runs {
		return
	}
	if s.runs = false; m.now.Sub(s.started) >= m.policy.interval() {
		s.failures = 0
	}
	s.failures++
	s.startAt = s.started.Add(m.policy.backoff(s.failures))
}

// startLastLogCommands starts the log commands whose back-off is not over: nobody
// else will read what is left in their pipes.
func (m *Machine) startLastLogCommands() {
	for i := range m.logCommands {
		if s := &m.logCommands[i]; !s.runs && !s.startAt.IsZero() {
			s.runs = true
			m.do(StartLogCommand{i})
		}
	}
}

// stopHTTP ends the HTTP process where orphans are left alone: without initd there
// is nothing that it could serve.
func (m *Machine) stopHTTP() {
	if m.http.runs {
		m.http.runs = false
		m.do(StopHTTP{})
	}
}

func (e LogCommandEnded) apply(m *Machine) {
	if 0 <= e.Number && e.Number < len(m.logCommands) {
		m.logCommands[e.Number].ended(m)
	}
}

func (HTTPEnded) apply(m *Machine) { m.http.ended(m) }
