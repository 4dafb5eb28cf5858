package output

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openLogs opens logs that write warnings to a channel.
func openLogs(t *testing.T, o LogOptions) (*Logs, chan string) {
	t.Helper()
	warnings := make(chan string, 10)
	o.UID, o.Start, o.Warn = os.Getuid(), goroutine, func(text string) { warnings <- text }
	l, err := OpenLogs(o)
	if err != nil {
		t.Fatal(err)
	}
	return l, warnings
}

// closing is for logs without commands.
func closing() Closing { return Closing{Flush: func() {}} }

func writeTo(t *testing.T, fd int, text string) {
	t.Helper()
	if _, err := syscall.Write(fd, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// What initd, and the workers' stdout and stderr, write to, and which they share.
func TestLogs(t *testing.T) {
	const log, access, failures = "log-file", "access-log", "error-log"
	for _, test := range []struct {
		name                string
		given               string // log, access log and error log that are given
		daemon              bool
		own, stdout, stderr string // empty: as initd was started
	}{
		{"none", "", false, "", "", ""},
		{"log", log, false, log, log, log},
		{"access", access, false, "", access, ""},
		{"error", failures, false, "", "", failures},
		{"access and error", access + failures, false, "", access, failures},
		{"all", log + access + failures, false, log, access, failures},
		{"log of a daemon", log, true, log, log, log},
		{"error of a daemon", failures, true, failures, failures, failures},
		{"access and error of a daemon", access + failures, true, failures, access, failures},
		{"all of a daemon", log + access + failures, true, log, access, failures},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			o := LogOptions{Daemon: test.daemon}
			for name, d := range map[string]*Destination{log: &o.Log, access: &o.Access, failures: &o.Error} {
				if strings.Contains(test.given, name) {
					d.File = filepath.Join(dir, name)
				}
			}
			l, _ := openLogs(t, o)
			stdout, stderr := l.Workers()
			want := map[string]string{}
			for _, use := range []struct {
				fd, inherited int
				want, text    string
			}{{l.Own(), 2, test.own, "own\n"}, {stdout, 1, test.stdout, "stdout\n"}, {stderr, 2, test.stderr, "stderr\n"}} {
				if (use.want == "") != (use.fd == use.inherited) {
					t.Errorf("%sgoes to descriptor %d", use.text, use.fd)
				}
				if use.want != "" && use.fd > 2 {
					writeTo(t, use.fd, use.text)
					want[use.want] += use.text
				}
			}
			path := ""
			if test.own != "" {
				path = filepath.Join(dir, test.own)
			}
			if l.Path() != path || l.Commands() != 0 {
				t.Errorf("path %q, %d commands", l.Path(), l.Commands())
			}
			l.Close(time.Minute, closing())
			got := map[string]string{}
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				text, _ := os.ReadFile(filepath.Join(dir, e.Name()))
				got[e.Name()] = string(text)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("the files have %q, want %q", got, want)
			}
		})
	}
}

// Logs with the same destination share it.
func TestSharedLogs(t *testing.T) {
	file := Destination{File: t.TempDir() + "/log"}
	l, _ := openLogs(t, LogOptions{Access: file, Error: file})
	if stdout, stderr := l.Workers(); stdout != stderr || l.Blocking() != 1 {
		t.Errorf("descriptors %d and %d, %d files", stdout, stderr, l.Blocking())
	}
	l.Close(time.Minute, closing())
	command := Destination{Command: []string{"logger", "-t", "x"}}
	l, _ = openLogs(t, LogOptions{Access: command, Error: Destination{Command: []string{"logger", "-t x"}}, Log: command})
	if stdout, stderr := l.Workers(); stdout != l.Own() || stdout == stderr || l.Commands() != 2 || l.Path() != "" {
		t.Errorf("descriptors %d, %d and %d, %d commands, path %q", l.Own(), stdout, stderr, l.Commands(), l.Path())
	}
	for number, want := range [][]string{{"logger", "-t", "x"}, {"logger", "-t x"}} {
		if argv, _ := l.Command(number); !reflect.DeepEqual(argv, want) {
			t.Errorf("command %d is %q", number, argv)
		}
	}
}

