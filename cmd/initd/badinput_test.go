package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestBadInput: what is wrong is told with the setting, the reason and what to do; the exit status is the
// contract's; nothing was started, and nothing that was there is gone.
func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("precious"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	marker := filepath.Join(dir, "started")
	started := []string{"/bin/sh", "-c", "touch " + marker}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	live, err := net.Listen("unix", filepath.Join(dir, "live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	regular, plain := file("regular", 0o644), file("plain", 0o644)
	own, missing, long := filepath.Join(dir, "own"), filepath.Join(dir, "missing"), filepath.Join(dir, strings.Repeat("long", 30))
	const nobody = 65534

	tests := []struct {
		name   string
		run    run
		status int
		says   []string
		hushes string // what must not be said
	}{
		{name: "WrongVariable", run: run{environ: []string{"SERVER_STARTER_INTERVAL=soon"}, args: started}, status: 64,
			says: []string{"SERVER_STARTER_INTERVAL", `"soon"`, "not a duration", "expected seconds", "example: SERVER_STARTER_INTERVAL="}},
		{name: "WrongFlag", run: run{args: flags(started, "interval=soon")}, status: 64,
			says: []string{"--interval", `"soon"`, "expected seconds", "example: --interval="}},
		{name: "UnknownVariable", run: run{environ: []string{"SERVER_STARTER_PROT=secret"}, args: started}, status: 64,
			says: []string{"SERVER_STARTER_PROT", "did you mean SERVER_STARTER_PORT?"}, hushes: "secret"},
		{name: "UnknownFlag", run: run{args: flags(started, "prot=80")}, status: 64,
			says: []string{"--prot", "did you mean --port?"}},
		{name: "Kubernetes", run: run{environ: []string{"SERVER_STARTER_PORT=tcp://10.0.0.1:80", "SERVER_STARTER_SERVICE_HOST=10.0.0.1"}, args: started}, status: 64,
			says: []string{"SERVER_STARTER_PORT", "Kubernetes", "enableServiceLinks: false"}},
		{name: "Several", run: run{environ: []string{"SERVER_STARTER_UMASK=99", "SERVER_STARTER_PORT=x:y:z"}, args: flags(started, "respawn=sometimes", "signal-on-hup=FOO")}, status: 64,
			says: []string{"SERVER_STARTER_UMASK", "SERVER_STARTER_PORT", "--respawn", "always, on-failure or never", "--signal-on-hup", "--help"}},
		{name: "NoCommand", run: run{args: []string{"--port=127.0.0.1:0"}}, status: 64,
			says: []string{"no command", "initd [flags] [--] command", "JSON array"}},

		{name: "TakenPort", run: run{args: flags(started, "port="+taken.Addr().String())}, status: 125,
			says: []string{"SERVER_STARTER_PORT (--port)", taken.Addr().String(), "address already in use", "ss -lntup"}},
		{name: "TakenTwice", run: run{args: flags(started, "port=127.0.0.1:1", "port=127.0.0.1:1"), lonely: true}, status: 64,
			says: []string{"SERVER_STARTER_PORT (--port)", "127.0.0.1:1"}},
		{name: "PrivilegedPort", run: run{args: flags(started, "port=80"), lonely: true, as: nobody}, status: 125,
			says: []string{"SERVER_STARTER_PORT (--port)", `"80"`, "permission denied", "net.ipv4.ip_unprivileged_port_start", "NET_BIND_SERVICE"}},
		{name: "PortTooHigh", run: run{args: flags(started, "port=65536")}, status: 64,
			says: []string{"--port", "65536", "65535"}},
		{name: "UnknownHost", run: run{args: flags(started, "port=no-such-host.invalid:80"), lonely: true}, status: 125,
			says: []string{"SERVER_STARTER_PORT (--port)", "no-such-host.invalid", "/etc/hosts"}},
		{name: "NoSuchAddress", run: run{args: flags(started, "port=192.0.2.1:8080")}, status: 125,
			says: []string{"SERVER_STARTER_PORT (--port)", "192.0.2.1:8080", "cannot assign requested address"}},
		{name: "SameNumber", run: run{args: flags(started, "port=127.0.0.1:0=5", "port=127.0.0.1:0=5")}, status: 64,
			says: []string{"SERVER_STARTER_PORT (--port)", "file descriptor 5"}},
		{name: "SecondOfTwo", run: run{args: flags(started, "path="+missing, "port="+taken.Addr().String())}, status: 125,
			says: []string{"address already in use"}},

		{name: "RegularFile", run: run{args: flags(started, "path="+regular)}, status: 125,
			says: []string{"SERVER_STARTER_PATH (--path)", regular, "is a regular file", "left alone"}},
		{name: "Directory", run: run{args: flags(started, "path="+dir)}, status: 125,
			says: []string{"SERVER_STARTER_PATH (--path)", "is a directory"}},
		{name: "LiveSocket", run: run{args: flags(started, "path="+live.Addr().String())}, status: 125,
			says: []string{"SERVER_STARTER_PATH (--path)", live.Addr().String(), "a process listens"}},
		{name: "LongPath", run: run{args: flags(started, "path="+long)}, status: 64,
			says: []string{"--path", "107"}},
		{name: "NoDirectory", run: run{args: flags(started, "path="+missing+"/socket")}, status: 125,
			says: []string{"SERVER_STARTER_PATH (--path)", "no such file or directory", "directory must exist"}},
		{name: "ForbiddenDirectory", run: run{args: flags(started, "path="+filepath.Join(dir, "socket")), as: nobody}, status: 125,
			says: []string{"SERVER_STARTER_PATH (--path)", "permission denied", "writable"}},
		{name: "NoOwner", run: run{args: flags(started, "path="+missing, "socket-owner=no-such-user")}, status: 125,
			says: []string{"SERVER_STARTER_SOCKET_OWNER (--socket-owner)", "no-such-user", "/etc/passwd"}},

		{name: "OneFileForTwo", run: run{args: flags(started, "pid-file="+own, "status-file="+dir+"/./own")}, status: 125,
			says: []string{"SERVER_STARTER_STATUS_FILE (--status-file)", "is also the pid-file"}},

		{name: "NoUser", run: run{args: flags(started, "user=no-such-user")}, status: 125,
			says: []string{"SERVER_STARTER_USER (--user)", "no-such-user", "/etc/passwd"}},
		{name: "ForbiddenUser", run: run{args: flags(started, "user=1:1"), as: nobody}, status: 125,
			says: []string{"operation not permitted"}},
		{name: "NoCapability", run: run{program: "/usr/bin/setpriv", args: slices.Concat([]string{"--bounding-set=-all", "--", initdBinary(t)}, flags(started, "user=1:1"))}, status: 125,
			says: []string{"operation not permitted: the capability SETGID is missing", "SETUID, SETGID and KILL", "--cap-add"}},
		{name: "OwnerWithoutCapability", run: run{program: "/usr/bin/setpriv", args: slices.Concat([]string{"--bounding-set=-all", "--", initdBinary(t)}, flags(started, "path="+missing, "socket-owner=1:1"))}, status: 125,
			says: []string{"chown: operation not permitted", "capability CHOWN"}},
		{name: "NoDir", run: run{args: flags(started, "dir="+missing)}, status: 125,
			says: []string{"SERVER_STARTER_DIR (--dir): chdir " + missing, "no such file or directory"}},
		{name: "NoEnvdir", run: run{args: flags(started, "envdir="+missing)}, status: 125,
			says: []string{"SERVER_STARTER_ENVDIR", missing, "no such file or directory"}},
		{name: "NoEnvdirButAFile", run: run{args: flags(started, "envdir="+plain)}, status: 125,
			says: []string{"SERVER_STARTER_ENVDIR", plain, "not a directory"}},
		{name: "UnreadableEnvdir", run: run{environ: []string{"ENVDIR=" + file("dir-of-root", 0o600)}, args: started, as: nobody}, status: 125,
			says: []string{"ENVDIR"}},

		{name: "NothingHandedDown", run: run{program: "/bin/sh", args: []string{"-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec " + initdBinary(t) + " -- touch " + marker}}, status: 125,
			says: []string{"LISTEN_FDS 1: file descriptor 3: bad file descriptor"}},

		{name: "NoProgram", run: run{args: []string{missing}}, status: 127,
			says: []string{"exec " + missing + ": no such file or directory"}},
		{name: "NotExecutable", run: run{args: []string{plain}}, status: 126,
			says: []string{"exec " + plain + ": permission denied"}},
	}
	// Who may not look into the directory could not say what is there.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if (test.run.lonely || test.run.as != 0 || test.run.program != "") && os.Getuid() != 0 {
				t.Skip("needs root, for a network of its own, another user or capabilities to give up")
			}
			test.run.mode = subreaper
			d := test.run.start(t)
			d.exits(test.status)
			output := strings.ReplaceAll(d.output(), `\"`, `"`) // in the log
			for _, text := range test.says {
				if !strings.Contains(output, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if test.hushes != "" && strings.Contains(output, test.hushes) {
				t.Errorf("it says %q", test.hushes)
			}
			if strings.Contains(output, "goroutine") {
				t.Error("it panics")
			}
			if after := listing(t, dir); !slices.Equal(after, before) {
				t.Errorf("the directory had\n%q and has\n%q", before, after)
			}
		})
	}
	// Those who were there before are there still.
	for _, l := range []net.Listener{taken, live} {
		conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
	}
}

