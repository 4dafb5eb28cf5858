package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// background returns the pid of an initd that has gone to the background, from its pid file, and sees that it
// ends with the test.
func background(t *testing.T, pidFile string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(content(pidFile)))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.PidfdSendSignal(fd, syscall.SIGKILL, nil, 0)
		unix.Close(fd)
	})
	return pid
}

// request is an initd that asks one that runs, and ends with that status.
func request(t *testing.T, status int, what string, settings ...string) (said string) {
	t.Helper()
	d := run{mode: subreaper, args: flags(nil, append(settings, what)...)}.start(t)
	d.exits(status)
	return d.output()
}

// TestDaemonize: the caller gets its terminal back when the first generation is ready, and the daemon is on
// its own.
func TestDaemonize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writer, stdout := textPipe(t)
	s := newStage(t)
	args := flags(s.puppet(), "daemonize", "log-file="+dir+"/log", "pid-file="+dir+"/pid", "port=127.0.0.1:0", "ready=notify")
	// The caller has one more descriptor for its pipe, as test frameworks and shells do.
	d := run{mode: subreaper, stdout: writer, given: []string{"dir=" + dir}, program: "/bin/sh",
		args: slices.Concat([]string{"-c", `exec 9>&1; exec "$@"`, "sh", initdBinary(t)}, args)}.start(t)
	p := s.generation(1).serve()
	select {
	case <-d.ended:
		t.Fatal("the parent has not waited until the worker is ready")
	default:
	}
	p.ready()
	d.exits(0)
	if said := d.output() + stdout(); said != "" { // which nobody holds any more
		t.Errorf("it says %q", said)
	}
	pid := background(t, dir+"/pid")
	if pid == d.pid || pid != p.Parent {
		t.Errorf("process %d is in the pid file, not %d", pid, p.Parent)
	}
	if session, err := unix.Getsid(pid); err != nil || session != pid {
		t.Errorf("its session is %d, %v", session, err)
	}
	for _, link := range []struct{ name, want string }{{"fd/0", "/dev/null"}, {"fd/1", "/dev/null"}, {"fd/2", dir + "/log"}, {"cwd", "/"}} {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, link.name)); err != nil || got != link.want {
			t.Errorf("%s is %s, %v", link.name, got, err)
		}
	}
	if null, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", p.pid)); null != "/dev/null" || p.Dir != dir {
		t.Errorf("the worker's stdin is %s, its directory %s", null, p.Dir)
	}
	if _, inherited := p.Value("_INITD_PARENT"); inherited || !slices.Equal(p.Files, []int{0, 1, 2, 3}) {
		t.Errorf("the worker's files are %v, its environment is %q", p.Files, p.Environ)
	}
	port, _ := p.Value("SERVER_STARTER_PORT")
	if got, want := greet(t, "tcp", strings.TrimSuffix(port, "=3")), fmt.Sprint("1 ", p.PID); got != want {
		t.Errorf("%q answers, not %q", got, want)
	}
	request(t, 0, "stop", "pid-file="+dir+"/pid")
	p.gets(syscall.SIGTERM)
	missing(t, dir+"/pid")
	if got := lastLine(dir + "/log"); !strings.Contains(got, `"event":"exit"`) {
		t.Errorf("the last line is %q", got)
	}
}

// TestDaemonizePlantedLink: a link that another user has put in the place of the log file is not followed when
// initd goes to the background.
func TestDaemonizePlantedLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := dir + "/theirs/log"
	if err := errors.Join(os.Mkdir(dir+"/theirs", 0o755), os.Lchown(dir+"/theirs", 12345, -1)); err != nil {
		t.Skipf("needs root, for a directory of another user: %v", err)
	}
	writes(t, dir+"/precious", "")
	s := newStage(t)
	args := flags(s.puppet(), "daemonize", "log-file="+log, "pid-file="+dir+"/pid", "ready=notify")
	d := run{mode: subreaper, args: args}.start(t)
	p := s.generation(1).serve()
	if err := errors.Join(os.Rename(log, log+".1"), os.Symlink(dir+"/precious", log), os.Lchown(log, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	p.ready()
	d.exits(0)
	pid := background(t, dir+"/pid")
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); got != log+".1" { // which it had opened before
		t.Errorf("stderr is %s, %v", got, err)
	}
	request(t, 0, "stop", "pid-file="+dir+"/pid")
}

