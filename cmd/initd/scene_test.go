package main_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// A scene is played with one of two programs, which are taken for the same: start_server of Perl's
// Server::Starter, or initd under that name. What it looks at is what users and workers see: workers,
// files, signals, exit statuses. What the two write to stderr differs, and counts for nothing.
type scene struct {
	*stage
	original bool   // it is Perl's
	program  string // its path
	dir      string // for files; short, since paths of sockets have to be
}

// scenery are the programs that scenes are played with.
var scenery = []string{"start_server", "initd"}

// newScene is played with the program of that name.
func newScene(t *testing.T, program string) *scene {
	t.Helper()
	s := &scene{original: program == "start_server"}
	if s.original {
		var err error
		if s.program, err = exec.LookPath("start_server"); err != nil {
			initdtest.Impossible(t, "needs start_server (Debian: libserver-starter-perl): %v", err)
		}
	} else {
		s.program = initdAsStartServer(t)
	}
	dir, err := os.MkdirTemp("", "scene")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.dir, s.stage = dir, newStage(t)
	return s
}

var named = sync.OnceValue(func() error {
	return os.Symlink("initd", filepath.Join(workshop, "start_server"))
})

// initdAsStartServer is the path of initd under that name.
func initdAsStartServer(t *testing.T) string {
	t.Helper()
	initdBinary(t)
	if err := named(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(workshop, "start_server")
}

// asksToStop starts the program for --stop, in these words, which is for a daemon with that pid.
func (s *scene) asksToStop(pid int, words ...string) *daemon {
	s.Helper()
	asked := s.runs(words...)
	if s.original {
		(&daemon{T: s.T, pid: pid, ended: asked.ended}).remind(syscall.SIGTERM)
	}
	return asked
}

// start starts the program, unless the run names another.
func (s *scene) start(r run) *daemon {
	s.Helper()
	r.mode, r.program = subreaper, cmp.Or(r.program, s.program)
	d := r.start(s.T)
	d.forgetful = s.original
	return d
}

// runs starts the program with these words.
func (s *scene) runs(words ...string) *daemon {
	s.Helper()
	return s.start(run{args: words})
}

// starts starts the program with puppets for workers. Each option is without its dashes.
func (s *scene) starts(options ...string) *daemon {
	s.Helper()
	return s.runs(flags(s.puppet(), options...)...)
}

// stubborn starts it with workers that end only when they are told to by the scene.
func (s *scene) stubborn(options ...string) *daemon {
	s.Helper()
	return s.runs(flags(s.puppet("stubborn"), options...)...)
}

// file is a path for this scene.
func (s *scene) file(name string) string { return filepath.Join(s.dir, name) }

// write writes a file, in one step for whoever reads it, and makes its directory.
func (s *scene) write(name, text string, mode os.FileMode) string {
	s.Helper()
	path := s.file(name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(s.file(".new"), []byte(text), mode)
	}
	if err == nil {
		err = os.Rename(s.file(".new"), path)
	}
	if err != nil {
		s.Fatal(err)
	}
	return path
}

// remove removes a file.
func (s *scene) remove(name string) {
	s.Helper()
	if err := os.Remove(s.file(name)); err != nil {
		s.Fatal(err)
	}
}

// exists reports whether there is such a file.
func (s *scene) exists(name string) bool {
	_, err := os.Lstat(s.file(name))
	return err == nil
}

// text is what a file has, empty where there is none.
func (s *scene) text(name string) string {
	text, _ := os.ReadFile(s.file(name))
	return string(text)
}

// lines are those of a file that are complete.
func (s *scene) lines(name string) []string {
	text := s.text(name)
	end := strings.LastIndexByte(text, '\n')
	if end < 0 {
		return nil
	}
	return strings.Split(text[:end], "\n")
}

// has waits until a file has that text, and nothing else.
func (s *scene) has(name, want string) {
	s.Helper()
	defer func() {
		if s.Failed() {
			s.Logf("%s has %q", name, s.text(name))
		}
	}()
	eventually(s.T, fmt.Sprintf("%s has %q", name, want), func() bool { return s.text(name) == want })
}

// status is what the status file has of these workers.
func status(workers ...*puppet) (text string) {
	for _, p := range workers {
		text += fmt.Sprintf("%d:%d\n", p.Generation(), p.pid)
	}
	return text
}

// is fails the test unless a worker was given a variable with that value; "-" is none.
func (p *puppet) is(name, want string) {
	p.Helper()
	got, set := p.Value(name)
	if !set {
		got = "-"
	}
	if got != want {
		p.Errorf("generation %d has %s=%s, not %s", p.Generation(), name, got, want)
	}
}

// listener is one that a worker was told of.
type listener struct {
	key string
	fd  int
}

// told is what SERVER_STARTER_PORT says, in its order.
func (p *puppet) told() (all []listener) {
	p.Helper()
	value, set := p.Value("SERVER_STARTER_PORT")
	if !set {
		p.Error("SERVER_STARTER_PORT is not set")
	}
	for item := range strings.SplitSeq(value, ";") {
		if item == "" {
			continue
		}
		end := strings.LastIndexByte(item, '=')
		fd, err := strconv.Atoi(item[end+1:])
		if err != nil {
			p.Fatalf("SERVER_STARTER_PORT=%s: %v", value, err)
		}
		all = append(all, listener{item[:end], fd})
	}
	return all
}

// answersAt fails the test unless that worker answers there.
func (p *puppet) answersAt(network, address string) {
	p.Helper()
	if got, want := greet(p.T, network, address), fmt.Sprint(p.Generation(), " ", p.PID); got != want {
		p.Errorf("at %s %q answers, not %q", address, got, want)
	}
}

// since fails the test if something came earlier than a program may do it.
func (s *scene) since(what string, began time.Time, least time.Duration) {
	s.Helper()
	if took := time.Since(began); took < least {
		s.Errorf("%s came after %v, not after %v", what, took, least)
	}
}

// daemonized is the program once the process that was started has left it in the background. It is
// killed at the end of the test, if it is there still.
func (s *scene) daemonized(pidFile string) (pid int) {
	s.Helper()
	eventually(s.T, "there is a pid file", func() bool { return len(s.lines(pidFile)) == 1 })
	pid, err := strconv.Atoi(s.lines(pidFile)[0])
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if s.exists(pidFile) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return pid
}

// ongoing reports whether the program has not ended.
func (d *daemon) ongoing() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// atOnce runs a subtest at the same time as others.
func atOnce(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		test(t)
	})
}
