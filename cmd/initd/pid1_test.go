package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestExitStatus: a plain init ends as its command does, all 256 ways.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	for _, as := range []mode{subreaper, bare} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			for first := range 4 {
				all.Go(func() {
					for status := first; status < 256; status += 4 {
						d := run{mode: as, args: plain("sh", "-c", fmt.Sprint("exit ", status))}.start(t)
						if got := d.wait(); got != status {
							t.Errorf("exit %d became %d", status, got)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// TestSignalDeath: 128+n if signal n ended the command.
func TestSignalDeath(t *testing.T) {
	t.Parallel()
	for _, as := range []mode{subreaper, bare} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			for n := syscall.Signal(1); n <= 64; n++ {
				switch n {
				case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH, // are ignored by default
					syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU: // stop
					continue
				}
				d := run{mode: as, args: plain("sh", "-c", fmt.Sprintf("kill -%d $$", n))}.start(t)
				if got := d.wait(); got != 128+int(n) {
					t.Errorf("death by signal %d became %d", n, got)
				}
			}
		})
	}
}

func TestExitMap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ exitMap, script, want string }{
		{"143:0", "kill -TERM $$", "0"},
		{"143:0", "exit 143", "0"},
		{"143:0", "exit 144", "144"},
		{"0:3;1:2", "exit 0", "3"},
		{"0:3;1:2", "exit 1", "2"},
		{"7:7", "exit 7", "7"},
		{"127:4", "exec no-such-program", "4"},
	} {
		t.Run(test.exitMap+" "+test.script, func(t *testing.T) {
			t.Parallel()
			want, _ := strconv.Atoi(test.want)
			run{mode: subreaper, args: flags([]string{"sh", "-c", test.script}, "respawn=never", "exit-map="+test.exitMap)}.start(t).exits(want)
		})
	}
}

// TestCannotExecute: 126 and 127 as a shell has them, and the reason in words; the same whether or not
// the command would be replaced, as nothing has ever worked.
func TestCannotExecute(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, command string
		status        int
		says          []string
	}{
		{"Missing", filepath.Join(dir, "missing"), 127, []string{"exec " + dir + "/missing: no such file or directory"}},
		{"MissingInPath", "no-such-program", 127, []string{"exec no-such-program: no such file or directory", "PATH is "}},
		{"NotExecutable", file("plain", "", 0o644), 126, []string{"exec " + dir + "/plain: permission denied"}},
		{"Directory", dir, 126, []string{"permission denied"}},
		{"NoInterpreter", file("script", "#!/no/such/interpreter\n", 0o755), 127, []string{"/no/such/interpreter", "missing"}},
		{"OtherMachine", file("alien", "\x7fELF\x02\x01\x01", 0o755), 126, []string{"exec format error"}},
		{"ItsOwn125", file("own125", "#!/bin/sh\nexit 125\n", 0o755), 125, nil},
		{"ItsOwn127", file("own127", "#!/bin/sh\nexit 127\n", 0o755), 127, nil},
	}
	for _, test := range tests {
		for _, respawn := range []string{"never", "always"} {
			if respawn == "always" && test.says == nil {
				continue // it was executed, so it is tried again
			}
			t.Run(test.name+"/"+respawn, func(t *testing.T) {
				t.Parallel()
				d := run{mode: subreaper, args: flags([]string{test.command, "argument"}, "respawn="+respawn)}.start(t)
				d.exits(test.status)
				output := d.output()
				for _, text := range test.says {
					// In JSON a quote is escaped; none of these texts has one.
					if !strings.Contains(output, text) {
						t.Errorf("stderr lacks %q:\n%s", text, output)
					}
				}
			})
		}
	}
}