// TestDaemonizeCommand: a log command, too, holds nothing of the caller's.
func TestDaemonizeCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writer, stdout := textPipe(t)
	s := newStage(t)
	d := run{mode: subreaper, stdout: writer, given: []string{"dir=" + dir}, args: flags(s.puppet(), "daemonize", "log-file=| cat >> log", "pid-file=pid", "ready=notify")}.start(t)
	s.generation(1).ready()
	d.exits(0)
	if said := d.output() + stdout(); said != "" {
		t.Errorf("it says %q", said)
	}
	background(t, dir+"/pid")
	request(t, 0, "stop", "pid-file="+dir+"/pid")
	if got := lastLine(dir + "/log"); !strings.Contains(got, `"event":"exit"`) {
		t.Errorf("the last line is %q", got)
	}
}

// TestDaemonizeStatusFile: the caller can read the status file as soon as it gets its terminal back.
func TestDaemonizeStatusFile(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := t.TempDir()
		s := newStage(t)
		d := run{mode: subreaper, args: flags(s.puppet(), "daemonize", "log-file="+dir+"/log", "pid-file="+dir+"/pid", "status-file="+dir+"/status", "ready=notify")}.start(t)
		p := s.generation(1)
		p.ready()
		d.exits(0)
		if got, want := content(dir+"/status"), fmt.Sprintf("1:%d\n", p.PID); got != want {
			t.Errorf("the status file has %q, want %q", got, want)
		}
		background(t, dir+"/pid")
		request(t, 0, "stop", "pid-file="+dir+"/pid")
	}
}

// TestDaemonizeFails: the parent says why on its own stderr, and in its status.
func TestDaemonizeFails(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	for _, test := range []struct {
		name     string
		settings []string
		script   string
		status   int
		says     string
	}{
		{"InUse", []string{"port=" + busy.Addr().String()}, "exit 0", 125, "address already in use"},
		{"NoUser", []string{"user=no-such-user"}, "exit 0", 125, "no-such-user"},
		{"NoLogFile", []string{"log-file=/no/such/directory/log"}, "exit 0", 125, "/no/such/directory/log"},
		{"NotFound", []string{"dir=/"}, "", 127, "no such file or directory"},
		{"GivenUp", []string{"max-failures=1"}, "exit 3", 3, "exit status 3"},
		{"NoLog", []string{"log-file="}, "exit 0", 64, "log-file"},
		{"OneShot", []string{"respawn=on-failure"}, "exit 0", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			command := []string{"/bin/sh", "-c", test.script}
			if test.script == "" {
				command = []string{"/no/such/program"}
			}
			d := run{mode: subreaper, args: flags(command, append([]string{"daemonize", "pid-file=" + dir + "/pid", "log-file=" + dir + "/log"}, test.settings...)...)}.start(t)
			d.exits(test.status)
			if said := d.output(); !strings.Contains(said, test.says) || (test.says == "") != (said == "") {
				t.Errorf("it says %q", said)
			}
			missing(t, dir+"/pid")
		})
	}
}

// TestDaemonizeGoesOn: a first generation that fails is told, and is tried again all the same.
func TestDaemonizeGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "daemonize", "pid-file="+dir+"/pid", "log-file="+dir+"/log", "ready=notify", "interval=0.1")}.start(t)
	s.generation(1).tell("exit", "3")
	d.exits(1)
	pid := background(t, dir+"/pid")
	if said := d.output(); !strings.Contains(said, "exit status 3") || !strings.Contains(said, fmt.Sprintf("initd keeps trying as process %d", pid)) {
		t.Errorf("it says %q", said)
	}
	p := s.generation(2)
	p.ready()
	contains(t, dir+"/log", `"event":"serving","generation":2`)
	request(t, 0, "stop", "pid-file="+dir+"/pid")
	p.ends()
}

