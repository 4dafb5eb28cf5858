package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
)

// hookEnded waits until a hook has ended so many times.
func (d *daemon) hookEnded(name string, times int) initdtest.Entry {
	d.Helper()
	return d.event(name+" ended", func(e initdtest.Entry) bool {
		if e.Event == "hook" && e.Hook == name && strings.HasSuffix(e.Message, " ended") {
			times--
		}
		return times == 0
	})
}

// latch is a FIFO that holds up those who read a line of it, until the test writes one.
func latch(t *testing.T) (path string, release func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "latch")
	if err := unix.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		t.Helper()
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the reader
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString("\n")
		file.Close()
	}
}

// TestSwapHooks: before-swap can refuse, after-swap is told how it went, and both know the generation.
func TestSwapHooks(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		record := `echo "$SERVER_STARTER_EVENT $SERVER_STARTER_GENERATION $SERVER_STARTER_RESULT $SERVER_STARTER_REASON [$LISTEN_FDS$NOTIFY_SOCKET$SERVER_STARTER_WORKER]" >>` + dir + "/record"
		writes(t, dir+"/before.sh", record+"\ntest -e "+dir+"/fine\n")
		d, s, first := serving(t, as, "max-failures=1",
			`hook-before-swap=["/bin/sh", "`+dir+`/before.sh"]`, "hook-after-swap="+record)
		missing(t, dir+"/record") // the first generation is no swap

		d.swap()
		d.is("refused", 2)
		d.hookEnded("after-swap", 1)
		first.lives()
		d.answers(first)

		writes(t, dir+"/fine", "")
		d.swap()
		third := s.generation(3)
		first.lives()
		third.ready()
		first.gets(syscall.SIGTERM)
		d.hookEnded("after-swap", 2)

		d.swap()
		s.generation(4).tell("exit", "5")
		d.is("failed", 4)
		d.hookEnded("after-swap", 3)
		third.lives()
		d.stop()

		lines := strings.Split(strings.TrimSpace(content(dir+"/record")), "\n")
		want := []struct{ begin, says string }{
			{"before-swap 2 success  [", ""},
			{"after-swap 2 failure ", "hook-before-swap: exit status 1"},
			{"before-swap 3 success  [", ""},
			{"after-swap 3 success  [", ""},
			{"before-swap 4 success  [", ""},
			{"after-swap 4 failure ", "exit status 5"},
		}
		if len(lines) != len(want) {
			t.Fatalf("the hooks have written\n%s", strings.Join(lines, "\n"))
		}
		for i, w := range want {
			if !strings.HasPrefix(lines[i], w.begin) || !strings.Contains(lines[i], w.says) || !strings.HasSuffix(lines[i], "[]") {
				t.Errorf("%q is not %q, %q", lines[i], w.begin, w.says)
			}
		}
	})
}

// TestHookEnvironment: who may write to the envdir runs nothing as initd's own user. Hooks have initd's environment.
func TestHookEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	envdir := dir + "/env"
	if err := os.Mkdir(envdir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"PATH": dir, "LD_PRELOAD": dir + "/evil.so", "VERSION": "theirs", "SERVER_STARTER_REASON": "theirs"} {
		writes(t, envdir+"/"+name, value+"\n")
	}
	record := `echo "$SERVER_STARTER_EVENT $SERVER_STARTER_GENERATION $VERSION $SERVER_STARTER_REASON$LD_PRELOAD $PATH" >>` + dir + "/record"
	s := newStage(t)
	d := run{mode: subreaper, environ: []string{"VERSION=ours", "PATH=/usr/bin:/bin"}, args: flags(s.puppet(), "ready=notify", "envdir="+envdir,
		"hook-after-init="+record, "hook-before-swap="+record, "hook-after-swap="+record, "hook-before-shutdown="+record)}.start(t)
	first := s.generation(1)
	if got, _ := first.Value("VERSION"); got != "theirs" {
		t.Errorf("the worker has VERSION=%s", got)
	}
	first.ready()
	d.is("serving", 1)
	d.swap()
	s.generation(2).ready()
	d.hookEnded("after-swap", 1)
	d.stop()
	const want = "after-init  ours  /usr/bin:/bin\nbefore-swap 2 ours  /usr/bin:/bin\nafter-swap 2 ours  /usr/bin:/bin\nbefore-shutdown 2 ours  /usr/bin:/bin\n"
	if got := content(dir + "/record"); got != want {
		t.Errorf("the hooks have written\n%swant\n%s", got, want)
	}
}

