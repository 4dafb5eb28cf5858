package initd

import (
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

// takeSurvey starts a survey in a goroutine. The machine asks for one at a time.
func (l *loop) takeSurvey() {
	rows := map[int]int{}
	for pid, w := range l.children.workers {
		rows[pid] = w.row
	}
	take := l.survey.Begin(l.now(), rows)
	l.inbox.start(func() {
		seen, problem := take()
		if problem != "" {
			l.inbox.post(warning{eventlog.Survey, problem})
		}
		l.inbox.post(surveyed{seen})
	})
}
