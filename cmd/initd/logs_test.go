package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// contains waits until a file has a text.
func contains(t *testing.T, path, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s contains %q", path, text), func() bool { return strings.Contains(content(path), text) })
}

// lacks fails the test if a file has one of the texts.
func lacks(t *testing.T, path string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(content(path), text) {
			t.Errorf("%s contains %q:\n%s", path, text, content(path))
		}
	}
}

// lastLine is that of a file.
func lastLine(path string) string {
	lines := strings.Split(strings.TrimSuffix(content(path), "\n"), "\n")
	return lines[len(lines)-1]
}

// numbered are so many lines with numbers from first on.
func numbered(first, count int) string {
	var text strings.Builder
	for n := range count {
		fmt.Fprintln(&text, first+n)
	}
	return text.String()
}

// collector is the command line, for log-file, of a script that gives what it reads to files.
func collector(script string) string {
	words, _ := json.Marshal([]string{"/bin/sh", "-c", script})
	return "| " + string(words)
}

// TestLogFile: initd's own output and the workers' are appended to the file, to the last line, and nothing
// is left for anyone else.
func TestLogFile(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		log := dir + "/log"
		writes(t, log, "from before\n")
		writer, stdout := textPipe(t)
		s := newStage(t)
		d := run{mode: as, stdout: writer, given: []string{"dir=" + dir}, args: flags(s.puppet("stubborn"), "log-file=log", "ready=notify")}.start(t)
		p := s.generation(1)
		p.do("write", "1", "to stdout\n")
		p.do("write", "2", "to stderr\n")
		p.ready()
		contains(t, log, "from before\n")
		contains(t, log, "to stdout\nto stderr\n")
		contains(t, log, `"event":"serving","generation":1`)
		d.signal(syscall.SIGTERM)
		p.gets(syscall.SIGTERM)
		p.do("write", "1", strings.Repeat("x", 60_000)+"\nlast words\n") // about what the pipe holds
		p.tell("exit", "0")
		d.exits(0)
		contains(t, log, "\nlast words\n")
		for _, line := range strings.Split(strings.TrimSpace(content(log)), "\n") {
			if own := strings.HasPrefix(line, "{"); own && !json.Valid([]byte(line)) {
				t.Errorf("a line is no JSON: %s", line)
			}
		}
		if got := lastLine(log); !strings.Contains(got, `"event":"exit","exit_status":0`) {
			t.Errorf("the last line is %q", got)
		}
		if got := d.output() + stdout(); got != "" {
			t.Errorf("something is said elsewhere: %q", got)
		}
	})
}

// TestLogReopened: a file that was renamed is left, by workers that run already too, when the signal comes;
// and not before.
func TestLogReopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/dir"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	log := dir + "/log"
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "log-file="+log, "signal-map=USR1:REOPEN", "ready=notify")}.start(t)
	p := s.generation(1)
	p.ready()
	p.do("write", "1", "one\n")
	contains(t, log, "one\n")
	rename(log, log+".1")
	p.do("write", "1", "two\n")
	contains(t, log+".1", "two\n")
	missing(t, log)
	d.signal(syscall.SIGUSR1)
	contains(t, log, `"event":"reopen"`)
	p.do("write", "1", "three\n")
	contains(t, log, "three\n")
	lacks(t, log+".1", "three\n", `"event":"reopen"`)
	lacks(t, log, "one\n", "two\n")
	p.lives() // and has got no signal

	rename(dir, dir+".gone")
	d.signal(syscall.SIGUSR1)
	d.says("cannot reopen a log file, so the old one is still used: open " + log) // on stderr
	p.do("write", "1", "four\n")
	contains(t, dir+".gone/log", "four\n")
	rename(dir+".gone", dir)
	d.stop()
	if got := lastLine(log); !strings.Contains(got, `"event":"exit"`) {
		t.Errorf("the last line is %q", got)
	}
}

