package settings

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A command line is read as Getopt::Long reads start_server's.
func TestTranslate(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--port=80 --port 81 -- server -x", "--port=80 --port=81 -- server -x"},
		{"--port=80 server", "--port=80 -- server"},
		{"-port=80 -path /s server", "--port=80 --path=/s -- server"},
		{"server --port 80 arg -- --port=81", "--port=80 -- server arg --port=81"},
		{"--PORT=80 --Signal-On-HUP USR1 server", "--port=80 --signal-on-hup=USR1 -- server"},
		{"--signal-on-h=INT --sta x --int=3 --da --log x server", "--signal-on-hup=INT --status-file=x --interval=3 --daemonize --log-file=x -- server"},
		{"--enable --auto=9 --kill 3 server", "--enable-auto-restart --auto-restart-interval=9 --kill-old-delay=3 -- server"},
		{"--enable-auto-restart=1 server", "--enable-auto-restart=1 -- server"},
		{"--enable-auto-restart 1", "--enable-auto-restart -- 1"}, // it takes no word
		{"--port -1 --dir -- server", "--port=-1 --dir=-- -- server"},
		{"--p=80 server", "--p=80 -- server"}, // port, path or pid-file: an error
		{"--restart --pid x --status y", "--restart --pid-file=x --status-file=y --"},
		{"-h", "--help --"},
		{"-v", "--version --"},
		{"--ready=notify --re server", "--ready=notify --restart -- server"}, // only start_server's may be cut short
		{"server - -- -", "-- server - -"},
		{"+port=80 server", "--port=80 -- server"},
		{"--port", "--port --"},
	} {
		if got := strings.Join(translate(strings.Fields(test.args)), " "); got != test.want {
			t.Errorf("%s: got  %s\nwant %s", test.args, got, test.want)
		}
	}
	t.Setenv("POSIXLY_CORRECT", "")
	if got := strings.Join(translate(strings.Fields("--port 80 server --port 81")), " "); got != "--port=80 -- server --port 81" {
		t.Errorf("with POSIXLY_CORRECT: %s", got)
	}
}

func TestStartServer(t *testing.T) {
	environment(t, "KILL_OLD_DELAY=7")
	s, err := LoadStartServer([]string{"--port=80", "--envdir", "/e", "--enable-auto-restart", "--auto-restart-interval=60", "--", "server", "--port=1"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Command, []string{"server", "--port=1"}) || time.Duration(s.KillOldDelay) != 7*time.Second {
		t.Errorf("got %+v", s)
	}
	if want := []string{"ENVDIR=/e", "ENABLE_AUTO_RESTART=1", "AUTO_RESTART_INTERVAL=60"}; !slices.Equal(s.Handed, want) {
		t.Errorf("handed on: %q, want %q", s.Handed, want)
	}
	if s, err := LoadStartServer([]string{"--version"}); err != nil || s.Answer != "0.35 (initd "+Version+")\n" {
		t.Errorf("--version: %q, %v", s.Answer, err)
	}
	if s, err := LoadStartServer([]string{"-help"}); err != nil || s.Answer != FullUsage() {
		t.Errorf("-help: %q, %v", s.Answer, err)
	}
	for _, args := range [][]string{{"--port=", "server"}, {"server", "-path="}, {"--pid=", "server"}, {"--interval=", "server"}} {
		if s, err := LoadStartServer(args); err == nil || strings.Count(err.Error(), "needs a value") != 1 {
			t.Errorf("%q: %+v, %v", args, s, err)
		}
	}
	if _, err := LoadStartServer([]string{"--port=80", "--", "server", "--path="}); err != nil {
		t.Error(err)
	}
	if s := load(t, "--kill-old-delay=3", "true"); s.Handed != nil {
		t.Errorf("under its own name initd hands on %q", s.Handed)
	}
	os.Unsetenv("KILL_OLD_DELAY")
}