// listing is what is in a directory, with the contents of regular files.
func listing(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if info.Mode().IsRegular() {
			content, _ := os.ReadFile(filepath.Join(dir, e.Name()))
			text = string(content)
		}
		all = append(all, fmt.Sprint(e.Name(), " ", info.Mode(), " ", text))
	}
	return all
}

// TestStaleSocket: one that nobody listens on is replaced; and at exit the path is only removed if it is
// still the socket that initd made.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "ready=notify", "path="+path, "socket-mode=0640")}.start(t)
	p := s.next().serve()
	p.ready()
	greet(t, "unix", path)
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	d.is("serving", 1)
	// Someone else takes the path.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.stop()
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file that took the socket's place has %q, %v", text, err)
	}
}

// TestTerminationLog: the reason for a non-zero exit is also where Kubernetes looks for it.
func TestTerminationLog(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for a /dev of its own")
	}
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   []string
	}{
		{"Settings", []string{"--interval=soon", "true"}, 64, []string{"--interval"}},
		{"Setup", []string{"--user=no-such-user", "true"}, 125, []string{"no-such-user"}},
		{"NoProgram", []string{"/no/such/program"}, 127, []string{"exec /no/such/program: no such file or directory"}},
		{"Failures", flags([]string{"/bin/sh", "-c", "echo its own >>/dev/termination-log; exit 7"}, "max-failures=2", "interval=0.01"), 7,
			[]string{"its own\nits own\n", "exit status 7"}},
		{"Success", flags([]string{"/bin/sh", "-c", "exit 0"}, "respawn=on-failure"), 0, nil},
		{"Command", plain("/bin/sh", "-c", "echo its own >/dev/termination-log; exit 3"), 3, []string{"its own\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(log, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			run{mode: pid1, given: []string{"termination-log=" + log}, args: test.args}.start(t).exits(test.status)
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == nil && len(text) > 0 {
				t.Errorf("the termination log has %q", text)
			}
			for _, want := range test.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("the termination log has %q, without %q", text, want)
				}
			}
		})
	}
}

