package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// serving starts an initd with one listener and has its first generation serve. Workers say READY=1 when
// they are told to.
func serving(t *testing.T, as mode, settings ...string) (*daemon, *stage, *puppet) {
	t.Helper()
	s := newStage(t)
	d := run{mode: as, args: flags(s.puppet(), append([]string{"ready=notify", "interval=0.1", "port=127.0.0.1:0"}, settings...)...)}.start(t)
	first := s.generation(1).serve()
	first.ready()
	d.is("serving", 1)
	return d, s, first
}

// answers fails the test unless that worker answers at initd's listener.
func (d *daemon) answers(p *puppet) {
	d.Helper()
	want := fmt.Sprint(p.Generation(), " ", p.PID)
	if got := greet(d.T, "tcp", d.address("127.0.0.1")); got != want {
		d.Errorf("%q answers, not %q", got, want)
	}
}

// signalsLogged waits until initd has logged so many signals of a name.
func (d *daemon) signalsLogged(name string, count int) {
	d.Helper()
	d.event(fmt.Sprintf("%d signals %s", count, name), func(e initdtest.Entry) bool {
		if e.Event == "signal" && e.Signal == name {
			count--
		}
		return count == 0
	})
}

// TestSwap: HUP puts a new generation in place of the old one, on the same sockets, and the old one is
// told to stop when the new one is ready, and not before.
func TestSwap(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		for _, network := range []string{"tcp", "unix", "abstract"} {
			t.Run(network, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				spec, network, key := "port=127.0.0.1:0", network, "127.0.0.1:"
				switch network {
				case "unix":
					key = filepath.Join(t.TempDir(), "socket")
					spec = "path=" + key
				case "abstract":
					network, key = "unix", "@"+initdtest.Unique()
					spec = "path=" + key
				}
				d := run{mode: as, args: flags(s.puppet(), "ready=notify", spec)}.start(t)
				old := s.generation(1).serve()
				old.ready()
				address := d.address(key)
				for number := 2; number <= 5; number++ {
					d.swap()
					next := s.generation(number).serve()
					for range 3 { // both serve
						greet(t, network, address)
					}
					old.lives()
					next.ready()
					old.gets(syscall.SIGTERM)
					old.ends()
					if got, want := greet(t, network, address), fmt.Sprint(number, " ", next.PID); got != want {
						t.Errorf("%q answers, not %q", got, want)
					}
					old = next
				}
				d.stop()
				if network == "unix" && key[0] != '@' {
					if _, err := os.Lstat(key); !os.IsNotExist(err) {
						t.Errorf("the socket's file is left: %v", err)
					}
				}
			})
		}
	})
}

// TestFailedAttempt: a new generation that does not come up leaves the old one untouched, and is tried
// again until it does.
func TestFailedAttempt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		settings []string
		fail     func(p *puppet)
		says     string
	}{
		{"Exits", nil, func(p *puppet) { p.tell("exit", "3") }, "exit status 3"},
		{"ExitsWith0", nil, func(p *puppet) { p.tell("exit", "0") }, "exit status 0"},
		{"Crashes", nil, func(p *puppet) { p.tell("die", "11") }, "signal SEGV"},
		{"NeverReady", []string{"start-timeout=1.5"}, func(p *puppet) { p.ends() }, "start-timeout"},
		{"BindsItself", []string{"stderr-lines=1"}, func(p *puppet) {
			p.do("complain", "bind: "+syscall.EADDRINUSE.Error())
			p.tell("exit", "98")
		}, "the program found an address in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				d, s, first := serving(t, as, test.settings...)
				d.swap()
				for number := 2; number <= 3; number++ {
					test.fail(s.generation(number))
					d.is("failed", number)
				}
				d.says(test.says)
				first.lives()
				d.answers(first)
				last := s.generation(4).serve()
				last.ready()
				first.gets(syscall.SIGTERM)
				first.ends()
				d.answers(last)
				d.stop()
			})
		})
	}
}

