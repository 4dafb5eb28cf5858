package initd

import (
	"fmt"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/settings"
	"server-starter/initd/survey"
)

// openSurvey sets up surveys, which look for what the settings need only.
func (up *setup) openSurvey() {
	s := up.settings
	up.survey = &survey.Surveyor{
		Growth: int(s.MaxWorkers) > int(s.Workers), Requests: s.MaxRequests > 0, Memory: s.MaxMemory > 0, Disconnects: watchesDisconnects(s),
		Row: up.board.Read, Sockets: up.sockets, PerSlot: bool(s.ReusePort),
	}
}

// watchesDisconnects reports whether somebody wants to know that a worker is
// busy for clients that have gone.
func watchesDisconnects(s *settings.Settings) bool {
	return s.DisconnectSignal != 0 || len(s.HookOnDisconnect) > 0
}

// surveyLimit is how long a survey may take. One that takes longer is as if it had seen
// the queues alone; what it waits for in the kernel concerns none but itself.
const surveyLimit = 10 * time.Second

// takeSurvey starts a survey in a goroutine. The machine asks for one at a time.
func (l *loop) takeSurvey() {
	rows := map[int]int{}
	for pid, w := range l.children.workers {
		rows[pid] = w.row
	}
	queues, take := l.survey.Begin(l.now(), rows)
	l.inbox.start(func() {
		taken := make(chan surveyed, 1)
		ended := l.surveys.pass(surveyLimit, func() {
			seen, problem := take()
			taken <- surveyed{seen, problem}
		})
		if !ended {
			late := surveyed{queues, fmt.Sprintf("a survey of the workers has not ended within %v", surveyLimit)}
			select {
			case taken <- late:
			default: // it has, by now
			}
		}
		l.inbox.post(<-taken)
	})
}

// surveyed is for a survey that has ended. Of several in a row that are late for a
// reason the first is logged.
func (l *loop) surveyed(m surveyed) {
	if m.problem != "" && m.problem != l.unsurveyed {
		l.log.Warn(eventlog.Survey, m.problem)
	}
	l.unsurveyed = m.problem
	l.then(m.Surveyed)
}
