package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestStatusFile: at each stage it has a line for each live worker of a generation that is or was ready.
func TestStatusFile(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path := t.TempDir() + "/status"
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "status-file="+path, "ready=notify", "kill-old-delay=0.3", "interval=0.1", "max-failures=1")}.start(t)
		lines := func(workers ...*puppet) (text string) {
			for _, p := range workers {
				text += fmt.Sprintf("%d:%d\n", p.Generation(), p.PID)
			}
			return text
		}
		first := s.generation(1)
		missing(t, path) // nothing is ready
		first.ready()
		comes(t, path, lines(first))

		d.swap()
		second := s.generation(2)
		if got := content(path); got != lines(first) {
			t.Errorf("one that only starts is told of: %q", got)
		}
		second.ready()
		d.is("trial", 2)
		comes(t, path, lines(first, second))
		first.gets(syscall.SIGTERM)
		comes(t, path, lines(first, second)) // it drains
		first.tell("exit", "0")
		comes(t, path, lines(second))

		d.swap() // a generation that fails is never told of
		third := s.generation(3)
		third.tell("exit", "1")
		d.is("failed", 3)
		comes(t, path, lines(second))

		second.tell("exit", "1")
		comes(t, path, "")
		fourth := s.generation(4)
		fourth.ready()
		comes(t, path, lines(fourth))

		d.signal(syscall.SIGTERM)
		fourth.gets(syscall.SIGTERM)
		comes(t, path, lines(fourth))
		fourth.tell("exit", "0")
		d.exits(0)
		missing(t, path)
		if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	})
}

// TestStatusFileReaders: who reads it at any time finds it whole, and the numbers in order, of which 10 comes
// after 9.
func TestStatusFileReaders(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/status"
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet("stubborn"), "status-file="+path, "ready=notify")}.start(t)
	stop, read := make(chan bool), make(chan error, 1)
	go func() {
		defer close(read)
		for reads := 0; ; reads++ {
			select {
			case <-stop:
				if reads < 100 {
					read <- fmt.Errorf("it was read %d times only", reads)
				}
				return
			default:
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				continue // nothing was ready yet
			}
			for i, line := range strings.SplitAfter(string(text), "\n") {
				number, pid, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
				if _, wrong := strconv.Atoi(pid); line != "" && (number != strconv.Itoa(i+1) || wrong != nil || !strings.HasSuffix(line, "\n")) {
					err = errors.New("line " + strconv.Quote(line))
				}
			}
			if err == nil && len(text) == 0 {
				err = errors.New("it is empty")
			}
			if err != nil {
				read <- fmt.Errorf("%w in %q", err, text)
				return
			}
		}
	}()
	want := ""
	for number := 1; number <= 12; number++ {
		p := s.generation(number)
		p.ready()
		want += fmt.Sprintf("%d:%d\n", number, p.PID)
		comes(t, path, want)
		if number < 12 {
			d.swap()
		}
	}
	close(stop)
	for err := range read {
		t.Error(err)
	}
	d.signal(syscall.SIGTERM)
	d.signal(syscall.SIGINT) // at once
	d.exits(0)
	missing(t, path)
}

// TestStatusFileUnwritable: it is told once, ends nothing, and the file is there as soon as it can be.
func TestStatusFileUnwritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/missing"
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "status-file="+dir+"/status", "ready=notify")}.start(t)
	first := s.generation(1)
	first.ready()
	d.says("status-file: open " + dir)
	d.swap()
	second := s.generation(2)
	second.ready()
	first.ends()
	d.is("gone", 1)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	comes(t, dir+"/status", fmt.Sprintf("2:%d\n", second.PID))
	d.says("status-file can be written again")
	d.stop()
	missing(t, dir+"/status")
	if said := d.output(); strings.Count(said, "status-file: ") != 1 {
		t.Errorf("it was told more than once:\n%s", said)
	}
}

// TestPreciousFile: what is no status file is not replaced by one.
func TestPreciousFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writes(t, dir+"/precious", "letters of my grandmother\n")
	if err := os.Symlink("precious", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"precious", "link", ""} {
		d := run{mode: subreaper, args: flags([]string{"/bin/true"}, "status-file="+dir+"/"+name, "pid-file="+dir+"/pid")}.start(t)
		d.exits(125)
		if said := d.output(); !strings.Contains(said, "SERVER_STARTER_STATUS_FILE (--status-file)") || !strings.Contains(said, "not a status file") {
			t.Errorf("%s: it says %q", name, said)
		}
	}
	missing(t, dir+"/pid")
	if got := content(dir + "/precious"); got != "letters of my grandmother\n" {
		t.Errorf("the file has %q", got)
	}
}

// TestStatusFileOfOutcome: a client that learns that a swap is ready finds the new generation in the file. Where that
// cannot be written it learns that all the same.
func TestStatusFileOfOutcome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := dir + "/status"
	s := steer(t, "status-file="+path, "ready=notify")
	old := s.generation(1)
	old.ready()
	s.daemon.is("serving", 1)
	swap := func(number int) *puppet {
		told := s.outcomes()
		p := s.generation(number)
		turnsOut(t, told, "begun")
		p.ready()
		turnsOut(t, told, "ready")
		return p
	}
	for number := 2; number < 22; number++ {
		p := swap(number)
		if got, want := content(path), fmt.Sprintf("%d:%d\n", number, p.PID); !strings.HasSuffix(got, want) {
			t.Errorf("the status file has %q, want %q", got, want)
		}
	}
	hang(t, dir)
	swap(22)
	s.daemon.signal(syscall.SIGTERM)
	s.daemon.exits(0)
}