// lookOf is what a command prints that looks at its own process, given some surroundings: as initd's
// command, or by itself where by is empty.
func lookOf(t *testing.T, as mode, by string, given []string, command ...string) string {
	t.Helper()
	writer, text := textPipe(t)
	r := run{mode: as, given: given, stdout: writer}
	switch by {
	case "":
		if len(given) > 0 {
			command = slices.Concat([]string{"given"}, given, []string{"--"}, command)
			command = append([]string{self}, command...)
		}
		r.given, r.program, r.args = nil, command[0], command[1:]
	case "direct": // as a plain init, which executes its command at once
		r.args = plain(command...)
	case "staged": // as a worker, through the child side
		r.args = flags(command, "respawn=on-failure")
	}
	r.start(t).exits(0)
	return text()
}

// TestSignalState: a worker begins with no signal blocked, ignored or pending, however initd itself was
// started.
func TestSignalState(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		for _, by := range []string{"direct", "staged"} {
			for _, given := range [][]string{nil, {"blocked"}, {"ignored"}, {"blocked", "ignored"}} {
				t.Run(fmt.Sprint(by, given), func(t *testing.T) {
					t.Parallel()
					status := lookOf(t, as, by, given, "/bin/cat", "/proc/self/status")
					for _, field := range []string{"SigPnd", "ShdPnd", "SigBlk", "SigIgn"} {
						if want := field + ":\t0000000000000000\n"; !strings.Contains(status, want) {
							t.Errorf("%s is not empty:\n%s", field, status)
						}
					}
				})
			}
		}
	})
}

// TestLimits: a worker has the limits that initd was started with. The Go runtime raises its own.
func TestLimits(t *testing.T) {
	t.Parallel()
	given := []string{"files=300", "stack=1048576"}
	for _, by := range []string{"direct", "staged"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			want := lookOf(t, subreaper, "", given, "/bin/cat", "/proc/self/limits")
			got := lookOf(t, subreaper, by, given, "/bin/cat", "/proc/self/limits")
			if got != want {
				t.Errorf("the limits are\n%swithout initd\n%s", got, want)
			}
			if fields := strings.Fields(got[strings.Index(got, "Max open files"):]); fields[3] != "300" {
				t.Errorf("the test is wrong: the limit of open files is %v", fields)
			}
		})
	}
}

// TestFiles: a worker has 0, 1, 2, the listeners, and nothing else that initd has or was given.
func TestFiles(t *testing.T) {
	t.Parallel()
	// A shell, for the Go runtime opens files of its own.
	list := []string{"/bin/sh", "-c", "ls /proc/$$/fd; :"}
	for _, test := range []struct {
		name     string
		settings []string
		want     string
	}{
		{"None", nil, "0 1 2"},
		{"Two", []string{"port=127.0.0.1:0", "path=@UNIQUE"}, "0 1 2 3 4"},
		{"Pinned", []string{"port=127.0.0.1:0=7", "port=127.0.0.1:0"}, "0 1 2 3 7"},
		{"InThirdsPlace", []string{"port=127.0.0.1:0", "port=127.0.0.1:0=3"}, "0 1 2 3 4"},
		{"StandardInput", []string{"port=127.0.0.1:0=0"}, "0 1 2"},
	} {
		for _, respawn := range []string{"never", "on-failure"} {
			t.Run(test.name+"/"+respawn, func(t *testing.T) {
				t.Parallel()
				writer, text := textPipe(t)
				var settings []string
				for _, setting := range append(test.settings, "respawn="+respawn) {
					settings = append(settings, strings.Replace(setting, "UNIQUE", initdtest.Unique(), 1))
				}
				args := flags(list, settings...)
				run{mode: pid1, given: []string{"open=20"}, args: args, stdout: writer}.start(t).exits(0)
				if got := strings.Join(strings.Fields(text()), " "); got != test.want {
					t.Errorf("a worker's files are %s, not %s", got, test.want)
				}
			})
		}
	}
}

// TestNothingPinned: initd's own directory is the root, the workers' is where it was started, and it
// is no reason for anything to stay open.
func TestNothingPinned(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		s := newStage(t)
		d := run{mode: as, given: []string{"dir=" + dir}, args: flags(s.puppet(), "ready=notify")}.start(t)
		p := s.next()
		if own, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", d.pid)); err != nil || own != "/" {
			t.Errorf("initd's directory is %s, %v", own, err)
		}
		if p.Dir != dir {
			t.Errorf("the worker's directory is %s, not %s", p.Dir, dir)
		}
		p.ready()
		d.is("serving", 1)
		d.stop()
	})
}

