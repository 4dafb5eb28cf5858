package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// asked is an initd with the files by which it is found.
type asked struct {
	*daemon
	stage  *stage
	files  []string // settings
	pid    string   // path
	status string   // path
}

// running starts an initd whose first generation is ready.
func running(t *testing.T, as mode, manners []string, settings ...string) (*asked, *puppet) {
	t.Helper()
	dir := t.TempDir()
	a := &asked{stage: newStage(t), pid: dir + "/pid", status: dir + "/status"}
	a.files = []string{"pid-file=" + a.pid, "status-file=" + a.status}
	a.daemon = run{mode: as, args: flags(a.stage.puppet(manners...), slices.Concat(a.files, settings, []string{"ready=notify"})...)}.start(t)
	p := a.stage.generation(1)
	p.ready()
	a.published(p)
	return a, p
}

// published waits until the status file has just these workers.
func (a *asked) published(workers ...*puppet) {
	a.Helper()
	text := ""
	for _, p := range workers {
		text += fmt.Sprintf("%d:%d\n", p.Generation(), p.PID)
	}
	comes(a.T, a.status, text)
}

// request begins to ask.
func (a *asked) request(what string) *daemon {
	a.Helper()
	return run{mode: subreaper, args: flags(nil, append(a.files, what)...)}.start(a.T)
}

// waits fails the test if the request has returned.
func (d *daemon) waits() {
	d.Helper()
	select {
	case <-d.ended:
		d.Errorf("%q has returned already, with %d:\n%s", d.log.Tail(), d.status.ExitStatus(), d.output())
	default:
	}
}

// TestRestart: it returns when a newer generation alone is left, and not before; failed attempts' numbers do
// not confuse it.
func TestRestart(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) { // from outside, also where initd is PID 1
		a, first := running(t, as, []string{"stubborn"}, "interval=0.1")
		restart := a.request("restart")
		a.stage.generation(2).tell("exit", "1")
		a.is("failed", 2)
		third := a.stage.generation(3)
		restart.waits()
		third.ready()
		a.published(first, third)
		first.gets(syscall.SIGTERM)
		restart.waits()
		first.tell("exit", "0")
		restart.exits(0)
		if said := restart.output(); said != "" {
			t.Errorf("it says %q", said)
		}
		if got, want := content(a.status), fmt.Sprintf("3:%d\n", third.PID); got != want {
			t.Errorf("it has returned while the status file has %q, not %q", got, want)
		}

		stop := a.request("stop")
		third.gets(syscall.SIGTERM)
		stop.waits()
		third.tell("exit", "0")
		stop.exits(0)
		a.exits(0)
		missing(t, a.pid, a.status)
	})
}

// TestRestartBeneathSwap: a swap that is under way began too early to count, and so did its number.
func TestRestartBeneathSwap(t *testing.T) {
	t.Parallel()
	a, first := running(t, subreaper, nil)
	a.swap()
	second := a.stage.generation(2)
	restart := a.request("restart")
	eventually(t, "two HUPs have come", func() bool {
		requests := slices.DeleteFunc(a.entries(), func(e initdtest.Entry) bool { return e.Signal != "HUP" })
		return len(requests) == 2
	})
	second.ready()
	first.gets(syscall.SIGTERM)
	third := a.stage.generation(3)
	first.ends()
	a.published(second)
	restart.waits()
	third.ready()
	restart.exits(0)
	a.published(third)
	a.stop()
}

// TestRestartBeforeReady: it is not the first generation, either, which was there before.
func TestRestartBeforeReady(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	files := []string{"pid-file=" + dir + "/pid", "status-file=" + dir + "/status"}
	d := run{mode: subreaper, args: flags(s.puppet(), append(files, "ready=notify")...)}.start(t)
	first := s.generation(1)
	restart := run{mode: subreaper, args: flags(nil, append(files, "restart")...)}.start(t)
	restart.says("waiting for the first generation to be ready")
	d.event("HUP", func(e initdtest.Entry) bool { return e.Signal == "HUP" })
	first.ready()
	second := s.generation(2)
	restart.waits()
	second.ready()
	first.ends()
	restart.exits(0)
	d.stop()
}