// What a command that has ended did not read is not lost; one that still runs can
// read it by itself.
func TestLogCommands(t *testing.T) {
	l, _ := openLogs(t, LogOptions{Access: Destination{Command: []string{"one"}}, Error: Destination{Command: []string{"two"}}})
	stdout, stderr := l.Workers()
	writeTo(t, stdout, "to stdout\n")
	writeTo(t, stderr, "to stderr\n")
	var order []string
	l.Close(time.Minute, Closing{
		Flush: func() { order = append(order, "flush") },
		Wait: func(limit time.Duration) map[int]bool {
			order = append(order, "wait")
			if limit <= 0 || limit > time.Minute {
				t.Errorf("the limit is %v", limit)
			}
			if argv, _ := l.Command(1); argv[0] != "one" {
				t.Errorf("command 1 is %s", argv)
			}
			return map[int]bool{1: true}
		},
		Remaining: func(text []byte) { order = append(order, string(text)) },
	})
	if want := []string{"flush", "wait", "to stderr\n"}; !reflect.DeepEqual(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	// The other has all, and comes to the end of its input.
	_, stdin := l.Command(1)
	buffer := make([]byte, 100)
	for _, want := range []string{"to stdout\n", ""} {
		if n, err := syscall.Read(stdin, buffer); err != nil || string(buffer[:max(n, 0)]) != want {
			t.Errorf("the command reads %q, %v", buffer[:max(n, 0)], err)
		}
	}
}

// What workers write passes through the relay before the log is closed.
func TestRelayedLog(t *testing.T) {
	path := t.TempDir() + "/log"
	l, _ := openLogs(t, LogOptions{Log: Destination{File: path}})
	if tail, err := l.Tail(); tail != nil || err != nil {
		t.Errorf("a tail without a relay: %v, %v", tail, err)
	}
	l.OpenRelay(2)
	if n := l.Blocking(); n != 2 {
		t.Errorf("%d goroutines may block", n)
	}
	tail, err := l.Tail()
	if err != nil {
		t.Fatal(err)
	}
	writeTo(t, tail.Write, "one\ntwo\nthree\n")
	if lines := tail.Lines(); !reflect.DeepEqual(lines, []string{"two", "three"}) {
		t.Errorf("lines %q", lines)
	}
	flush := func() { writeTo(t, l.Own(), "initd's last\n") }
	l.Close(time.Minute, Closing{Flush: flush})
	tail.CloseWrite()
	if text, _ := os.ReadFile(path); string(text) != "one\ntwo\nthree\ninitd's last\n" {
		t.Errorf("the log has %q", text)
	}
}

func TestReopenLogs(t *testing.T) {
	dir := t.TempDir() + "/dir"
	os.Mkdir(dir, 0o700)
	l, warnings := openLogs(t, LogOptions{Log: Destination{File: dir + "/log"}})
	os.Rename(dir+"/log", dir+"/log.1")
	l.Reopen()
	writeTo(t, l.Own(), "one\n")
	waitForText(t, dir+"/log", "one\n")
	os.Rename(dir, dir+".1")
	l.Reopen()
	if text := <-warnings; !strings.HasPrefix(text, "cannot reopen a log file, so the old one is still used: open "+dir+"/log: no such file") {
		t.Errorf("warning %q", text)
	}
	l.Close(time.Minute, closing())
}

func TestLogCannotBeOpened(t *testing.T) {
	path := t.TempDir() + "/missing/log"
	for setting, o := range map[string]LogOptions{
		"log-file": {Log: Destination{File: path}}, "access-log": {Access: Destination{File: path}}, "error-log": {Error: Destination{File: path}},
	} {
		var wrong *LogError
		if l, err := OpenLogs(o); !errors.As(err, &wrong) || wrong.Setting != setting || !errors.Is(err, fs.ErrNotExist) || l != nil {
			t.Errorf("%s: %v, %v", setting, l, err)
		}
	}
}

func TestNoLogs(t *testing.T) {
	var l *Logs
	stdout, stderr := l.Workers()
	tail, err := l.Tail()
	if l.Own() != 2 || stdout != 1 || stderr != 2 || l.Path() != "" || l.Commands() != 0 || l.Blocking() != 0 || tail != nil || err != nil {
		t.Errorf("own %d, stdout %d, stderr %d, path %q", l.Own(), stdout, stderr, l.Path())
	}
	l.Reopen()
	flushed := false
	l.Close(0, Closing{Flush: func() { flushed = true }})
	if !flushed {
		t.Error("initd's own log was not flushed")
	}
}