// TestHangingHook: a hook that does not end within hook-timeout is killed with all its family, and has failed.
func TestHangingHook(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "hook-timeout=0.3", "hook-before-swap=sleep 1000 & sleep 1000")
		d.swap()
		if said := d.is("refused", 2).Message; !strings.Contains(said, "hook-timeout") {
			t.Errorf("it says %q", said)
		}
		first.lives()
		eventually(t, "the hook is gone", func() bool { return len(children(t, d.pid)) == 1 })
		d.stop()
		if n := len(s.arrivals); n > 0 {
			t.Errorf("%d workers were started", n)
		}
	})
}

// TestCancelledOutsideItsGroup: a hook or probe that has left its process group is killed all the same.
func TestCancelledOutsideItsGroup(t *testing.T) {
	t.Parallel()
	leaves := `["` + self + `", "given", "group=", "--", "/bin/sleep", "1000"]`
	for _, settings := range [][]string{
		{"hook-timeout=0.5", "hook-before-swap=" + leaves},
		{"probe-timeout=0.5", "start-timeout=2", "max-failures=1", "probe=" + leaves},
	} {
		t.Run(settings[0], func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := run{mode: subreaper, args: flags(s.puppet(), append(settings, "ready=notify")...)}.start(t)
			first := s.generation(1)
			first.ready()
			workers := 0
			if strings.HasPrefix(settings[0], "hook") {
				d.is("serving", 1)
				d.swap()
				d.is("refused", 2)
				workers = 1
			} else {
				d.is("failed", 1)
			}
			eventually(t, "it is gone", func() bool { return len(children(t, d.pid)) == workers })
			if workers > 0 {
				d.stop()
			}
		})
	}
}

// TestAfterInit: it runs when initd listens and before there is a worker. If it fails initd ends.
func TestAfterInit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, hook string
		status     int
		says       string
	}{
		{"Fine", "test -S $SOCKET && test $SERVER_STARTER_EVENT = after-init", 0, ""},
		{"Fails", "exit 3", 125, "hook-after-init: exit status 3"},
		{"Killed", "kill -9 $$", 125, "hook-after-init: signal KILL"},
		{"Hangs", "exec sleep 1000", 125, "hook-timeout"},
		{"Missing", `["/no/such/hook"]`, 125, "/no/such/hook"},
	} {
		t.Run(test.name, func(t *testing.T) {
			limit := "hook-timeout=60"
			if test.name == "Hangs" {
				limit = "hook-timeout=0.5"
			}
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				path := t.TempDir() + "/socket"
				d := run{mode: as, environ: []string{"SOCKET=" + path}, args: flags(s.puppet(), "ready=notify", "path="+path, limit,
					"hook-after-init="+test.hook)}.start(t)
				if test.status == 0 {
					s.generation(1).ready()
					d.is("serving", 1)
					d.stop()
					return
				}
				d.exits(test.status)
				if said := d.output(); !strings.Contains(said, test.says) {
					t.Errorf("it says %s", said)
				}
				if n := len(d.logged("start")); n > 0 {
					t.Errorf("%d workers were started", n)
				}
				missing(t, path)
			})
		})
	}
}

// TestStopDuringHook: a stop does not wait for a hook that has become pointless.
func TestStopDuringHook(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		t.Run("AfterInit", func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := run{mode: as, args: flags(s.puppet(), "hook-after-init=echo it runs >&2; exec sleep 1000", "hook-timeout=0")}.start(t)
			d.says("it runs")
			d.stop()
			if len(s.arrivals) > 0 {
				t.Error("a worker was started")
			}
		})
		t.Run("BeforeSwap", func(t *testing.T) {
			t.Parallel()
			d, s, first := serving(t, as, "hook-before-swap=echo it runs >&2; exec sleep 1000", "hook-timeout=0")
			d.swap()
			d.says("it runs")
			d.signal(syscall.SIGTERM)
			first.gets(syscall.SIGTERM)
			d.exits(0)
			if len(s.arrivals) > 0 {
				t.Error("a worker was started")
			}
		})
		t.Run("AfterSwap", func(t *testing.T) {
			t.Parallel()
			d, s, _ := serving(t, as, "hook-after-swap=echo it runs >&2; exec sleep 1000", "hook-timeout=0", "stop-timeout=0.5")
			d.swap()
			s.generation(2).ready()
			d.says("it runs")
			d.stop()
		})
	})
}