// TestRestartFails: with the reason where no newer generation comes.
func TestRestartFails(t *testing.T) {
	t.Parallel()
	t.Run("GivenUp", func(t *testing.T) {
		t.Parallel()
		a, first := running(t, subreaper, nil, "max-failures=2", "interval=0.1")
		// One that was given up before the request is not the answer to it.
		a.swap()
		for number := 2; number <= 3; number++ {
			a.stage.generation(number).tell("exit", "1")
		}
		a.event("given up", func(e initdtest.Entry) bool { return e.Event == "failed" && strings.Contains(e.Message, "given up") })
		restart := a.request("restart")
		for number := 4; number <= 5; number++ {
			restart.waits()
			a.stage.generation(number).tell("exit", "1")
		}
		restart.exits(1)
		if said := restart.output(); !strings.Contains(said, "generation 5 was refused or given up") {
			t.Errorf("it says %q", said)
		}
		first.lives()
		again := a.request("restart")
		a.stage.generation(6).ready()
		again.exits(0)
		a.stop()
	})
	t.Run("Refused", func(t *testing.T) {
		t.Parallel()
		envdir := t.TempDir() + "/env"
		if err := os.Mkdir(envdir, 0o755); err != nil {
			t.Fatal(err)
		}
		a, first := running(t, subreaper, nil, "envdir="+envdir)
		if err := os.Remove(envdir); err != nil {
			t.Fatal(err)
		}
		restart := a.request("restart")
		restart.exits(1)
		if said := restart.output(); !strings.Contains(said, "generation 2 was refused or given up") {
			t.Errorf("it says %q", said)
		}
		first.lives()
		a.stop()
	})
	t.Run("Stopped", func(t *testing.T) {
		t.Parallel()
		a, first := running(t, subreaper, []string{"stubborn"})
		restart := a.request("restart")
		second := a.stage.generation(2)
		a.signal(syscall.SIGTERM)
		first.gets(syscall.SIGTERM)
		second.gets(syscall.SIGTERM)
		restart.waits()
		first.tell("exit", "0")
		second.tell("exit", "0")
		a.exits(0)
		restart.exits(1)
		if said := restart.output(); !strings.Contains(said, fmt.Sprintf("initd (process %d) has ended", a.daemon.pid)) {
			t.Errorf("it says %q", said)
		}
	})
	t.Run("Killed", func(t *testing.T) {
		t.Parallel()
		a, _ := running(t, subreaper, nil)
		restart := a.request("restart")
		a.stage.generation(2)
		a.signal(syscall.SIGKILL)
		restart.exits(1)
	})
}

// TestManyRestarts: each of several requests at one time is granted, by one swap or by several.
func TestManyRestarts(t *testing.T) {
	t.Parallel()
	a, _ := running(t, subreaper, nil)
	var all []*daemon
	for range 5 {
		all = append(all, a.request("restart"))
	}
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for _, restart := range all {
			<-restart.ended
		}
	}()
	for number, open := 2, true; open; number++ {
		select {
		case p := <-a.stage.arrivals:
			if p.Generation() != number || number > 6 {
				t.Fatalf("generation %d has appeared, not %d", p.Generation(), number)
			}
			p.ready()
		case <-ended:
			open = false
		case <-time.After(initdtest.Patience):
			t.Fatal("a request has not returned")
		}
	}
	for _, restart := range all {
		restart.exits(0)
	}
	a.stop()
}

