package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// content is that of a file, and empty where there is none.
func content(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// comes waits until a file has that content.
func comes(t *testing.T, path, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has %.200q", path, want), func() bool { return content(path) == want })
}

// missing fails the test if there are such files.
func missing(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is there: %q, %v", path, content(path), err)
		}
	}
}

// writes writes a file.
func writes(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inode tells whether a file is still the same, and unchanged.
func inode(t *testing.T, path string) string {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Lstat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(stat.Ino, stat.Mtim, stat.Size)
}

// TestPidFile: it holds initd's pid and a newline, a second instance is refused and touches nothing of the
// first's, and it is gone in the end.
func TestPidFile(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		files := []string{dir + "/initd.pid", dir + "/status", dir + "/socket"}
		settings := []string{"pid-file=initd.pid", "status-file=status", "path=socket", "ready=notify"} // all relative
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet(), settings...)}.start(t)
		p := s.generation(1).serve()
		p.ready()
		comes(t, files[0], fmt.Sprintln(p.Parent))
		comes(t, files[1], fmt.Sprintf("1:%d\n", p.PID))
		var before []string
		for _, file := range files {
			before = append(before, inode(t, file))
		}
		second := run{mode: subreaper, given: []string{"dir=" + dir}, args: flags(s.puppet(), settings...)}.start(t)
		second.exits(125)
		if said := second.output(); !strings.Contains(said, "SERVER_STARTER_PID_FILE (--pid-file)") || !strings.Contains(said, "another instance is running") {
			t.Errorf("the second says %q", said)
		}
		for i, file := range files {
			if got := inode(t, file); got != before[i] {
				t.Errorf("the second has changed %s: %q", file, content(file))
			}
		}
		if got, want := greet(t, "unix", files[2]), fmt.Sprint("1 ", p.PID); got != want {
			t.Errorf("%q answers, not %q", got, want)
		}
		d.stop()
		missing(t, files...)
	})
}

// TestKilledInitd: what it leaves behind the next one takes over.
func TestKilledInitd(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		s := newStage(t)
		r := run{mode: as, args: flags(s.puppet(), "pid-file="+dir+"/pid", "status-file="+dir+"/status", "path="+dir+"/socket", "ready=notify")}
		d := r.start(t)
		first := s.generation(1)
		first.ready()
		comes(t, dir+"/status", fmt.Sprintf("1:%d\n", first.PID))
		d.signal(syscall.SIGKILL)
		d.exits(128 + 9)
		first.ends()
		if content(dir+"/pid") != fmt.Sprintln(first.Parent) || content(dir+"/status") == "" {
			t.Fatalf("left are %q and %q", content(dir+"/pid"), content(dir+"/status"))
		}
		writes(t, dir+"/pid", "999999999999\n") // longer than any pid
		d = r.start(t)
		next := s.generation(1).serve()
		if got, want := content(dir+"/pid"), fmt.Sprintln(next.Parent); got != want {
			t.Errorf("the pid file has %q, not %q", got, want)
		}
		eventually(t, "the status file is gone until there is something to tell", func() bool {
			_, err := os.Lstat(dir + "/status")
			return os.IsNotExist(err)
		})
		next.ready()
		comes(t, dir+"/status", fmt.Sprintf("1:%d\n", next.PID))
		greet(t, "unix", dir+"/socket")
		d.stop()
		missing(t, dir+"/pid", dir+"/status", dir+"/socket")
	})
}

// TestOthersFiles: what has taken the place of initd's files is not removed at its exit.
func TestOthersFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "pid-file="+dir+"/pid", "status-file="+dir+"/status", "ready=notify")}.start(t)
	p := s.generation(1)
	p.ready()
	comes(t, dir+"/status", fmt.Sprintf("1:%d\n", p.PID))
	for _, name := range []string{"pid", "status"} {
		writes(t, filepath.Join(dir, "new"), "another's\n")
		if err := os.Rename(dir+"/new", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// The end of its worker changes the status file, which is initd's again by that; but for the pid file.
	d.stop()
	if got := content(dir + "/pid"); got != "another's\n" {
		t.Errorf("the pid file has %q", got)
	}
}

// TestFailedStartLeavesNoFiles: an initd that ends before anything was ready leaves its own files no more
// than another's are gone.
func TestFailedStartLeavesNoFiles(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	for _, test := range []struct {
		name, setting, command string
		status                 int
		left                   string // of a status file that was there before
	}{
		{"NotFound", "interval=1", "/no/such/program", 127, ""},
		{"NotExecutable", "interval=1", "/etc/passwd", 126, ""},
		{"InUse", "port=" + busy.Addr().String(), "/bin/true", 125, "7:1\n"}, // maybe it is of who has the port
		{"NoEnvdir", "envdir=/no/such/directory", "/bin/true", 125, ""},
		{"LogFile", "log-file=/no/such/directory/log", "/bin/true", 125, "7:1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writes(t, dir+"/status", "7:1\n")
			d := run{mode: subreaper, args: flags([]string{test.command}, "pid-file="+dir+"/pid", "status-file="+dir+"/status", test.setting)}.start(t)
			d.exits(test.status)
			missing(t, dir+"/pid")
			if got := content(dir + "/status"); got != test.left {
				t.Errorf("the status file has %q, not %q", got, test.left)
			}
		})
	}
}

// TestPidFileErrors: what cannot be a pid file is left alone.
func TestPidFileErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	writes(t, dir+"/precious", "letters of my grandmother\n")
	if err := os.Symlink("new", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"": "is a directory", "missing/pid": "no such file or directory", "fifo": "not a regular file",
		"precious": "not a pid file", "link": "it is a symbolic link"} {
		d := run{mode: subreaper, args: flags([]string{"/bin/true"}, "pid-file="+dir+"/"+name)}.start(t)
		d.exits(125)
		if said := d.output(); !strings.Contains(said, "--pid-file") || !strings.Contains(said, says) {
			t.Errorf("%q: %q", name, said)
		}
	}
	missing(t, dir+"/new")
	if got := content(dir + "/precious"); got != "letters of my grandmother\n" {
		t.Errorf("the file has %q", got)
	}
}

// TestRequireRoot: another user is refused before anything is touched.
func TestRequireRoot(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	refused := run{mode: subreaper, as: 65531, args: flags([]string{"/bin/true"}, "require-root", "pid-file="+dir+"/pid")}.start(t)
	refused.exits(125)
	if said := refused.output(); !strings.Contains(said, "SERVER_STARTER_REQUIRE_ROOT (--require-root)") || !strings.Contains(said, "65531") {
		t.Errorf("it says %q", said)
	}
	missing(t, dir+"/pid")
	run{mode: subreaper, args: flags([]string{"/bin/true"}, "require-root", "respawn=never")}.start(t).exits(0)
	run{mode: subreaper, as: 65531, args: flags([]string{"/bin/true"}, "require-root=false", "respawn=never")}.start(t).exits(0)
}
