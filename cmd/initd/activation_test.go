package main_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestActivation: sockets that a service manager hands down are adopted where a setting asks for their
// address, and are further listeners where none does.
func TestActivation(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path := filepath.Join(t.TempDir(), "handed")
		port := freePort(t)
		s := newStage(t)
		d := run{mode: as, given: []string{"activated=127.0.0.1:" + port + "," + path}, environ: []string{"LISTEN_FDNAMES=web:local"},
			args: flags(s.puppet(), "ready=notify", "port=127.0.0.1:"+port, "port=127.0.0.1:0=9")}.start(t)
		first := s.generation(1).serve()
		first.ready()
		d.is("serving", 1)
		told, _ := first.Value("SERVER_STARTER_PORT")
		if keys := strings.Split(told, ";"); len(keys) != 3 || keys[0] != "127.0.0.1:"+port+"=3" ||
			!strings.HasPrefix(keys[1], "127.0.0.1:") || !strings.HasSuffix(keys[1], "=9") || keys[2] != "local=4" {
			t.Errorf("SERVER_STARTER_PORT=%s", told)
		}
		d.swap()
		second := s.generation(2).serve()
		second.ready()
		first.ends()
		for network, address := range map[string]string{"tcp": "127.0.0.1:" + port, "unix": path} {
			if got, want := greet(t, network, address), fmt.Sprint("2 ", second.PID); got != want {
				t.Errorf("at %s %q answers, not %q", address, got, want)
			}
		}
		d.stop()
	})
}

// freePort is a port that nobody had a moment ago, and that it has given to no other test.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		if _, given := givenPorts.LoadOrStore(port, true); !given {
			return port
		}
	}
}

var givenPorts sync.Map

// TestNested: initd under another superdaemon, be it initd itself or start_server: it takes over the
// listeners, and a swap of either keeps them.
func TestNested(t *testing.T) {
	t.Parallel()
	inner := func(s *stage) []string {
		return append([]string{initdBinary(t), "--ready=notify", "--interval=0.1", "--"}, s.puppet()...)
	}
	t.Run("initd", func(t *testing.T) {
		inBothModes(t, func(t *testing.T, as mode) {
			s := newStage(t)
			path := filepath.Join(t.TempDir(), "socket")
			d := run{mode: as, args: flags(inner(s), "ready=notify", "port=127.0.0.1:0", "path="+path)}.start(t)
			first := s.generation(1).serve()
			address := d.address("127.0.0.1")
			first.ready()
			d.is("serving", 1)
			greet(t, "tcp", address)

			// A swap of the outer one is a new inner one.
			d.swap()
			second := s.generation(1).serve()
			greet(t, "tcp", address)
			greet(t, "unix", path)
			first.lives()
			second.ready()
			first.gets(syscall.SIGTERM)
			first.ends()
			if got, want := greet(t, "unix", path), fmt.Sprint("1 ", second.PID); got != want {
				t.Errorf("%q answers, not %q", got, want)
			}

			// The inner one swaps on its own account.
			parents := children(t, d.pid)
			if len(parents) != 1 {
				eventually(t, "the old inner initd is gone", func() bool { parents = children(t, d.pid); return len(parents) == 1 })
			}
			if err := syscall.Kill(parents[0], syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			third := s.generation(2).serve()
			third.ready()
			second.gets(syscall.SIGTERM)
			second.ends()
			if got, want := greet(t, "tcp", address), fmt.Sprint("2 ", third.PID); got != want {
				t.Errorf("%q answers, not %q", got, want)
			}
			d.stop()
		})
	})
	t.Run("start_server", func(t *testing.T) {
		t.Parallel()
		outer, err := exec.LookPath("start_server")
		if err != nil {
			t.Skip("needs start_server (Debian: libserver-starter-perl)")
		}
		s := newStage(t)
		port, path := freePort(t), filepath.Join(t.TempDir(), "socket")
		d := run{mode: subreaper, program: outer, args: append([]string{"--port=127.0.0.1:" + port, "--path=" + path, "--interval=1", "--"}, inner(s)...)}.start(t)
		first := s.generation(1).serve()
		first.ready()
		greet(t, "tcp", "127.0.0.1:"+port)
		greet(t, "unix", path)
		d.swap()
		second := s.generation(1).serve()
		second.ready()
		first.gets(syscall.SIGTERM)
		first.ends()
		for network, address := range map[string]string{"tcp": "127.0.0.1:" + port, "unix": path} {
			if got, want := greet(t, network, address), fmt.Sprint("1 ", second.PID); got != want {
				t.Errorf("at %s %q answers, not %q", address, got, want)
			}
		}
		d.signal(syscall.SIGTERM)
		second.gets(syscall.SIGTERM)
		d.exits(0)
	})
}

// TestPortZero: the kernel chooses a port, which workers are told, and which stays.
func TestPortZero(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, environ: []string{"SERVER_STARTER_PORT=0;127.0.0.1:0;127.0.0.1:u0"}, args: flags(s.puppet(), "ready=notify")}.start(t)
		first := s.generation(1)
		told, _ := first.Value("SERVER_STARTER_PORT")
		keys := strings.Split(told, ";")
		if len(keys) != 3 || !strings.HasSuffix(keys[0], "=3") || strings.Contains(keys[0], ":") ||
			!strings.HasPrefix(keys[1], "127.0.0.1:") || !strings.HasSuffix(keys[1], "=4") ||
			!strings.HasPrefix(keys[2], "127.0.0.1:") || !strings.HasSuffix(keys[2], "=5") {
			t.Errorf("SERVER_STARTER_PORT=%s", told)
		}
		for _, key := range keys {
			if strings.HasPrefix(key, "0=") || strings.Contains(key, ":0=") {
				t.Errorf("SERVER_STARTER_PORT=%s", told)
			}
		}
		first.ready()
		d.is("serving", 1)
		d.swap()
		second := s.generation(2)
		if again, _ := second.Value("SERVER_STARTER_PORT"); again != told {
			t.Errorf("SERVER_STARTER_PORT was %s and is %s", told, again)
		}
		second.ready()
		d.is("serving", 2)
		d.stop()
	})
}