// TestEnvironment: a worker's environment is what the contract says, and nothing else.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	envdir := t.TempDir()
	for name, text := range map[string]string{"FROM_ENVDIR": "one\ntwo\n", "EMPTY": "", ".hidden": "x", "no-name": "x", "REPLACED": "new"} {
		if err := os.WriteFile(filepath.Join(envdir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	foreign := []string{ // what another superdaemon would have said
		"SERVER_STARTER_GENERATION=77", "NGINX=9;", "UNICORN_FD=9", "FPM_SOCKETS=x=9", "PUMA_INHERIT_0=9:tcp://x",
		"LISTEN_PID=1234567", "LISTEN_FDS=9", "LISTEN_FDNAMES=a:b", "NOTIFY_SOCKET=@initd-test-nobody", "WATCHDOG_USEC=1", "WATCHDOG_PID=1",
	}
	initial := []string{"HOME=/nowhere", "EQUALS=a=b", "REPLACED=old", "KEPT=", "SERVER_STARTER_INTERVAL=0.1"}
	base := []string{"PATH=" + searchPath, "GORACE=atexit_sleep_ms=0", "HOME=/nowhere", "EQUALS=a=b", "KEPT=",
		"FROM_ENVDIR=one", "REPLACED=new", "SERVER_STARTER_GENERATION=1", "SERVER_STARTER_WORKER=0"}
	for _, test := range []struct {
		name     string
		settings []string
		want     func(p *puppet, port, notify string) []string
	}{
		{"NoListener", nil, func(_ *puppet, _, notify string) []string {
			return []string{"SERVER_STARTER_PORT=", "NOTIFY_SOCKET=" + notify}
		}},
		{"Default", []string{"port=127.0.0.1:0"}, func(p *puppet, port, notify string) []string {
			return []string{"SERVER_STARTER_PORT=127.0.0.1:" + port + "=3", "NOTIFY_SOCKET=" + notify,
				"LISTEN_FDS=1", "LISTEN_PID=" + strconv.Itoa(p.PID), "LISTEN_FDNAMES=tcp-127.0.0.1-" + port}
		}},
		{"AllProtocols", []string{"port=127.0.0.1:0", "export=server-starter", "export=systemd", "export=nginx", "export=php-fpm", "export=unicorn", "export=puma"},
			func(p *puppet, port, notify string) []string {
				return []string{"SERVER_STARTER_PORT=127.0.0.1:" + port + "=3", "NOTIFY_SOCKET=" + notify,
					"LISTEN_FDS=1", "LISTEN_PID=" + strconv.Itoa(p.PID), "LISTEN_FDNAMES=tcp-127.0.0.1-" + port,
					"NGINX=3;", "FPM_SOCKETS=127.0.0.1:" + port + "=3", "UNICORN_FD=3", "PUMA_INHERIT_0=3:tcp://127.0.0.1:" + port}
			}},
		{"Watchdog", []string{"watchdog=60", "export=server-starter"}, func(_ *puppet, _, notify string) []string {
			return []string{"SERVER_STARTER_PORT=", "NOTIFY_SOCKET=" + notify, "WATCHDOG_USEC=60000000"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, environ: slices.Concat(initial, foreign),
					args: flags(s.puppet(), append(slices.Clone(test.settings), "envdir="+envdir)...)}.start(t)
				p := s.next()
				port := ""
				if len(test.settings) > 0 && strings.HasPrefix(test.settings[0], "port") {
					_, port, _ = net.SplitHostPort(d.address("127.0.0.1"))
				}
				notify, _ := p.Value("NOTIFY_SOCKET")
				if !strings.HasPrefix(notify, "@") || notify == "@initd-test-nobody" {
					t.Errorf("NOTIFY_SOCKET=%s", notify)
				}
				want := slices.Sorted(slices.Values(slices.Concat(base, test.want(p, port, notify))))
				if got := slices.Sorted(slices.Values(p.Environ)); !slices.Equal(got, want) {
					t.Errorf("the environment is\n%q, not\n%q", got, want)
				}
				d.stop()
			})
		})
	}
}

