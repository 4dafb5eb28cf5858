package settings

import (
	"strings"
	"testing"
)

// TestProbedListener: a probe that asks where all generations accept is remarked on.
func TestProbedListener(t *testing.T) {
	for _, test := range []struct{ listener, probe, want string }{
		{"--port=8080", "curl -fsS http://127.0.0.1:8080/health", "8080"},
		{"--port=127.0.0.1:8080=3", `["curl", "http://localhost:8080"]`, "127.0.0.1:8080=3"},
		{"--port=[::1]:8080", "nc -z ::1 8080", "[::1]:8080"},
		{"--port=8080", "nc -z localhost 8081 8080", "8080"},
		{"--port=8080", "bash -c '</dev/tcp/127.0.0.1/8080'", "8080"},
		{"--port=80", "curl http://localhost/health", "80"},
		{"--port=443", "curl -k https://localhost", "443"},
		{"--port=80", "curl http://localhost:8080/", ""},
		{"--port=80", "curl http://localhost:9000/80x http://localhost:9000", ""},
		{"--port=8080", "curl http://127.0.0.1:18080/ http://127.0.0.1:80801/", ""},
		{"--port=8080", "/app/check --all", ""},
		{"--port=u8080", "dig -p 8080 @127.0.0.1", ""},
		{"--port=0", "sleep 0", ""},
		{"--path=/run/app.sock", "curl --unix-socket /run/app.sock http://localhost/", "/run/app.sock"},
		{"--path=/run/app.sock", "curl --unix-socket /run/other.sock http://localhost/", ""},
	} {
		s := load(t, test.listener, "--probe="+test.probe, "--control-socket=none", "true")
		noted := len(s.Notes) == 1 && strings.HasPrefix(s.Notes[0], "probe: ") && strings.Contains(s.Notes[0], test.want)
		if got := s.ProbedListener(); got != test.want || noted != (test.want != "") {
			t.Errorf("%s, %s: %q, notes %q; want %q", test.listener, test.probe, got, s.Notes, test.want)
		}
	}
	if s := load(t, "--port=8080", "--probe=nc -z localhost 8080", "--respawn=never", "true"); len(s.Notes) != 0 {
		t.Errorf("a plain init, which does not probe, has the notes %q", s.Notes)
	}
}