// TestLogsApart: access-log has the workers' stdout, error-log their stderr, and initd's own log is where it
// would be without.
func TestLogsApart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                string
		settings            []string
		stdout, stderr, own string // files, empty for initd's own stream
	}{
		{"Access", []string{"access-log=access"}, "access", "", ""},
		{"Error", []string{"error-log=error"}, "", "error", ""},
		{"Both", []string{"access-log=access", "error-log=error"}, "access", "error", ""},
		{"All", []string{"access-log=access", "error-log=error", "log-file=log"}, "access", "error", "log"},
		{"One", []string{"access-log=log", "error-log=log", "log-file=log"}, "log", "log", "log"},
		{"OneCommand", []string{"access-log=|cat >> log", "error-log=| cat >> log"}, "log", "log", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writer, stdout := textPipe(t)
			s := newStage(t)
			d := run{mode: subreaper, stdout: writer, given: []string{"dir=" + dir}, args: flags(s.puppet(), append(test.settings, "ready=notify")...)}.start(t)
			p := s.generation(1)
			p.do("write", "1", "to stdout\n")
			p.do("write", "2", "to stderr\n")
			p.ready()
			if test.own == "" {
				d.is("serving", 1)
			} else {
				contains(t, filepath.Join(dir, test.own), `"event":"serving"`)
			}
			d.stop()
			texts := map[string]string{"": stdout() + d.output() + "\n"}
			for _, name := range []string{"access", "error", "log"} {
				texts[name] = content(filepath.Join(dir, name))
			}
			for text, place := range map[string]string{"to stdout\n": test.stdout, "to stderr\n": test.stderr, `"event":"serving"`: test.own, `"event":"exit"`: test.own} {
				for name, got := range texts {
					if want := name == place; strings.Contains(got, text) != want {
						t.Errorf("that %q is in %q should be %v:\n%s", text, name, want, got)
					}
				}
			}
		})
	}
}

// TestLogCommand: it gets everything in order, and what the pipe holds when it is killed its successor gets.
func TestLogCommand(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet(), "ready=notify", "interval=0.1", "max-backoff=0.1",
			"access-log="+collector(`echo $$ >> pids; while read -r line; do echo "$line" >> lines; done`))}.start(t)
		p := s.generation(1)
		p.ready()
		const block = 100
		logger := ""
		for round := range 5 {
			p.do("write", "1", numbered(2*round*block, block))
			comes(t, dir+"/lines", numbered(0, (2*round+1)*block))
			// It waits for more now. What comes while there is none stays in the pipe.
			eventually(t, "a new log command runs", func() bool { return lastLine(dir+"/pids") != logger && lastLine(dir+"/pids") != "" })
			logger = lastLine(dir + "/pids")
			inner := 0
			for _, pid := range children(t, d.pid) {
				if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(line), "pids") {
					inner = pid
				}
			}
			if err := syscall.Kill(inner, syscall.SIGKILL); err != nil {
				t.Fatalf("log command %d: %v", inner, err)
			}
			eventually(t, "it has ended", func() bool { return state(inner) == "" || state(inner) == "Z" })
			p.do("write", "1", numbered((2*round+1)*block, block))
		}
		comes(t, dir+"/lines", numbered(0, 10*block))
		d.says(`log command ended`)
		for _, pid := range children(t, d.pid) {
			if state(pid) == "Z" {
				t.Errorf("%d is a zombie", pid)
			}
		}
		d.stop()
		if got := content(dir + "/lines"); got != numbered(0, 10*block) {
			t.Errorf("the lines are\n%s", got)
		}
	})
}

// TestLogCommandOfOneLine: one that ends after each line, having read no more, is started again and again.
func TestLogCommandOfOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	d := run{mode: subreaper, given: []string{"dir=" + dir}, args: flags(s.puppet(), "ready=notify", "interval=0", "max-backoff=0.01",
		"access-log="+collector(`read -r line && echo "$line" >> lines`))}.start(t)
	p := s.generation(1)
	p.ready()
	p.do("write", "1", numbered(0, 40))
	comes(t, dir+"/lines", numbered(0, 40))
	d.stop()
}