// TestPlainActivation: a plain init passes sockets on as a service manager gave them to it, and has the
// command take them for its own.
func TestPlainActivation(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, given: []string{"activated=127.0.0.1:0," + path}, environ: []string{"LISTEN_FDNAMES=web:local"}, args: plain(s.puppet()...)}.start(t)
		p := s.next()
		for name, want := range map[string]string{"LISTEN_FDS": "2", "LISTEN_PID": strconv.Itoa(p.PID), "LISTEN_FDNAMES": "web:local"} {
			if got, _ := p.Value(name); got != want {
				t.Errorf("%s=%s, not %s", name, got, want)
			}
		}
		p.serve()
		if got, want := greet(t, "unix", path), fmt.Sprint("1 ", p.PID); got != want {
			t.Errorf("%q answers, not %q", got, want)
		}
		d.signal(syscall.SIGTERM)
		d.exits(0)
	})
}

// TestRelative: what is given relative means the directory that initd was started in, at each start, though
// initd itself has left it.
func TestRelative(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, command, path string }{
		{"Command", "./program", searchPath},
		{"InPath", "program", "bin:" + searchPath},
	} {
		for _, respawn := range []string{"never", "always"} {
			t.Run(test.name+"/"+respawn, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for _, name := range []string{"bin", "env"} {
					if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				s := newStage(t)
				for _, name := range []string{"program", "bin/program"} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexec "+strings.Join(s.puppet(), " ")+"\n"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(filepath.Join(dir, "env/FROM_ENVDIR"), []byte("here"), 0o644); err != nil {
					t.Fatal(err)
				}
				d := run{mode: subreaper, given: []string{"dir=" + dir}, environ: []string{"PATH=" + test.path},
					args: flags([]string{test.command}, "respawn="+respawn, "ready=notify", "path=socket", "envdir=env")}.start(t)
				first := s.next().serve()
				last := first
				if respawn == "always" {
					first.ready()
					d.is("serving", 1)
					d.swap()
					last = s.generation(2).serve()
					last.ready()
					first.ends()
				}
				if got, _ := last.Value("FROM_ENVDIR"); got != "here" || last.Dir != dir {
					t.Errorf("the worker is in %s, with FROM_ENVDIR=%s", last.Dir, got)
				}
				greet(t, "unix", filepath.Join(dir, "socket"))
				d.stop()
				if _, err := os.Lstat(filepath.Join(dir, "socket")); !os.IsNotExist(err) {
					t.Errorf("the socket's file is left: %v", err)
				}
			})
		}
	}
}

// TestClosedStreams: initd was started without standard input, output and error, and works all the same.
func TestClosedStreams(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, given: []string{"closed"}, args: flags(s.puppet(), "ready=notify", "port=127.0.0.1:0")}.start(t)
		first := s.generation(1).serve()
		if want := []int{0, 1, 2, 3}; !slices.Equal(first.Files, want) {
			t.Errorf("the worker's files are %v, not %v", first.Files, want)
		}
		first.ready()
		port, _ := first.Value("SERVER_STARTER_PORT")
		greet(t, "tcp", strings.TrimSuffix(port, "=3"))
		d.swap()
		s.generation(2).ready()
		first.gets(syscall.SIGTERM)
		d.stop()
	})
}