// TestDaemonizeStopped: who stops the waiting parent means initd, and is not told that it is ready.
func TestDaemonizeStopped(t *testing.T) {
	t.Parallel()
	for signal, passed := range map[syscall.Signal]syscall.Signal{
		syscall.SIGTERM: syscall.SIGTERM, syscall.SIGINT: syscall.SIGTERM, syscall.SIGQUIT: syscall.SIGQUIT,
	} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newStage(t)
			d := run{mode: subreaper, args: flags(s.puppet(), "daemonize", "pid-file="+dir+"/pid", "log-file="+dir+"/log", "ready=notify")}.start(t)
			p := s.generation(1)
			d.signal(syscall.SIGHUP) // a terminal that is gone changes nothing
			d.signal(signal)
			p.gets(passed)
			d.exits(128 + int(signal))
			missing(t, dir+"/pid")
			lacks(t, dir+"/log", "received HUP")
		})
	}
}

// TestDaemonizePID1: with PID 1 the container would end.
func TestDaemonizePID1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := run{mode: pid1, args: flags([]string{"/bin/true"}, "daemonize", "pid-file="+dir+"/pid", "log-file="+dir+"/log")}.start(t)
	d.exits(125)
	if said := d.output(); !strings.Contains(said, "SERVER_STARTER_DAEMONIZE (--daemonize)") {
		t.Errorf("it says %q", said)
	}
	missing(t, dir+"/pid", dir+"/log")
}

// TestDaemonizeActivated: what a service manager has handed to the parent is the daemon's.
func TestDaemonizeActivated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	s := newStage(t)
	d := run{mode: subreaper, given: []string{"activated=" + socket + ",127.0.0.1:0"}, environ: []string{"LISTEN_FDNAMES=local:web"},
		args: flags(s.puppet(), "daemonize", "pid-file="+dir+"/pid", "log-file="+dir+"/log", "ready=notify")}.start(t)
	p := s.generation(1)
	if got, _ := p.Value("LISTEN_FDNAMES"); got != "local:web" {
		t.Errorf("LISTEN_FDNAMES=%s", got)
	}
	p.serve()
	if got, want := greet(t, "unix", socket), fmt.Sprint("1 ", p.PID); got != want {
		t.Errorf("%q answers, not %q", got, want)
	}
	p.ready()
	d.exits(0)
	background(t, dir+"/pid")
	request(t, 0, "stop", "pid-file="+dir+"/pid")
}

// TestDaemonizeAdopted: so is a listener that stands on the command line, beneath another superdaemon.
func TestDaemonizeAdopted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	// The outer one's socket is the worker's, and its worker is an initd that goes to the background.
	inner := slices.Concat([]string{"/bin/sh", "-c", `export SERVER_STARTER_PORT; exec "$@"`, "sh", initdBinary(t)},
		flags(s.puppet(), "daemonize", "pid-file="+dir+"/pid", "log-file="+dir+"/log", "ready=notify", "export=server-starter"))
	outer := run{mode: subreaper, args: flags(inner, "port=127.0.0.1:0", "respawn=on-failure", "ready=notify", "start-timeout=0", "export=server-starter")}.start(t)
	p := s.generation(1).serve()
	address := outer.address("127.0.0.1")
	if got, want := greet(t, "tcp", address), fmt.Sprint("1 ", p.PID); got != want {
		t.Errorf("%q answers, not %q", got, want)
	}
	background(t, dir+"/pid")
	request(t, 0, "stop", "pid-file="+dir+"/pid")
	p.ends()
	outer.wait()
}
