package settings

import (
	"slices"
	"testing"
)

// What initd sets for workers and hooks is no slip where another initd, or start_server, has started this one.
func TestStrays(t *testing.T) {
	const ignored = ": ignored, because initd sets it for its own workers and hooks"
	for _, test := range []struct{ environ, want []string }{
		{[]string{"SERVER_STARTER_WORKER=4"}, []string{"SERVER_STARTER_WORKER" + ignored + ", and it is not a setting; did you mean SERVER_STARTER_WORKERS?"}},
		{[]string{"SERVER_STARTER_PID=/run/pid"}, []string{"SERVER_STARTER_PID" + ignored + ", and it is not a setting; did you mean SERVER_STARTER_PID_FILE?"}},
		{[]string{"SERVER_STARTER_GENERATION=4", "SERVER_STARTER_PORT=8080"}, []string{"SERVER_STARTER_GENERATION" + ignored}},
		{[]string{"SERVER_STARTER_SCOREBOARD=4"}, []string{"SERVER_STARTER_SCOREBOARD: ignored, because a number is what initd sets for its own workers"}},
		{[]string{"SERVER_STARTER_EVENT=x", "SERVER_STARTER_REASON="}, []string{"SERVER_STARTER_EVENT" + ignored}},
		{[]string{"SERVER_STARTER_WORKER=4", "SERVER_STARTER_GENERATION=1", "SERVER_STARTER_SCOREBOARD=4", "SERVER_STARTER_SCOREBOARD_ROW=4"}, nil}, // a worker
		{[]string{"SERVER_STARTER_GENERATION=1", "SERVER_STARTER_PORT=8080=3"}, nil},                                                                // a worker of start_server
		{[]string{"SERVER_STARTER_GENERATION=1", "SERVER_STARTER_PORT="}, nil},
		{[]string{"SERVER_STARTER_EVENT=after-init", "SERVER_STARTER_RESULT=success", "SERVER_STARTER_REASON="}, nil}, // a hook
		{[]string{"SERVER_STARTER_WORKER= ", "SERVER_STARTER_SCOREBOARD=/dev/shm/s", "NOTIFY_SOCKET=@x"}, nil},
	} {
		environment(t, test.environ...)
		s := &Settings{sources: map[string]source{}}
		s.unknown()
		if !slices.Equal(s.Notes, test.want) {
			t.Errorf("%q:\n%q, want\n%q", test.environ, s.Notes, test.want)
		}
	}
}