// TestStreamsOfUser: a worker of another user can open its standard streams by name where they are pipes, or the
// terminal of a container. It cannot read from a pipe what others write to it.
func TestStreamsOfUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a worker as someone else")
	}
	script := []string{"/bin/sh", "-c", `echo out >/dev/stdout && echo error >/dev/stderr && ! [ -p /dev/fd/1 ] || {
		chmod 0600 /dev/fd/1 2>/dev/null && echo changed
		true 2>/dev/null </dev/fd/1 && echo readable
		true </dev/fd/0 || echo "no stdin"
	} && true`}
	inBothModes(t, func(t *testing.T, as mode) {
		for _, respawn := range []string{"never", "on-failure"} {
			t.Run(respawn, func(t *testing.T) {
				t.Parallel()
				writer, text := textPipe(t)
				d := run{mode: as, stdout: writer, args: flags(script, "respawn="+respawn, "user=65531:65530")}.start(t)
				d.exits(0)
				if got := text(); got != "out\n" {
					t.Errorf("stdout has %q", got)
				}
				if got := d.output(); !strings.Contains(got, "error\n") && !strings.HasSuffix(got, "error") {
					t.Errorf("stderr has %q", got)
				}
			})
		}
	})
	t.Run("Terminal", func(t *testing.T) {
		t.Parallel()
		terminal := initdtest.OpenTerminal(t)
		d := run{mode: pid1, terminal: terminal, args: flags(script, "respawn=never", "user=65531:65530")}.start(t)
		d.exits(0)
	})
}

// TestSurroundings: dir, user, umask and no-new-privs are the worker's.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a worker as someone else")
	}
	look := []string{"/bin/sh", "-c", "pwd; umask; id -u; id -g; id -G; grep NoNewPrivs /proc/self/status"}
	for _, respawn := range []string{"never", "on-failure"} {
		t.Run(respawn, func(t *testing.T) {
			t.Parallel()
			writer, text := textPipe(t)
			run{mode: subreaper, stdout: writer, args: flags(look, "respawn="+respawn,
				"dir=/usr", "umask=027", "user=65531:65530", "no-new-privs=true")}.start(t).exits(0)
			if got, want := text(), "/usr\n0027\n65531\n65530\n65530\nNoNewPrivs:\t1\n"; got != want {
				t.Errorf("got %q, not %q", got, want)
			}
		})
	}
}

// TestLauncherIsPID1: where something else than initd is PID 1, as in the shell form of ENTRYPOINT, signals do not reach
// initd, which its log says with what to do.
func TestLauncherIsPID1(t *testing.T) {
	t.Parallel()
	initd := strings.Join(append([]string{initdBinary(t)}, flags([]string{"true"}, "respawn=on-failure")...), " ")
	script := filepath.Join(t.TempDir(), "entrypoint")
	writes(t, script, "#!/bin/sh\n"+initd+"\ntrue\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	const jsonForm = " is PID 1: use the JSON form of ENTRYPOINT"
	for name, test := range map[string]struct {
		program string
		args    []string
		says    string // none of it where it is empty
	}{
		"sh":      {"/bin/sh", []string{"-c", initd + "; true"}, "sh" + jsonForm},
		"options": {"/bin/bash", []string{"-e", "-o", "pipefail", "-c", initd + "; true"}, "bash" + jsonForm},
		"dash":    {"/bin/dash", []string{"-ec", initd + " && true"}, "dash" + jsonForm},
		"busybox": {"busybox", []string{"sh", "-c", initd + "; true"}, "sh" + jsonForm},
		"script":  {script, nil, "sh" + jsonForm},
		"nested":  {"/bin/bash", []string{"-c", "sh -c '" + initd + "; true'; true"}, "bash" + jsonForm},
		"perl":    {"/usr/bin/perl", []string{"-e", "system(split(' ', shift))", initd}, "perl is PID 1: unless it passes signals on"},
		"exec":    {"/bin/sh", []string{"-c", "exec " + initd}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(test.program)
			if err != nil {
				t.Skip(err)
			}
			d := run{mode: pid1, program: program, args: test.args}.start(t)
			d.exits(0)
			said := d.output()
			if test.says != "" && !strings.Contains(said, test.says) || test.says == "" && strings.Contains(said, "is PID 1") {
				t.Errorf("want %q in\n%s", test.says, said)
			}
		})
	}
}