// TestQuestions: help, version and configuration are answered on stdout, with status 0, and start nothing.
func TestQuestions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--help"}, []string{"Usage: initd", "--stop-timeout", "--help=all", "Exit status:"}},
		{[]string{"--help=all"}, []string{"Usage: initd", "--kill-old-delay", "SERVER_STARTER_KILL_OLD_DELAY", "Exit status"}},
		{[]string{"--version"}, []string{"initd "}},
		{[]string{"--show-config", "--port=8080", "true"}, []string{"port ", "8080", "--port", "SERVER_STARTER_INTERVAL"}},
	} {
		t.Run(test.args[0], func(t *testing.T) {
			t.Parallel()
			writer, text := textPipe(t)
			d := run{mode: subreaper, args: test.args, environ: []string{"SERVER_STARTER_INTERVAL=2"}, stdout: writer}.start(t)
			d.exits(0)
			output := text()
			for _, want := range test.want {
				if !strings.Contains(output, want) {
					t.Errorf("no %q in\n%s", want, output)
				}
			}
			if log := d.output(); log != "" {
				t.Errorf("stderr: %s", log)
			}
		})
	}
}

// TestBadInputOnTerminal: why initd cannot start names files and settings, which may be anybody's choice, and does not
// control a terminal.
func TestBadInputOnTerminal(t *testing.T) {
	t.Parallel()
	evil := "/none/\x1b]0;evil\a\u009b31m\r"
	for _, args := range [][]string{
		flags([]string{"true"}, "envdir="+evil), flags([]string{"true"}, "dir="+evil), flags([]string{"true"}, "path="+evil),
		flags([]string{"true"}, "port="+evil), {"--" + evil, "true"}, {evil}, flags([]string{evil}, "respawn=never"),
		flags(nil, "restart", "pid-file="+evil, "status-file="+evil), flags([]string{evil}, "daemonize"),
	} {
		d := run{mode: subreaper, args: args}.start(t)
		for _, line := range strings.Split(d.output(), "\n") {
			if strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("%q: %q", args, line)
			}
		}
	}
}