// TestCannotExecuteAnew: the command is missing or no program any more when a swap is asked for. Nothing
// changes, until it is there again; the file is looked at for each start.
func TestCannotExecuteAnew(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		replace func(path string) error
		says    string
	}{
		{"Missing", func(string) error { return nil }, "no such file or directory"},
		{"NotExecutable", func(path string) error { return os.WriteFile(path, nil, 0o644) }, "permission denied"},
		{"NoProgram", func(path string) error { return os.WriteFile(path, []byte("\x7fELF"), 0o755) }, "exec format error"},
		{"NoInterpreter", func(path string) error { return os.WriteFile(path, []byte("#!/no/such\n"), 0o755) }, "is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				path := filepath.Join(t.TempDir(), "program")
				program := func(version string, s *stage) {
					t.Helper()
					script := "#!/bin/sh\nexec " + strings.Join(s.puppet(version), " ") + "\n"
					if err := os.WriteFile(path+".new", []byte(script), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(path+".new", path); err != nil {
						t.Fatal(err)
					}
				}
				s := newStage(t)
				program("one", s)
				d := run{mode: as, args: flags([]string{path}, "ready=notify", "interval=0.1", "max-backoff=0.2", "port=127.0.0.1:0")}.start(t)
				first := s.generation(1).serve()
				first.ready()
				d.is("serving", 1)

				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := test.replace(path); err != nil {
					t.Fatal(err)
				}
				d.swap()
				d.is("failed", 2)
				d.says(test.says)
				d.is("failed", 3)
				first.lives()
				d.answers(first)

				program("two", s)
				next := s.next().serve()
				if !slices.Equal(next.Args, []string{"two"}) {
					t.Errorf("the new program is not what was started: %q", next.Args)
				}
				next.ready()
				first.gets(syscall.SIGTERM)
				first.ends()
				d.answers(next)
				d.stop()
			})
		})
	}
}

// TestProbe: workers that are ready count only once the probe has succeeded, which is tried again and
// again.
func TestProbe(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		healthy := filepath.Join(t.TempDir(), "healthy-")
		probe := "echo probe of $SERVER_STARTER_GENERATION >&2; test -e " + healthy + "$SERVER_STARTER_GENERATION"
		approve := func(number int) {
			if err := os.WriteFile(healthy+strconv.Itoa(number), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		approve(1)
		d, s, first := serving(t, as, "probe="+probe)
		d.swap()
		second := s.generation(2)
		second.ready()
		for range 2 {
			d.event("the probe has failed", func(e initdtest.Entry) bool {
				return e.Event == "probe" && e.Generation == 2 && e.ExitStatus != nil && *e.ExitStatus == 1
			})
		}
		first.lives()
		d.answers(first)
		approve(2)
		first.gets(syscall.SIGTERM)
		d.is("serving", 2)
		d.says("probe of 2")
		d.stop()
	})
}

// TestProbeFails: the probe does not succeed within start-timeout, one of its runs not even within
// probe-timeout; the next generation is sound.
func TestProbeFails(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "start-timeout=2", "probe-timeout=0.2",
			`probe=["/bin/sh", "-c", "test $SERVER_STARTER_GENERATION -ne 2 || exec sleep 1000"]`)
		d.swap()
		second := s.generation(2)
		second.ready()
		second.ends()
		d.is("failed", 2)
		first.lives()
		third := s.generation(3)
		third.ready()
		first.gets(syscall.SIGTERM)
		d.stop()
	})
}