// TestNothingToAsk: without an initd that runs there is a clear word, and no signal for anyone.
func TestNothingToAsk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer bystander.Wait()
	defer bystander.Process.Kill()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	writes(t, dir+"/status", "1:1\n")
	foreign := syscall.Kill(1, 0) == syscall.EPERM // so that nobody here can see what process 1 holds
	for _, test := range []struct{ name, text, says string }{
		{"absent", "", "no such file: initd is not running, or uses another pid-file"},
		{"empty", "\n", "it is empty"},
		{"garbage", "letters\n", `"letters" is not a pid`},
		{"negative", "-1\n", `"-1" is not a pid`},
		{"zero", "0\n", `"0" is not a pid`},
		{"huge", "99999999999999999999\n", "is not a pid"},
		{"one", "1\n", "stale"},
		{"own", fmt.Sprintln(os.Getpid()), "stale"},
		{"bystander", fmt.Sprintln(bystander.Process.Pid), "stale"},
		{"gone", fmt.Sprintln(gone.Process.Pid), "stale"},
		{"withoutNewline", fmt.Sprint(bystander.Process.Pid), "stale"},
	} {
		pidFile := dir + "/" + test.name
		if test.text != "" {
			writes(t, pidFile, test.text)
		}
		for _, what := range []string{"restart", "stop"} {
			said := request(t, 1, what, "pid-file="+pidFile, "status-file="+dir+"/status")
			if test.name == "one" && foreign && said == "initd: kill 1: operation not permitted" {
				continue
			}
			if !strings.HasPrefix(said, "initd: pid-file "+pidFile+": ") || !strings.Contains(said, test.says) || strings.Count(said, "\n") > 1 {
				t.Errorf("%s of %s says %q", what, test.name, said)
			}
		}
	}
	if state(bystander.Process.Pid) == "Z" {
		t.Error("a bystander was hit")
	}
	for what, lacks := range map[string][]string{"stop": {"pid-file"}, "restart": {"pid-file", "status-file"}} {
		said := request(t, 64, what)
		for _, setting := range lacks {
			if !strings.Contains(said, "needs "+setting) {
				t.Errorf("%s says %q", what, said)
			}
		}
	}
}

// TestRequestByEnvironment: within a container, what initd was given is known already.
func TestRequestByEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	environ := []string{"SERVER_STARTER_PID_FILE=" + dir + "/pid", "SERVER_STARTER_STATUS_FILE=" + dir + "/status", "SERVER_STARTER_PORT=127.0.0.1:0", "SERVER_STARTER_READY=notify"}
	d := run{mode: pid1, environ: environ, args: s.puppet()}.start(t)
	s.generation(1).ready()
	d.is("serving", 1)
	restart := run{mode: subreaper, environ: environ, args: []string{"--restart"}}.start(t)
	s.generation(2).ready()
	restart.exits(0)
	run{mode: subreaper, environ: environ, args: []string{"--stop"}}.start(t).exits(0)
	d.exits(0)
}

// TestRequestFromElsewhere: who cannot see initd, being in another pid namespace, is told so.
func TestRequestFromElsewhere(t *testing.T) {
	t.Parallel()
	a, p := running(t, subreaper, nil)
	for _, what := range []string{"restart", "stop"} {
		d := run{mode: pid1, args: flags(nil, append(a.files, what)...)}.start(t)
		d.exits(1)
		if said := d.output(); !strings.Contains(said, "in another pid namespace") {
			t.Errorf("%s says %q", what, said)
		}
	}
	p.lives()
	a.stop()
}