// TestBeforeShutdown: the workers serve on until it has ended, or whoever asks has no more patience.
func TestBeforeShutdown(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		t.Run("Waits", func(t *testing.T) {
			t.Parallel()
			path, release := latch(t)
			d, _, p := serving(t, as, "hook-before-shutdown=echo $SERVER_STARTER_EVENT runs >&2; read line <"+path)
			d.signal(syscall.SIGTERM)
			d.says("before-shutdown runs")
			d.answers(p)
			p.lives()
			release()
			p.gets(syscall.SIGTERM)
			d.exits(0)
		})
		t.Run("Twice", func(t *testing.T) {
			t.Parallel()
			d, _, p := serving(t, as, "hook-before-shutdown=echo it runs >&2; exec sleep 1000", "hook-timeout=0")
			d.signal(syscall.SIGTERM)
			d.says("it runs")
			p.lives()
			d.signal(syscall.SIGINT)
			p.ends()
			d.exits(0)
		})
		t.Run("Hangs", func(t *testing.T) {
			t.Parallel()
			d, _, p := serving(t, as, "hook-before-shutdown=exec sleep 1000", "hook-timeout=0.3")
			d.signal(syscall.SIGTERM)
			p.gets(syscall.SIGTERM)
			d.exits(0)
		})
		t.Run("WorkerEnds", func(t *testing.T) {
			t.Parallel()
			path, release := latch(t)
			d, s, p := serving(t, as, "hook-before-shutdown=echo it runs >&2; read line <"+path)
			d.signal(syscall.SIGTERM)
			d.says("it runs")
			p.tell("exit", "0")
			p.ends()
			release()
			d.exits(0)
			if len(s.arrivals) > 0 {
				t.Error("a worker was started after the stop")
			}
		})
	})
}

// TestBeforeDaemonize: it has the terminal of whoever starts initd still, and can keep it from being started.
func TestBeforeDaemonize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		hook string
		want int
		says string
	}{
		{"exit 3", 125, "exit status 3"},
		{"exec sleep 1000", 125, "hook-timeout"},
		{`["/no/such/hook"]`, 125, "/no/such/hook"},
		{"echo it is $SERVER_STARTER_EVENT >&2", 0, "it is before-daemonize"},
	} {
		d := run{mode: subreaper, args: flags([]string{"/bin/sleep", "1000"}, "daemonize=true", "interval=0.1", "hook-timeout=0.5",
			"log-file="+dir+"/log", "pid-file="+dir+"/pid", "hook-before-daemonize="+test.hook)}.start(t)
		d.exits(test.want)
		lines, _, _ := d.log.After(0)
		eventually(t, "it says "+test.says, func() bool {
			lines, _, _ = d.log.After(0)
			return strings.Contains(strings.Join(lines, "\n"), test.says)
		})
		if test.want != 0 {
			missing(t, dir+"/log", dir+"/pid")
			continue
		}
		stop := run{mode: subreaper, args: []string{"--stop", "--pid-file=" + dir + "/pid"}}.start(t)
		stop.exits(0)
	}
}

// TestHookChildren: what a hook leaves behind neither holds up what comes after the hook nor keeps initd.
func TestHookChildren(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		const leave = "sleep 1000 & "
		d, s, first := serving(t, as, "hook-after-init="+leave, "hook-before-swap="+leave, "hook-after-swap="+leave, "hook-before-shutdown="+leave)
		d.swap()
		second := s.generation(2)
		second.ready()
		first.ends()
		d.hookEnded("after-swap", 1)
		eventually(t, "what they leave is initd's", func() bool { return len(children(t, d.pid)) == 4 })
		began := time.Now()
		d.stop()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// TestLatestAfterSwap: of what comes while after-swap runs, it is told the last.
func TestLatestAfterSwap(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path, release := latch(t)
		d, s, _ := serving(t, as, "hook-after-swap=echo told of $SERVER_STARTER_GENERATION >&2; read line <"+path)
		for number := 2; number <= 4; number++ {
			d.swap()
			s.generation(number).ready()
			d.is("serving", number)
			if number == 2 {
				d.says("told of 2")
			}
		}
		release()
		d.says("told of 4")
		release()
		d.hookEnded("after-swap", 2)
		d.stop()
		if strings.Contains(d.output(), "told of 3") {
			t.Error("it was told of what was over")
		}
	})
}
