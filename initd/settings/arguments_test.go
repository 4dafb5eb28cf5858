package settings

import (
	"slices"
	"testing"
)

// What is written as flags is read as the same, and beats the environment.
func TestArguments(t *testing.T) {
	given := []string{
		"--port=8080=3", "--port=a;b", "--path=/a b", "--export=nginx;systemd", "--umask=022", "--interval=1.5", "--no-new-privs",
		"--user=www:33", `--probe=["x", "", "é"]`, "--signal-on-hup=RTMIN+1", "--kill-old-delay=0", "--exit-map=143:0;1:2",
		"--workers=4", "--max-workers=9", "--max-memory=1.5G", "--disconnect-signal=KILL", "--watch=/a;b", "--watch=command", `--hook-after-init=["x", "y z"]`,
	}
	environment(t)
	want := load(t, append(given, "--", "true")...)
	var names []string
	for _, r := range Table() {
		names = append(names, r.Name)
	}
	args := want.Arguments(append(names, "no-such-setting")...)
	environment(t, "SERVER_STARTER_PORT=1", "SERVER_STARTER_EXPORT=puma", "KILL_OLD_DELAY=7", "ENABLE_AUTO_RESTART=1", "SERVER_STARTER_PROBE=false")
	got := load(t, append(args, "--", "true")...)
	for _, r := range Table() {
		text := func(s *Settings) string {
			return s.value(r).String()
		}
		if text(got) != text(want) {
			t.Errorf("%s is %q and was %q", r.Name, text(got), text(want))
		}
	}
	if got := want.Arguments("umask", "port", "dir"); !slices.Equal(got, []string{"--port=8080=3", "--port=a;b", "--umask=0022"}) {
		t.Errorf("got %q", got)
	}
}