// TestLogCommandMissing: it ends nothing, it is said on stderr, and so is in the end what it has not taken.
func TestLogCommandMissing(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{"NotFound": `| ["/no/such/program"]`, "InShell": "| exec /no/such/program", "Ends": "| exit 3"} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet(), "ready=notify", "interval=0.1", "max-backoff=1", "log-file="+command)}.start(t)
				p := s.generation(1)
				p.do("write", "1", "one\n")
				p.ready()
				for range 2 {
					d.says("initd: log command ")
				}
				d.swap()
				next := s.generation(2)
				next.ready()
				p.gets(syscall.SIGTERM)
				d.stop()
				said := d.output()
				for _, text := range []string{"one\n", `"event":"serving","generation":2`, `"event":"exit","exit_status":0`} {
					if strings.Count(said, text) != 1 {
						t.Errorf("stderr lacks %q, or has it twice:\n%s", text, said)
					}
				}
			})
		})
	}
}

// TestLastLines: what the last worker says last, and initd, arrives; the log command is asked by the end of
// its input to end, not by a signal, and is waited for. That there are orphans makes no difference.
func TestLastLines(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet("stubborn"), "ready=notify", "stop-timeout=30", "log-file="+
			collector(`trap 'echo signal >> signals' HUP INT QUIT TERM USR1; while read -r line; do echo "$line" >> lines; done; echo end >> lines`))}.start(t)
		p := s.generation(1)
		p.ready()
		p.do("run", "sh", "-c", "sleep 1000 <&- >&- 2>&- &")
		d.signal(syscall.SIGUSR1)
		p.gets(syscall.SIGUSR1)
		d.signal(syscall.SIGTERM)
		p.gets(syscall.SIGTERM)
		p.do("write", "2", numbered(0, 5000)+"last words\n")
		p.tell("exit", "0")
		d.exits(0)
		if got := strings.Split(content(dir+"/lines"), "\n"); len(got) < 3 || !slices.Contains(got, "last words") ||
			!strings.Contains(got[len(got)-3], `"event":"exit","exit_status":0`) || got[len(got)-2] != "end" {
			t.Errorf("the last of %d lines are %q", len(got), got[max(0, len(got)-5):])
		}
		missing(t, dir+"/signals")
		if said := d.output(); said != "" {
			t.Errorf("stderr has %q", said)
		}
	})
}

// TestLogCommandSpared: orphans that do not obey are killed, the log command is not.
func TestLogCommandSpared(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet(), "ready=notify", "stop-timeout=1", "log-file="+
			collector(`cat >> lines; echo end >> lines`))}.start(t)
		p := s.generation(1)
		p.ready()
		p.do("run", "sh", "-c", "exec <&- >&- 2>&-; "+strings.Join(s.puppet("stubborn"), " ")+" &")
		orphan := s.next()
		p.do("write", "1", "last words\n")
		d.signal(syscall.SIGTERM)
		p.gets(syscall.SIGTERM)
		orphan.gets(syscall.SIGTERM)
		d.exits(0)
		orphan.ends()
		contains(t, dir+"/lines", "last words\n")
		contains(t, dir+"/lines", `"event":"exit","exit_status":0`)
		if got := lastLine(dir + "/lines"); got != "end" {
			t.Errorf("the last line is %q", got)
		}
	})
}

