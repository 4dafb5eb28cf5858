package worker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/worker"
)

// TestServeInherited: a process serves what it inherits, by each protocol, or its own
// address; notifies READY=1; and TERM, INT and QUIT have it answer what is on its way.
func TestServeInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	tcp, unix := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", path)
	udp := listenPacket(t, "udp", "127.0.0.1:0")
	free := listen(t, "tcp", "127.0.0.1:0")
	free.Close()
	handed := []string{"SERVER_STARTER_PORT=u=5;web=3;local=4"}
	for _, test := range []struct {
		name    string
		environ []string
		signal  syscall.Signal
		at      []net.Addr
	}{
		{"TERM", handed, syscall.SIGTERM, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"INT", handed, syscall.SIGINT, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"QUIT", handed, syscall.SIGQUIT, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"systemd", []string{"LISTEN_PID=self", "LISTEN_FDS=3"}, syscall.SIGTERM, []net.Addr{tcp.Addr(), unix.Addr()}},
		{"alone", nil, syscall.SIGTERM, []net.Addr{free.Addr()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSupervisor(t, fmt.Sprintf("@worker-test-%d-%s", os.Getpid(), test.name))
			cmd := play(t, []*os.File{file(t, tcp), file(t, unix), file(t, udp)},
				append([]string{s.environ(), "ADDR=" + free.Addr().String()}, test.environ...), "serve")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			s.receives("READY=1")
			var clients []*client
			for _, address := range test.at {
				c := dial(t, address)
				c.sends("/")
				if got, want := c.gets(false), fmt.Sprint(cmd.Process.Pid); got != want {
					t.Errorf("%q answers, not %q", got, want)
				}
				clients = append(clients, c)
			}
			cmd.Process.Signal(test.signal)
			s.receives("STOPPING=1")
			if test.environ != nil {
				cmd.Process.Signal(test.signal) // initd stops, too
			}
			for _, c := range clients {
				c.sends("/")
				c.gets(true)
				c.ends()
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the path of the unix socket is gone: %v", err)
			}
		})
	}

	t.Run("a second signal alone", func(t *testing.T) {
		s := newSupervisor(t, fmt.Sprintf("@worker-test-%d-second", os.Getpid()))
		cmd := play(t, nil, []string{s.environ(), "ADDR=" + free.Addr().String()}, "serve")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.receives("READY=1")
		c := dial(t, free.Addr())
		c.sends("/")
		c.gets(false)
		cmd.Process.Signal(syscall.SIGINT)
		s.receives("STOPPING=1")
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
			t.Errorf("it ended with %v", cmd.ProcessState)
		}
	})

	t.Run("datagrams only", func(t *testing.T) {
		cmd := play(t, []*os.File{file(t, udp)}, []string{"SERVER_STARTER_PORT=53=3"}, "serve")
		var out strings.Builder
		cmd.Stderr = &out
		cmd.Run()
		if want := "serve: no inherited listener (SERVER_STARTER_PORT=\"53=3\")\n"; out.String() != want {
			t.Errorf("%q, not %q", out.String(), want)
		}
	})
}

// TestNoRequestLost: clients that never send a request twice have each of them answered
// while one server after the other takes the listener over.
func TestNoRequestLost(t *testing.T) {
	const servers, clients = 200, 4
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			l := listen(t, network, address)
			enough, answers := make(chan struct{}), make(chan string)
			var done sync.WaitGroup
			for range clients {
				done.Go(func() {
					for more := true; more; {
						more = talk(t, l.Addr(), answers, enough)
					}
				})
			}
			var running sync.WaitGroup
			stop := func() {}
			for number := range servers {
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, number) })}
				own := duplicate(t, l)
				ctx, cancel := context.WithCancel(t.Context())
				running.Go(func() {
					if err := worker.Serve(ctx, server, worker.On(own)); err != nil {
						t.Error(err)
					}
				})
				stop()
				stop = cancel
				for answer := ""; answer != fmt.Sprint(number); {
					select {
					case answer = <-answers:
						if answer == "" {
							t.FailNow()
						}
					case <-time.After(late):
						t.Fatalf("server %d never answers", number)
					}
				}
			}
			close(enough)
			done.Wait()
			stop()
			running.Wait()
		})
	}
}

// talk sends requests on one connection until it is told that there will be no further
// answer, or that there are enough of them. It reports whether to go on.
func talk(t *testing.T, to net.Addr, answers chan<- string, enough <-chan struct{}) bool {
	conn, err := net.Dial(to.Network(), to.String())
	if err != nil {
		t.Error(err)
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(late))
	reader := bufio.NewReader(conn)
	for {
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("a request is lost: %v", err)
			select {
			case answers <- "":
			case <-enough:
			}
			return false
		}
		body, _ := io.ReadAll(response.Body)
		select {
		case answers <- string(body):
		case <-enough:
			return false
		default: // nobody wants to know
		}
		if response.Close {
			return true
		}
	}
}

// duplicate is a listener for the same socket that does not make it block meanwhile.
func duplicate(t *testing.T, l net.Listener) (other net.Listener) {
	t.Helper()
	control(t, l.(syscall.Conn), func(fd int) {
		number, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		f := os.NewFile(number, "listener")
		defer f.Close()
		var err error
		if other, err = net.FileListener(f); err != nil {
			t.Fatal(err)
		}
	})
	return other
}
