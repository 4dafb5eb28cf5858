package main_test

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestDisconnectSignal: a worker is told, once and soon, that the client is gone for which it is busy.
func TestDisconnectSignal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	for _, test := range []struct{ name, spec, network, key string }{
		{"v4", "port=127.0.0.1:0", "tcp", "127.0.0.1"},
		{"v6", "port=[::1]:0", "tcp", "[::1]"},
		{"unix", "path=" + path, "unix", path},
		{"abstract", "path=@" + initdtest.Unique(), "unix", "@"},
		{"reuse-port", "port=127.0.0.1:0 --reuse-port", "tcp", "127.0.0.1"},
	} {
		for _, as := range []mode{subreaper, pid1} {
			atOnce(t, test.name+"/"+string(as), func(t *testing.T) {
				if test.name == "v6" {
					initdtest.NeedIPv6(t)
				}
				spec := test.spec
				if test.network == "unix" {
					spec += string(as)
				}
				settings := append(strings.Split(spec, " --"), "disconnect-signal=USR1", "log-level=debug")
				d, _, all := pool(t, as, 1, nil, settings...)
				p, address := all[0], d.address(test.key)
				client := func() net.Conn { return dial(t, test.network, address) }
				leaves := func(c net.Conn) time.Time {
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					return time.Now()
				}

				// It says nothing of itself.
				only := client()
				p.do("accept", "3")
				d.surveys(3)
				p.lives()
				since := leaves(only)
				p.gets(syscall.SIGUSR1)
				told := d.forwarded(1)
				looks := 0
				for _, e := range d.logged("step") {
					if strings.HasPrefix(e.Message, "surveyed ") && e.Time.After(since) && !e.Time.After(told.Time) {
						looks++
					}
				}
				// It is looked for twice, each 0.4 s; a look that was being taken may have been too early.
				if took := told.Time.Sub(since); looks > 3 || took > 20*time.Second {
					t.Errorf("it was told after %v and %d looks", took, looks)
				}
				d.surveys(4)
				p.lives() // once
				p.do("dismiss")

				// One of two.
				first, second := client(), client()
				p.do("accept", "3")
				p.do("accept", "3")
				d.surveys(2)
				leaves(first)
				d.surveys(4)
				p.lives()
				leaves(second)
				p.gets(syscall.SIGUSR1)
				p.do("dismiss")
				d.surveys(2)

				// It says that it is idle, and later that it is not.
				p.do("idle")
				waits := client()
				p.do("accept", "3")
				leaves(waits)
				d.surveys(4)
				p.lives()
				p.do("busy")
				p.gets(syscall.SIGUSR1)
				d.surveys(3)
				p.lives()
				p.do("dismiss")
				p.do("idle")
				d.stop()
			})
		}
	}
}

// forwarded waits until so many signals have been passed on to workers.
func (d *daemon) forwarded(times int) initdtest.Entry {
	d.Helper()
	return d.event(strconv.Itoa(times)+" signals are passed on", func(e initdtest.Entry) bool {
		if e.Event == "step" && strings.HasPrefix(e.Message, "forward ") {
			times--
		}
		return times == 0
	})
}

// TestDisconnectOfOthers: workers of another user, whom initd started as such, it may look into without the capability
// SYS_PTRACE. Into those that have changed their user themselves it may not; it says so once, and what to do.
func TestDisconnectOfOthers(t *testing.T) {
	t.Parallel()
	if syscall.Getuid() != 0 {
		t.Skip("needs root, to run workers as another user")
	}
	start := func(t *testing.T, program string, settings ...string) *daemon {
		settings = append(settings, "port=127.0.0.1:0", "interval=0.1", "disconnect-signal=USR1", "log-level=debug")
		d := run{mode: subreaper, given: []string{"blind"}, args: flags([]string{"/usr/bin/perl", "-e", program}, settings...)}.start(t)
		d.is("serving", 1)
		conn := talk(t, d)
		conn.Close()
		return d
	}
	t.Run("Seen", func(t *testing.T) {
		d := start(t, forgetfulWorker, "user=65534")
		d.says("told")
		d.stop()
		if n := len(d.logged("survey")); n != 0 {
			t.Errorf("%d warnings", n)
		}
	})
	t.Run("Unseen", func(t *testing.T) {
		d := start(t, "$) = $( = 65534; $> = $< = 65534;"+forgetfulWorker)
		warning := d.event("a warning", func(e initdtest.Entry) bool { return e.Event == "survey" })
		if !strings.Contains(warning.Message, "--cap-add SYS_PTRACE") {
			t.Errorf("it says %q", warning.Message)
		}
		talk(t, d).Close()
		d.surveys(6)
		if n := len(d.logged("survey")); n != 1 {
			t.Errorf("it says so %d times", n)
		}
		d.stop()
	})
}

// forgetfulWorker never closes a connection, and says when it is told that the client is gone.
const forgetfulWorker = `
use strict; use warnings; use IO::Socket::INET;
$SIG{USR1} = sub { syswrite STDERR, "told\n" };
my ($port) = $ENV{SERVER_STARTER_PORT} =~ /=(\d+)\z/;
my $listener = IO::Socket::INET->new_from_fd($port, 'r+') or die;
my @all;
while (1) { my $conn = $listener->accept or next; push @all, $conn; syswrite $conn, "here "; }
`