// TestEnvdir: it is read anew for each generation, on top of the initial environment. While it cannot be
// read, swaps are refused, and what serves goes on.
func TestEnvdir(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := filepath.Join(t.TempDir(), "env")
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		check := func(p *puppet, name, want string) {
			t.Helper()
			got, set := p.Value(name)
			if !set {
				got = "-"
			}
			if got != want {
				t.Errorf("generation %d has %s=%s, not %s", p.Generation(), name, got, want)
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write("CHANGED", "old\n")
		write("REMOVED", "here\n")
		write("OVER", "envdir\n")
		s := newStage(t)
		d := run{mode: as, environ: []string{"OVER=initial", "ENVDIR=" + dir}, args: flags(s.puppet(), "ready=notify")}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		check(first, "CHANGED", "old")
		check(first, "REMOVED", "here")
		check(first, "OVER", "envdir")

		write("CHANGED", "new\nignored\n")
		write("ADDED", " spaces are kept \n")
		for _, name := range []string{"REMOVED", "OVER"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		d.swap()
		second := s.generation(2)
		check(second, "CHANGED", "new")
		check(second, "ADDED", " spaces are kept ")
		check(second, "REMOVED", "-")
		check(second, "OVER", "initial")
		second.ready()
		d.is("serving", 2)
		first.gets(syscall.SIGTERM)

		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		d.swap()
		d.is("refused", 3)
		d.says("ENVDIR")
		second.lives()
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		write("KILL_OLD_DELAY", "never")
		d.swap()
		d.is("refused", 4)
		second.lives()
		write("KILL_OLD_DELAY", "0.2")
		d.swap()
		third := s.generation(5)
		third.ready()
		d.is("trial", 5)
		second.gets(syscall.SIGTERM)
		d.stop()
	})
}

// TestTrial: the old generation stands by for kill-old-delay, and stays if the new one ends in that time.
func TestTrial(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		const delay = 2 * time.Second
		d, s, first := serving(t, as, "kill-old-delay=2")
		d.swap()
		second := s.generation(2)
		second.ready()
		d.is("trial", 2)
		first.lives()
		second.tell("exit", "1")
		d.is("failed", 2)
		first.lives()
		d.answers(first)

		third := s.generation(3)
		third.ready()
		d.is("trial", 3)
		first.gets(syscall.SIGTERM)
		took := d.when("serving", 3).Sub(d.when("trial", 3))
		if took < delay/2 || took > 10*delay {
			t.Errorf("the trial took %v", took)
		}
		d.stop()
	})
}

// when is the time at which it was logged that a generation came to a state: somewhat later than it did.
func (d *daemon) when(state string, generation int) time.Time {
	d.Helper()
	var at struct{ Time time.Time }
	line := d.log.Await(d.T, state, func(line string) bool {
		var e initdtest.Entry
		return json.Unmarshal([]byte(line), &e) == nil && e.Event == state && e.Generation == generation
	})
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		d.Fatal(err)
	}
	return at.Time
}

// TestDrainTimeout: an old worker that does not end within drain-timeout is killed.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "drain-timeout=5")}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		d.swap()
		second := s.generation(2)
		second.ready()
		first.gets(syscall.SIGTERM)
		first.ends()
		d.event("its end", func(e initdtest.Entry) bool { return e.Event == "exit" && e.Generation == 1 && e.Signal == "KILL" })
		if took := d.when("gone", 1).Sub(d.when("retiring", 1)); took < 4*time.Second {
			t.Errorf("it was killed after %v", took)
		}
		second.lives()
	})
}

// TestMaxOldGenerations: of too many, the oldest is killed.
func TestMaxOldGenerations(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "max-old-generations=2")}.start(t)
		var all []*puppet
		for number := 1; number <= 4; number++ {
			if number > 1 {
				d.swap()
			}
			p := s.generation(number)
			p.ready()
			d.is("serving", number)
			all = append(all, p)
		}
		all[0].ends()
		for _, p := range all[1:3] {
			p.gets(syscall.SIGTERM)
			p.lives()
		}
		all[3].lives()
	})
}

// TestSignalOnHup: old workers get the signal that was chosen, and nothing else.
func TestSignalOnHup(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "signal-on-hup=USR1")
		d.swap()
		s.generation(2).ready()
		first.gets(syscall.SIGUSR1)
		first.lives()
		first.tell("exit", "0")
		d.is("gone", 1)
		d.stop()
	})
}

// TestReplacement: a worker of the generation that serves, and ends, is replaced at once if it had been
// ready for the interval.
func TestReplacement(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		// Failures would be far apart.
		d, s, p := serving(t, as, "interval=0.3", "max-backoff=1000")
		for number := 2; number <= 4; number++ {
			d.stable(number - 1)
			p.tell("die", "9")
			p = s.generation(number).serve()
			p.ready()
			d.is("serving", number)
			d.answers(p)
		}
		d.stop()
	})
}

// stable waits until a generation has been serving for a while: no event shows that, but time.
func (d *daemon) stable(generation int) {
	d.Helper()
	ready := d.when("serving", generation)
	eventually(d.T, "it has been ready for its interval", func() bool { return time.Since(ready) > 350*time.Millisecond })
}