// TestLastCall: a log command that was killed when initd was about to end is started once more, whatever its
// back-off.
func TestLastCall(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet("stubborn"), "ready=notify", "interval=3600", "max-backoff=3600",
			"log-file="+collector(`echo begin >> lines; test -e second || { touch second; exit 1; }; cat >> lines`))}.start(t)
		p := s.generation(1)
		p.ready()
		d.says("log command ended")
		d.signal(syscall.SIGTERM)
		p.gets(syscall.SIGTERM)
		p.do("write", "1", "last words\n")
		p.tell("exit", "0")
		d.exits(0)
		if got := content(dir + "/lines"); !strings.HasPrefix(got, "begin\nbegin\n") || !strings.Contains(got, "\nlast words\n") || !strings.Contains(lastLine(dir+"/lines"), `"event":"exit"`) {
			t.Errorf("the lines are %q", got)
		}
	})
}

// TestLogCommandHangs: initd's exit waits for it, but not for ever, and leaves it what it has not read yet.
func TestLogCommandHangs(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		if err := syscall.Mkfifo(dir+"/latch", 0o600); err != nil {
			t.Fatal(err)
		}
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet(), "ready=notify", "log-file="+collector(`trap '' TERM; read go < latch; cat > lines`))}.start(t)
		p := s.generation(1)
		p.ready()
		p.do("write", "1", "one\n")
		d.stop()
		if as == pid1 {
			return // it has ended with its namespace
		}
		latch, err := os.OpenFile(dir+"/latch", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer latch.Close()
		fmt.Fprintln(latch, "go")
		contains(t, dir+"/lines", `"event":"exit","exit_status":0`)
		contains(t, dir+"/lines", "one\n")
		if said := d.output(); said != "" {
			t.Errorf("stderr has %q", said)
		}
	})
}

// TestLogCommandFiles: it has three streams, and no listener.
func TestLogCommandFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writer, stdout := textPipe(t)
	s := newStage(t)
	d := run{mode: subreaper, stdout: writer, given: []string{"open=20", "dir=" + dir}, args: flags(s.puppet(), "port=127.0.0.1:0", "pid-file=pid", "status-file=status", "access-log=other", "ready=notify",
		"log-file="+collector(`ls /proc/$$/fd; env > environ; cat > lines`))}.start(t)
	s.generation(1).ready()
	contains(t, dir+"/lines", `"event":"serving"`)
	lacks(t, dir+"/environ", "SERVER_STARTER_", "LISTEN_", "NOTIFY_SOCKET")
	d.stop()
	if got := strings.Join(strings.Fields(stdout()), " "); got != "0 1 2" {
		t.Errorf("its files are %s", got)
	}
}

// TestLogOfUser: a worker of another user may open its output by name to write, and has no way to read what
// others write.
func TestLogOfUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a worker as someone else")
	}
	for _, setting := range []string{"log-file=log", "log-file=| cat > log"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			worker := []string{"/bin/sh", "-c", `echo out > /dev/stdout; echo err > /dev/stderr
				for fd in 1 2; do
					chmod 0600 /proc/self/fd/$fd && echo changed
					true < /proc/self/fd/$fd && echo readable
				done
				id -u`}
			run{mode: subreaper, given: []string{"dir=" + dir}, args: flags(worker, setting, "dir=/", "user=65531", "respawn=on-failure")}.start(t).exits(0)
			for _, line := range []string{"out\n", "err\n", "65531\n"} {
				contains(t, dir+"/log", line)
			}
			if got := content(dir + "/log"); strings.Contains(got, "changed\n") || strings.Contains(got, "readable\n") {
				t.Errorf("the log has %q", got)
			}
		})
	}
}