// TestStopOfZombie: that nobody waits for initd does not keep who asks it to stop.
func TestStopOfZombie(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t)
	binary := initdBinary(t)
	argv := slices.Concat([]string{binary}, flags(s.puppet(), "pid-file="+dir+"/pid", "ready=notify", "access-log=/dev/null", "error-log=/dev/null"))
	pid, err := syscall.ForkExec(binary, argv, &syscall.ProcAttr{Env: run{}.environment(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Wait4(pid, nil, 0, nil)
	defer syscall.Kill(pid, syscall.SIGKILL)
	s.generation(1).ready()
	request(t, 0, "stop", "pid-file="+dir+"/pid")
	eventually(t, "initd is a zombie", func() bool { return state(pid) == "Z" })
}

// TestStopOfAnother: one that has taken over the files of the initd that was asked is not waited for.
func TestStopOfAnother(t *testing.T) {
	t.Parallel()
	a, first := running(t, subreaper, []string{"stubborn"})
	stop := a.request("stop")
	first.gets(syscall.SIGTERM)
	if err := syscall.Kill(stop.pid, syscall.SIGSTOP); err != nil { // it looks again when the other is there
		t.Fatal(err)
	}
	a.signal(syscall.SIGKILL)
	a.exits(128 + 9)
	first.tell("exit", "0")
	other := run{mode: subreaper, args: flags(a.stage.puppet(), append(a.files, "ready=notify")...)}.start(t)
	p := a.stage.generation(1)
	if err := syscall.Kill(stop.pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	stop.exits(0)
	p.lives()
	other.stop()
}

// TestOriginal: initd asks start_server, and start_server asks initd.
func TestOriginal(t *testing.T) {
	t.Parallel()
	original, err := exec.LookPath("start_server")
	if err != nil {
		t.Skip("needs start_server (Debian: libserver-starter-perl)")
	}
	t.Run("Running", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := newStage(t)
		files := []string{"pid-file=" + dir + "/pid", "status-file=" + dir + "/status"}
		d := run{mode: subreaper, program: original, args: flags(s.puppet("stubborn"), append(files, "interval=1")...)}.start(t)
		first := s.generation(1)
		comes(t, dir+"/status", fmt.Sprintf("1:%d\n", first.PID))
		restart := run{mode: subreaper, args: flags(nil, append(files, "restart")...)}.start(t)
		s.generation(2).tell("exit", "1") // its number is lost
		third := s.generation(3)
		first.gets(syscall.SIGTERM)
		restart.waits()
		first.tell("exit", "0")
		restart.exits(0)
		comes(t, dir+"/status", fmt.Sprintf("3:%d\n", third.PID))
		stop := run{mode: subreaper, args: flags(nil, "pid-file="+dir+"/pid", "stop")}.start(t)
		third.gets(syscall.SIGTERM)
		stop.waits()
		third.tell("exit", "0")
		stop.exits(0)
		d.exits(0)
	})
	t.Run("Asking", func(t *testing.T) {
		t.Parallel()
		a, first := running(t, subreaper, []string{"stubborn"})
		request := func(what string) *daemon {
			return run{mode: subreaper, program: original, args: flags(nil, append(a.files, what)...)}.start(t)
		}
		restart := request("restart")
		second := a.stage.generation(2)
		second.ready()
		first.gets(syscall.SIGTERM)
		restart.waits()
		first.tell("exit", "0")
		restart.exits(0)
		stop := request("stop")
		second.gets(syscall.SIGTERM)
		stop.waits()
		second.tell("exit", "0")
		stop.exits(0)
		a.exits(0)
	})
}

// TestStartServer: under its name initd takes its place in a script that was written for it.
func TestStartServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := dir + "/start_server"
	if err := os.Symlink(initdBinary(t), link); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	start := func(args ...string) *daemon {
		return run{mode: subreaper, given: []string{"dir=" + dir}, program: link, args: args}.start(t)
	}
	d := start(slices.Concat([]string{"-port=127.0.0.1:0", "--INTERVAL", "1", "--pid", "pid", "-status-file=status", "--log", "log", "--daemon", "--kill-old-delay=0", "--"}, s.puppet())...)
	first := s.generation(1)
	if got, _ := first.Value("KILL_OLD_DELAY"); got != "0" {
		t.Errorf("KILL_OLD_DELAY=%s", got)
	}
	d.exits(0)
	background(t, dir+"/pid")
	restart := start("--restart", "--pid-file=pid", "--status-file=status")
	s.generation(2)
	restart.exits(0)
	start("--stop", "--pid-file=pid").exits(0)
	missing(t, dir+"/pid", dir+"/status")
}