// TestLossDuringSwap: the old generation loses its worker while the new one starts, or is on trial. The new
// one is its successor, and no further one is started.
func TestLossDuringSwap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		ready bool
	}{{"Starting", false}, {"Trial", true}} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				d, s, first := serving(t, as, "kill-old-delay=1000")
				d.swap()
				second := s.generation(2).serve()
				if test.ready {
					second.ready()
					d.is("trial", 2)
				}
				first.tell("exit", "1")
				d.is("lost", 1)
				if !test.ready {
					second.ready()
				}
				d.is("serving", 2)
				d.answers(second)
				second.lives()
				d.stop()
				if len(s.arrivals) > 0 {
					t.Error("there was one worker too many")
				}
			})
		})
	}
}

// TestSwapUnderLoad: clients that connect without pause notice nothing of swaps.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "port=127.0.0.1:0", "path="+path)}.start(t)
		old := s.generation(1).serve()
		old.ready()
		d.is("serving", 1)
		var clients sync.WaitGroup
		enough := make(chan struct{})
		var answers atomic.Int64
		for network, address := range map[string]string{"tcp": d.address("127.0.0.1"), "unix": path} {
			for range 2 {
				clients.Go(func() {
					for {
						select {
						case <-enough:
							return
						default:
						}
						if answer, err := hail(network, address); err != nil || answer == "" {
							t.Errorf("%s: %q, %v", network, answer, err)
							return
						}
						answers.Add(1)
					}
				})
			}
		}
		for number := 2; number <= 10; number++ {
			d.swap()
			next := s.generation(number).serve()
			next.ready()
			old.gets(syscall.SIGTERM)
			old.ends()
			old = next
		}
		close(enough)
		clients.Wait()
		t.Logf("%d answers", answers.Load())
		d.stop()
	})
}

// TestOnFailure: with respawn=on-failure a worker that exits 0 ends initd, and any other is replaced.
func TestOnFailure(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "respawn=on-failure")
		first.tell("exit", "1")
		second := s.generation(2)
		second.ready()
		d.is("serving", 2)
		second.tell("die", "9")
		third := s.generation(3)
		third.ready()
		d.is("serving", 3)
		third.tell("exit", "0")
		d.exits(0)
	})
}

// TestMaxFailures: where nothing is ready initd gives up with the last worker's status; where something
// is, that stays until the next request.
func TestMaxFailures(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		t.Run("NothingReady", func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := run{mode: as, args: flags(s.puppet(), "ready=notify", "interval=0.05", "max-failures=3", "exit-map=137:77")}.start(t)
			s.generation(1).tell("exit", "5")
			s.generation(2).tell("exit", "6")
			s.generation(3).tell("die", "9")
			d.exits(77)
		})
		t.Run("SomethingReady", func(t *testing.T) {
			t.Parallel()
			d, s, first := serving(t, as, "interval=0.05", "max-failures=2")
			d.swap()
			s.generation(2).tell("exit", "5")
			s.generation(3).tell("exit", "6")
			d.says("given up")
			first.lives()
			d.swap()
			fourth := s.generation(4)
			fourth.ready()
			first.gets(syscall.SIGTERM)
			d.stop()
		})
	})
}

// TestBackoff: failed attempts are farther and farther apart, from start to start.
func TestBackoff(t *testing.T) {
	t.Parallel()
	const interval = 200 * time.Millisecond
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "ready=notify", "interval=0.2", "max-backoff=0.8")}.start(t)
	for number := 1; number <= 4; number++ {
		s.generation(number).tell("exit", "1")
	}
	last := s.generation(5)
	last.ready()
	d.is("serving", 5)
	sums := map[int]time.Duration{2: interval, 3: 3 * interval, 4: 7 * interval, 5: 11 * interval}
	for number, want := range map[int]time.Duration{2: interval, 3: 2 * interval, 4: 4 * interval, 5: 4 * interval} {
		// The line of the one before may have been late. Between them the two have to be where they belong.
		since := d.when("starting", 1)
		got, all := d.when("starting", number).Sub(d.when("starting", number-1)), d.when("starting", number).Sub(since)
		if sum := sums[number]; got < want*3/4 && all < sum {
			t.Errorf("generation %d was tried %v after the one before, not %v, and %v after the first, not %v", number, got, want, all, sum)
		}
	}
	d.stop()
}

// TestAutoRestart: swaps by the clock.
func TestAutoRestart(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "enable-auto-restart=true", "auto-restart-interval=0.2", "kill-old-delay=0")
		second := s.generation(2)
		second.ready()
		first.gets(syscall.SIGTERM)
		third := s.generation(3)
		third.ready()
		second.gets(syscall.SIGTERM)
		d.stop()
	})
}

