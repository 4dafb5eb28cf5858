package main_test

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// notForwarded are the signals that do not reach a command when they are sent to a plain init.
var notForwarded = map[syscall.Signal]string{
	syscall.SIGKILL: "nobody can catch it",
	syscall.SIGSTOP: "nobody can catch it",
	syscall.SIGCHLD: "is about initd's children",
	syscall.SIGPIPE: "is about initd's own writing",
	syscall.SIGXFSZ: "is about initd's own writing",
	syscall.SIGTSTP: "is about initd's own terminal",
	syscall.SIGTTIN: "is about initd's own terminal",
	syscall.SIGTTOU: "is about initd's own terminal",
	syscall.SIGURG:  "the Go runtime sends it to itself",
	syscall.SIGPROF: "the Go runtime takes it for its profiler's",
	32:              "is the C library's own; the Go runtime leaves it alone",
	33:              "is the C library's own; the Go runtime leaves it alone",
	34:              "is musl's own; the Go runtime leaves it alone",
}

// forwarded are the others, by number.
func forwarded() (all []syscall.Signal) {
	for n := syscall.Signal(1); n <= 64; n++ {
		if notForwarded[n] == "" {
			all = append(all, n)
		}
	}
	return all
}

// TestForward: each signal that can be forwarded is, as it is, one after the other.
func TestForward(t *testing.T) {
	t.Parallel()
	own := []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}
	for _, test := range []struct {
		name, respawn string
		signals       []syscall.Signal
	}{
		{"plain", "never", forwarded()},
		{"worker", "always", slices.DeleteFunc(forwarded(), func(n syscall.Signal) bool { return slices.Contains(own, n) })},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet("stubborn"), "respawn="+test.respawn, "ready=notify")}.start(t)
				p := s.next()
				for _, n := range test.signals {
					d.signal(n)
					p.gets(n)
				}
				// One more stands for the end: nothing came twice.
				d.signal(64)
				p.gets(64)
				p.lives()
			})
		})
	}
}

// TestForwardEvenIfIgnored: initd was started with every signal ignored and blocked, by nohup(1) or a
// careless parent, and receives them all the same.
func TestForwardEvenIfIgnored(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, given: []string{"ignored", "blocked"}, args: plain(s.puppet("stubborn")...)}.start(t)
		p := s.next()
		for _, n := range forwarded() {
			d.signal(n)
			p.gets(n)
		}
	})
}

// TestDropped: what is about initd itself reaches no worker, and does not end or suspend initd.
func TestDropped(t *testing.T) {
	t.Parallel()
	for _, respawn := range []string{"never", "always"} {
		t.Run(respawn, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet("stubborn"), "respawn="+respawn, "ready=notify")}.start(t)
				p := s.next()
				for n := range notForwarded {
					if n == syscall.SIGKILL || n == syscall.SIGSTOP || 32 <= n && n <= 34 {
						continue // would end or suspend it
					}
					d.signal(n)
				}
				d.signal(64)
				p.gets(64)
				p.lives()
			})
		})
	}
}

// TestFileSizeLimit: XFSZ comes with each write beyond it, setrlimit(2), and ends neither initd nor a worker.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := run{given: []string{"file-size=1000"}, args: flags(s.puppet(), "ready=notify", "access-log="+filepath.Join(t.TempDir(), "log"))}.start(t)
	p := s.next()
	p.ready()
	d.is("serving", 1)
	p.do("say", strings.Repeat("x", 2000))
	d.event("the file has reached the limit", func(e initdtest.Entry) bool { return e.Event == "file" })
	p.lives()
	d.swap()
	s.generation(2).ready()
	p.ends()
	d.stop()
}

// TestInterruptRequest: who waits for a swap or a stop that does not come may give up; initd goes on.
func TestInterruptRequest(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		s := newStage(t)
		files := []string{"--pid-file=" + filepath.Join(t.TempDir(), "pid"), "--status-file=" + filepath.Join(t.TempDir(), "status")}
		d := run{mode: subreaper, args: append(files, flags(s.puppet("stubborn"), "ready=notify")...)}.start(t)
		p := s.next()
		p.ready()
		d.is("serving", 1)
		restart := run{mode: subreaper, args: append(files, "--restart")}.start(t)
		second := s.generation(2) // and so it waits
		restart.signal(signal)
		restart.exits(128 + int(signal))
		second.lives()
		stop := run{mode: subreaper, args: append(files, "--stop")}.start(t)
		p.gets(syscall.SIGTERM)
		stop.signal(signal)
		stop.exits(128 + int(signal))
		d.signal(syscall.SIGINT)
		d.exits(0)
	}
}

// TestSignalMap: a signal is rewritten or dropped before anything else looks at it.
func TestSignalMap(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, environ: []string{"SERVER_STARTER_SIGNAL_MAP=USR2:HUP;WINCH:0;HUP:USR1;RTMIN+3:TERM"},
			args: flags(s.puppet(), "ready=notify")}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		d.signal(syscall.SIGWINCH)
		d.signal(syscall.SIGHUP)
		first.gets(syscall.SIGUSR1)
		d.signal(syscall.SIGUSR2)
		second := s.generation(2)
		second.ready()
		first.gets(syscall.SIGTERM)
		first.ends()
		second.lives()
		d.signal(37) // as systemd's manager is stopped
		second.gets(syscall.SIGTERM)
		d.exits(0)
	})
}

// TestEarlySignals: a TERM that comes before initd is ready for anything stops it all the same.
func TestEarlySignals(t *testing.T) {
	t.Parallel()
	for _, as := range []mode{subreaper, bare} {
		t.Run(string(as), func(t *testing.T) {
			for range 20 {
				d := run{mode: as, args: flags([]string{"sleep", "1000"}, "interval=0")}.start(t)
				d.log.Await(t, "it has started", func(string) bool { return true })
				d.signal(syscall.SIGTERM)
				d.exits(0)
			}
		})
	}
}

// TestDeathSignal: workers get to know that initd was killed.
func TestDeathSignal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		setting string
		want    syscall.Signal
	}{
		{"interval=1", syscall.SIGTERM}, // the default
		{"death-signal=USR2", syscall.SIGUSR2},
	} {
		for _, respawn := range []string{"always", "never"} {
			t.Run(test.setting+"/"+respawn, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				d := run{mode: subreaper, args: flags(s.puppet(), test.setting, "respawn="+respawn)}.start(t)
				p := s.next()
				d.signal(syscall.SIGKILL)
				p.gets(test.want)
			})
		}
	}
	t.Run("user", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("needs root, to run a worker as someone else")
		}
		t.Parallel()
		// Becoming another user clears the attribute; prctl(2).
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		reader.SetReadDeadline(time.Now().Add(initdtest.Patience))
		d := run{mode: subreaper, stdout: writer, args: flags([]string{"sh", "-c", `sleep 1000 & trap "kill $!; echo told; exit" TERM; echo started; wait`}, "user=65531")}.start(t)
		writer.Close()
		said := bufio.NewScanner(reader)
		for _, want := range []string{"started", "told"} {
			if !said.Scan() || said.Text() != want {
				t.Fatalf("the worker said %q, not %q: %v", said.Text(), want, said.Err())
			}
			syscall.Kill(d.pid, syscall.SIGKILL)
		}
	})
}