// TestLogFileFull: that the disk is full is told once, on the stderr that is left, and disturbs nothing.
func TestLogFileFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs a mount of its own: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "log-file="+dir+"/log", "ready=notify")}.start(t)
	p := s.generation(1)
	p.ready()
	contains(t, dir+"/log", `"event":"serving"`)
	if err := os.WriteFile(dir+"/filler", make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	line := strings.Repeat("x", 16<<10-1) + "\n"
	for range 20 {
		p.do("write", "1", line) // more than the pipe holds
	}
	d.says("initd: log-file: write " + dir + "/log: no space left on device")
	d.swap()
	next := s.generation(2)
	next.ready()
	p.gets(syscall.SIGTERM)
	p.ends()
	if err := os.Remove(dir + "/filler"); err != nil {
		t.Fatal(err)
	}
	next.do("write", "1", "room again\n")
	contains(t, dir+"/log", "room again\n")
	contains(t, dir+"/log", " bytes are missing here")
	d.says("initd: log-file can be written again")
	d.stop()
	if said := d.output(); strings.Count(said, "no space left") != 1 {
		t.Errorf("it is told more than once:\n%s", said)
	}
}

// TestLogFileFIFO: the file may be a pipe of someone's who goes away, comes back, or hangs.
func TestLogFileFIFO(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path := t.TempDir() + "/fifo"
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		s := newStage(t)
		args := flags(s.puppet(), "log-file="+path, "signal-map=USR1:REOPEN", "ready=notify")
		none := run{mode: as, args: args}.start(t)
		none.exits(125) // nobody reads it
		if said := none.output(); !strings.Contains(said, "--log-file") || !strings.Contains(said, "no such device or address") {
			t.Errorf("it says %q", said)
		}

		open := func() *os.File {
			reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			return reader
		}
		reader := open()
		d := run{mode: as, args: args}.start(t)
		p := s.generation(1)
		p.ready()
		reader.Close()
		// A process that is just being started elsewhere may have the reader for a moment: fork(2).
		eventually(t, "it says that nobody reads", func() bool {
			p.do("write", "1", "nobody reads it\n")
			lines, _, _ := d.log.After(0)
			return strings.Contains(strings.Join(lines, "\n"), "initd: log-file: write "+path+": broken pipe")
		})
		p.lives()
		reader = open()
		defer reader.Close()
		p.do("write", "1", "one\n")
		d.says("initd: log-file can be written again")

		// From now on nobody reads. What does not fit waits, and initd does not.
		p.do("write", "1", strings.Repeat("x", 64<<10))
		d.signal(syscall.SIGUSR1)
		d.swap()
		next := s.generation(2)
		next.ready()
		p.gets(syscall.SIGTERM)
		d.stop()
	})
}

// TestLogsLeakNothing: initd's open files do not become more by what happens to the logs.
func TestLogsLeakNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	d := run{mode: subreaper, given: []string{"dir=" + dir}, args: flags(s.puppet(), "ready=notify", "interval=0", "max-backoff=0.01", "signal-map=USR1:REOPEN",
		"pid-file=pid", "status-file=status", "log-file=log", "error-log=error", "access-log="+collector(`read -r line && echo "$line" >> lines`))}.start(t)
	p := s.generation(1)
	p.ready()
	files := func() (all []string) {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", d.pid))
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil {
				all = append(all, to)
			}
		}
		return all
	}
	round := func(n int) {
		t.Helper()
		next := s.generation(n + 1)
		next.ready()
		p.ends()
		contains(t, dir+"/log", fmt.Sprintf(`"msg":"generation %d is gone"`, n))
		p = next
		p.do("write", "1", fmt.Sprintln(n)) // by which a log command ends
		comes(t, dir+"/lines", numbered(1, n))
		if err := os.Rename(dir+"/log", fmt.Sprintf("%s/log.%d", dir, n)); err != nil {
			t.Fatal(err)
		}
		d.signal(syscall.SIGUSR1)
		contains(t, dir+"/log", `"event":"reopen"`)
	}
	d.swap()
	round(1)
	before := files()
	for n := 2; n <= 20; n++ {
		d.swap()
		round(n)
	}
	eventually(t, "as few files are open as before", func() bool { return len(files()) <= len(before) })
	for _, pid := range children(t, d.pid) {
		eventually(t, "no child is a zombie", func() bool { return state(pid) != "Z" })
	}
	d.stop()
}