// TestSocketFlags: initd never touches the flags of the sockets that its workers share: they are as
// start_server would hand them over, and stay as a worker has made them.
func TestSocketFlags(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "port=127.0.0.1:0", "path="+path)}.start(t)
		first := s.generation(1)
		for _, fd := range []string{"3", "4"} {
			if first.do("blocks", fd) != "true" {
				t.Errorf("file descriptor %s was handed over non-blocking", fd)
			}
			first.do("nonblock", fd)
		}
		first.ready()
		d.is("serving", 1)
		d.swap()
		second := s.generation(2)
		second.ready()
		for _, p := range []*puppet{first, second} {
			if p == first {
				p.gets(syscall.SIGTERM)
				continue
			}
			for _, fd := range []string{"3", "4"} {
				if p.do("blocks", fd) != "false" {
					t.Errorf("the swap has made file descriptor %s block", fd)
				}
			}
		}
		d.stop()
	})
}

// TestSocketFlagsOfOld: the same seen by the worker that serves, before and after.
func TestSocketFlagsOfOld(t *testing.T) {
	t.Parallel()
	d, s, first := serving(t, subreaper) // has made its socket non-blocking
	if first.do("blocks", "3") != "false" {
		t.Fatal("the test is wrong: the socket blocks")
	}
	d.swap()
	second := s.generation(2)
	if first.do("blocks", "3") != "false" {
		t.Error("a start has made the running worker's socket block")
	}
	second.tell("exit", "1")
	d.is("failed", 2)
	if first.do("blocks", "3") != "false" {
		t.Error("a failed attempt has made the running worker's socket block")
	}
}

// TestShutdownListener: a worker has shut down a listener for everyone. Once it has ended, the next one
// can accept.
func TestShutdownListener(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "interval=0.1", "port=127.0.0.1:0", "path="+path)}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		address := d.address("127.0.0.1")
		first.do("shutdown", "3")
		first.do("shutdown", "4")
		first.tell("exit", "1")
		second := s.generation(2).serve()
		second.ready()
		d.is("serving", 2)
		want := fmt.Sprint("2 ", second.PID)
		for network, address := range map[string]string{"tcp": address, "unix": path} {
			if got := greet(t, network, address); got != want {
				t.Errorf("%s: %q answers, not %q", network, got, want)
			}
		}
		d.event("it has mended a listener", func(e initdtest.Entry) bool { return e.Event == "relisten" })
		d.stop()
	})
}

// TestLog: each line of the log is JSON with the keys that programs rely on.
func TestLog(t *testing.T) {
	t.Parallel()
	d, s, _ := serving(t, subreaper)
	d.swap()
	s.generation(2).tell("exit", "1")
	s.generation(3).ready()
	d.is("serving", 3)
	d.signal(syscall.SIGUSR1)
	d.stop()
	seen := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSpace(d.output()), "\n") {
		var keys map[string]any
		if err := json.Unmarshal([]byte(line), &keys); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		for _, key := range []string{"time", "level", "msg", "event"} {
			if text, _ := keys[key].(string); text == "" {
				t.Errorf("no %s in %s", key, line)
			}
		}
		if text, _ := keys["time"].(string); text != "" {
			if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
				t.Error(err)
			}
		}
		event, _ := keys["event"].(string)
		if event == "exit" && keys["generation"] == nil {
			event = "end" // of initd itself
		}
		seen[event] = true
		want := map[string][]string{
			"start":    {"generation", "slot", "pid"},
			"stop":     {"generation", "slot", "pid", "signal"},
			"exit":     {"generation", "slot", "pid", "exit_status", "duration"},
			"end":      {"exit_status"},
			"serving":  {"generation"},
			"starting": {"generation"},
			"failed":   {"generation"},
			"signal":   {"signal"},
			"listen":   {"network", "address"},
		}[event]
		for _, key := range want {
			if _, ok := keys[key]; !ok {
				t.Errorf("no %s in %s", key, line)
			}
		}
	}
	for _, event := range []string{"start", "stop", "exit", "end", "serving", "starting", "failed", "signal", "listen"} {
		if !seen[event] {
			t.Errorf("no event %s", event)
		}
	}
}
