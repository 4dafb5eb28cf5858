package settings

import "testing"

func TestRequest(t *testing.T) {
	environment(t)
	for _, test := range []struct {
		args []string
		want Request
	}{
		{[]string{"--restart", "--pid-file=p", "--status-file=s"}, Restart},
		{[]string{"--pid-file", "p", "--stop"}, Stop},
		{[]string{"--stop", "--pid-file=p", "--port=80", "--", "server"}, Stop}, // as it was started, and --stop
		{[]string{"--stop=no", "server"}, None},
		{[]string{"--check", "server"}, Check},
		{[]string{"--check"}, Check},
	} {
		if s := load(t, test.args...); s.Request != test.want {
			t.Errorf("Load(%q): %q, want %q", test.args, s.Request, test.want)
		}
	}
	environment(t, "SERVER_STARTER_PID_FILE=/p", "SERVER_STARTER_STATUS_FILE=/s")
	if s := load(t, "--restart"); s.Request != Restart || s.PidFile != "/p" || s.StatusFile != "/s" {
		t.Errorf("got %+v", s)
	}
}

func TestRequestWithout(t *testing.T) {
	environment(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--restart", "--status-file=s"}, `--restart: needs pid-file, to find the initd that is meant
      expected the pid-file that it was started with; example: --pid-file=/run/app.pid`},
		{[]string{"--restart", "--pid-file=p"}, `--restart: needs status-file, to find the initd that is meant
      expected the status-file that it was started with; example: --status-file=/run/app.status`},
		{[]string{"--stop"}, `--stop: needs pid-file, to find the initd that is meant
      expected the pid-file that it was started with; example: --pid-file=/run/app.pid`},
		{[]string{"--stop", "--restart", "--pid-file=p", "--status-file=s"}, "--stop: cannot be asked together with --restart"},
		{[]string{"--stop", "--check", "--pid-file=p", "server"}, "--check: cannot be asked together with --stop"},
	} {
		if ps := problems(t, test.args...); len(ps) != 1 || ps[0].Error() != test.want {
			t.Errorf("Load(%q): got\n%v\nwant\n%s", test.args, ps, test.want)
		}
	}
}

func TestTogether(t *testing.T) {
	environment(t)
	for _, test := range []struct {
		args []string
		want string // the flag that is named; empty: nothing is wrong
	}{
		{[]string{"--daemonize"}, "--daemonize"},
		{[]string{"--daemonize", "--access-log=a"}, "--daemonize"},
		{[]string{"--daemonize", "--log-file=a"}, ""},
		{[]string{"--daemonize", "--error-log=|cat"}, ""},
		{[]string{"--pid-file=x", "--status-file=x"}, "--status-file"},
		{[]string{"--pid-file=x", "--log-file=x"}, "--log-file"},
		{[]string{"--status-file=x", "--error-log=x"}, "--error-log"},
		{[]string{"--access-log=x", "--error-log=x", "--log-file=x"}, ""},
		{[]string{"--log-file=|"}, "--log-file"},
		{[]string{"--log-file=/dev/stdout"}, ""},
		{[]string{"--daemonize", "--log-file=/dev/stdout"}, "--log-file"},
		{[]string{"--daemonize", "--log-file=x", "--error-log=/dev/stderr"}, "--error-log"},
	} {
		args := append(test.args, "true")
		if test.want == "" {
			load(t, args...)
		} else if ps := problems(t, args...); len(ps) != 1 || ps[0].Flag != test.want {
			t.Errorf("Load(%q): got %v, want one of %s", args, ps, test.want)
		}
	}
}
