package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"server-starter/initd/settings"
)

// TestCheckUsage: wrong settings are those of initd, and end with 64.
func TestCheckUsage(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		stdout string
		stderr string
	}{
		{[]string{"--port=x", "true"}, 64, "", "initctl: wrong usage or settings:\n  SERVER_STARTER_PORT (--port) \"x\": port \"x\" is not a number; "},
		{[]string{"--http=x", "true"}, 64, "", "initctl: wrong usage or settings:\n"},
		{[]string{"--port=8080"}, 64, "", "initctl: wrong usage or settings:\n  no command was given\n"},
		{[]string{"--prot=8080", "true"}, 64, "", "initctl: wrong usage or settings:\n  --prot: unknown flag; did you mean --port?\n"},
		{[]string{"--interval=x", "true"}, 64, "", "initctl: wrong usage or settings:\n  --interval=\"x\": "},
		{[]string{"--stop", "--pid-file=p", "true"}, 64, "", "initctl: check does not support --stop\n"},
		{[]string{"--check", "true"}, 64, "", "initctl: check does not support --check\n"},
		{[]string{"--initd=/nonexistent/initd", "true"}, 125, "", "initctl: check: --initd=/nonexistent/initd: no such file or directory\n"},
		{[]string{"--initd=/nonexistent/initd", "--port=x", "true"}, 64, "", "initctl: wrong usage or settings:\n"},
		{[]string{"--port=8080", "--initd"}, 64, "", "initctl: --initd: the path of an initd is missing\n"},
		{[]string{"--initd=", "true"}, 64, "", "initctl: --initd: the path of an initd is missing\n"},
		{[]string{"--help"}, 0, "check runs a server ", ""},
		{[]string{"--port", "8080", "-h"}, 0, "check runs a server ", ""},
		{[]string{"--port=8080", "--show-config", "server", "--help"}, 0, "# Listen\nport                   8080 ", ""},
		{[]string{"--version"}, 0, "initd " + settings.Version + "\n", ""},
	} {
		r := invoke(t, "", append([]string{"check"}, test.args...)...)
		if r.status != test.status || !strings.HasPrefix(r.stdout, test.stdout) || !strings.HasPrefix(r.stderr, test.stderr) || (test.stderr == "") != (r.stderr == "") {
			t.Errorf("%q: %+v", test.args, r)
		}
	}
	if r := invoke(t, "", "check", "--port=8080", "--show-config", "server"); strings.Contains(r.stdout, "examined") {
		t.Errorf("a hidden setting is shown:\n%s", r.stdout)
	}
}

func TestTakeInitd(t *testing.T) {
	for _, test := range []struct {
		args, path, rest string
	}{
		{"--initd /x --port=8080 server", "/x", "--port=8080 server"},
		{"--initd=/x server", "/x", "server"},
		{"--port 8080 --initd /x -- server --initd /y", "/x", "--port 8080 -- server --initd /y"},
		{"--port=8080 server --initd /y", "", "--port=8080 server --initd /y"},
		{"--port=8080 -- server --initd=/y", "", "--port=8080 -- server --initd=/y"},
		{"--port=8080 server", "", "--port=8080 server"},
	} {
		path, rest, err := takeInitd(strings.Fields(test.args))
		if err != nil || path != test.path || !slices.Equal(rest, strings.Fields(test.rest)) {
			t.Errorf("of %q it takes %q and leaves %q", test.args, path, rest)
		}
	}
}

// TestFindInitd: the initd is the one beside initctl, else in PATH, else there is
// advice.
func TestFindInitd(t *testing.T) {
	const script = "#!/bin/sh\necho \"initd: I am $0\" >&2\nexit 125\n"
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "initd"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	complete, lonely := shelf(t, script), shelf(t, "")
	for _, test := range []struct {
		name, initctl, path string
		status              int
		has                 string
	}{
		{"beside", complete, elsewhere, 1, "initd cannot start: I am " + filepath.Dir(complete) + "/initd\n"},
		{"in PATH", lonely, elsewhere, 1, "initd cannot start: I am " + elsewhere + "/initd\n"},
		{"nowhere", lonely, t.TempDir(), 125, "initctl: check: initd not found: it is neither at " + filepath.Dir(lonely) + "/initd nor in PATH; copy it there, or pass its path with --initd\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := play(test.initctl, "check", "--port=127.0.0.1:0", "true")
			cmd.Env = append(cmd.Env, "PATH="+test.path)
			out, err := cmd.CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != test.status || !strings.Contains(string(out), test.has) {
				t.Errorf("%v: %s\nand not %d: %s", err, out, test.status, test.has)
			}
		})
	}
}
