package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/bindfilter"
)

// binder is the command of a server that knows nothing of initd and listens at an address by itself; at TERM it finishes
// its requests. It answers its pid. With a further argument it binds its address many times, and then that one.
func binder(network, address string) []string { return []string{self, "binder", network, address} }

func playBinder(args []string) int {
	network, address := args[0], args[1]
	if network == "unix" {
		os.Remove(address) // as many do
	}
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if network == "udp" {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			return fail(err)
		}
		notifyReady()
		for buffer := make([]byte, 100); ; {
			_, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return fail(err)
			}
			conn.WriteTo(fmt.Append(nil, os.Getpid()), from)
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return fail(err)
	}
	for _, other := range args[2:] {
		for range 30 {
			if again, err := net.Listen(network, address); err == nil {
				again.Close()
			}
		}
		if l, err := net.Listen(network, other); err == nil {
			defer l.Close()
		}
	}
	notifyReady()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now()) // net/http would drop what it has just accepted
	}()
	var requests sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		requests.Go(func() {
			defer conn.Close()
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\n\r\n%d", os.Getpid())
			}
		})
	}
	requests.Wait()
	return 0
}

// notifyReady sends READY=1, so that no test depends on how long a server takes to start.
func notifyReady() {
	if conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET")); err == nil {
		fmt.Fprint(conn, "READY=1")
		conn.Close()
	}
}

func needBinds(t *testing.T) {
	t.Helper()
	if err := bindfilter.Check(); err != nil {
		t.Skipf("this kernel supervises no system calls: %v", err)
	}
}

// answerOf is what a server answers to a request on a connection of its own.
func answerOf(network, address string) (string, error) {
	conn, err := net.DialTimeout(network, address, initdtest.Patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(initdtest.Patience))
	if network == "udp" {
		conn.SetDeadline(time.Now().Add(300 * time.Millisecond)) // what a server has read when it is ended is lost
		fmt.Fprint(conn, "?")
		buffer := make([]byte, 100)
		n, err := conn.Read(buffer)
		return string(buffer[:n]), err
	}
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	_, body, found := strings.Cut(string(text), "\r\n\r\n")
	if err == nil && !found {
		err = errors.New("no answer")
	}
	return body, err
}

// TestBind: servers that bind their own address are swapped, again and again, and nothing is lost that they do not lose
// themselves.
func TestBind(t *testing.T) {
	t.Parallel()
	needBinds(t)
	dir, err := os.MkdirTemp("", "bind")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, test := range map[string]struct{ setting, network, own, address string }{
		"TCP":      {"port=", "tcp", "127.0.0.1:%s", "127.0.0.1:%s"},
		"Wildcard": {"port=", "tcp", ":%s", "127.0.0.1:%s"},
		"Dual":     {"port=*:", "tcp", ":%s", "127.0.0.1:%s"},
		"UDP":      {"port=u", "udp", "0.0.0.0:%s", "127.0.0.1:%s"},
		"Unix":     {"path=" + dir + "/", "unix", dir + "/%s", dir + "/%s"},
		"Abstract": {"path=@", "unix", "@%s", "@%s"},
	} {
		inBothModes(t, func(t *testing.T, as mode) {
			t.Run(name, func(t *testing.T) {
				number := freePort(t)
				fill := func(text string) string { return fmt.Sprintf(text, number) }
				d := run{mode: as, args: flags(binder(test.network, fill(test.own)), "export=bind", "ready=notify", test.setting+number)}.start(t)
				d.is("serving", 1)
				d.event("it is adopted", func(e initdtest.Entry) bool { return e.Event == "adopted" })
				var lost atomic.Int64
				var why atomic.Value
				stop := make(chan struct{})
				var clients sync.WaitGroup
				for range 2 {
					clients.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							if _, err := answerOf(test.network, fill(test.address)); err != nil && test.network != "udp" {
								lost.Add(1)
								why.Store(err.Error())
							}
						}
					})
				}
				for generation := 2; generation <= 4; generation++ {
					d.swap()
					d.is("gone", generation-1)
				}
				close(stop)
				clients.Wait()
				if n := lost.Load(); n > 0 {
					t.Errorf("%d requests are lost: %v", n, why.Load())
				}
				if path := fill(test.own); strings.HasPrefix(path, "/") {
					if _, err := os.Stat(path); err != nil {
						t.Error(err)
					}
				}
				for _, e := range d.entries() {
					if e.Event == "foreign" || e.Event == "relisten" {
						t.Errorf("%s: %s", e.Event, e.Message)
					}
				}
				d.stop()
			})
		})
	}
}

// TestBindPython: so is the server of Python's library, whose sockets block.
func TestBindPython(t *testing.T) {
	t.Parallel()
	needBinds(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	number := freePort(t)
	address := "127.0.0.1:" + number
	// Its own main looks up the name of the host, which takes long without a network.
	server := "import http.server, socketserver; http.server.HTTPServer.server_bind = socketserver.TCPServer.server_bind; " +
		"http.server.ThreadingHTTPServer.server_name = 'x'; http.server.ThreadingHTTPServer.server_port = 1; " +
		"http.server.ThreadingHTTPServer(('', " + number + "), http.server.SimpleHTTPRequestHandler).serve_forever()"
	d := run{mode: subreaper, environ: []string{"PATH=" + os.Getenv("PATH")}, args: flags([]string{"python3", "-c", server}, "port="+number, "export=bind", "dir="+dir, "interval=0.3")}.start(t)
	for generation := 1; generation <= 3; generation++ {
		d.is("serving", generation)
		d.event("it is adopted", func(e initdtest.Entry) bool { return e.Event == "adopted" && e.Generation == generation })
		if generation > 1 {
			d.is("gone", generation-1)
		}
		if text, err := answerOf("tcp", address); text != "hello" {
			t.Errorf("generation %d answers %q, %v", generation, text, err)
		}
		if generation < 3 {
			d.swap()
		}
	}
	d.stop()
}

// TestBindSlots: with reuse-port a slot gets its own socket.
func TestBindSlots(t *testing.T) {
	t.Parallel()
	needBinds(t)
	address := "127.0.0.1:" + freePort(t)
	d := run{mode: subreaper, args: flags(binder("tcp", address), "port="+address, "export=bind", "ready=notify", "workers=2", "reuse-port")}.start(t)
	d.is("serving", 1)
	slots := map[int]bool{}
	d.event("both are adopted", func(e initdtest.Entry) bool {
		if e.Event == "adopted" {
			slots[e.Slot] = true
		}
		return len(slots) == 2
	})
	seen := map[string]bool{}
	eventually(t, "both slots answer", func() bool {
		pid, err := answerOf("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		seen[pid] = true
		return len(seen) == 2
	})
	d.swap()
	d.is("gone", 1)
	d.stop()
}

// TestBindPrivileged: a server without any right binds a privileged port, which initd has bound.
func TestBindPrivileged(t *testing.T) {
	t.Parallel()
	needBinds(t)
	if os.Getuid() != 0 {
		t.Skip("needs root, to run workers as another user")
	}
	// The directory of the test's own binary may be closed to other users.
	dir, err := os.MkdirTemp("", "bind")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "binder")
	if out, err := exec.Command("sh", "-c", `chmod 755 "$1" && cp "$2" "$3"`, "sh", dir, self, program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := run{mode: subreaper, lonely: true, args: flags(append([]string{program}, binder("tcp", ":80")[1:]...), "port=80", "export=bind", "user=65532:65532", "ready=notify")}.start(t)
	d.event("it is adopted", func(e initdtest.Entry) bool { return e.Event == "adopted" })
	d.is("serving", 1)
	d.stop()
}

// TestBindPlain: a plain init hands its listeners over, too.
func TestBindPlain(t *testing.T) {
	t.Parallel()
	needBinds(t)
	address := "127.0.0.1:" + freePort(t)
	d := run{mode: subreaper, args: flags(binder("tcp", address), "port="+address, "export=bind", "respawn=never")}.start(t)
	eventually(t, "it answers", func() bool { _, err := answerOf("tcp", address); return err == nil })
	d.signal(syscall.SIGTERM)
	d.exits(0)
}

// TestBindNested: an initd that is a worker of another cannot answer for its own workers, and says what to do.
func TestBindNested(t *testing.T) {
	t.Parallel()
	needBinds(t)
	inner := append([]string{initdBinary(t)}, flags(binder("tcp", freePort(t)), "port="+freePort(t), "export=bind")...)
	d := run{mode: subreaper, args: flags(inner, "port="+freePort(t), "export=bind", "max-failures=1")}.start(t)
	d.says("remove bind from one of them")
	d.exits(125)
}

// TestForeignBind: what a worker binds that is no listener is logged, once.
func TestForeignBind(t *testing.T) {
	t.Parallel()
	needBinds(t)
	address := "127.0.0.1:" + freePort(t)
	d := run{mode: subreaper, args: flags(binder("tcp", address), "port="+freePort(t), "export=bind", "ready=notify", "stderr-lines=5", "max-failures=1")}.start(t)
	e := d.event("it is logged", func(e initdtest.Entry) bool { return e.Event == "foreign" })
	if !strings.Contains(e.Message, "tcp "+address) {
		t.Error(e.Message)
	}
	d.is("serving", 1)
	d.swap() // the next cannot have it
	d.event("the swap fails, with the reason", func(e initdtest.Entry) bool {
		return e.Event == "failed" && strings.Contains(e.Hint, "no listener of initd")
	})
	n := 0
	for _, e := range d.entries() {
		if e.Event == "foreign" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it is logged %d times", n)
	}
	d.stop()
}

// TestBindAgain: each listener is logged once for a worker, however often its processes bind it, and what it binds besides
// is logged all the same.
func TestBindAgain(t *testing.T) {
	t.Parallel()
	needBinds(t)
	address, other := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	d := run{mode: subreaper, args: flags(append(binder("tcp", address), other), "port="+address, "export=bind", "ready=notify")}.start(t)
	d.event("the other is logged", func(e initdtest.Entry) bool {
		return e.Event == "foreign" && strings.Contains(e.Message, "tcp "+other)
	})
	n := 0
	for _, e := range d.entries() {
		if e.Event == "adopted" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it is adopted %d times", n)
	}
	d.stop()
}

// TestAddressInUse: that a program has to use the inherited socket is said if it could not bind its own, and not if it
// fails for another reason.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + freePort(t)
	for _, test := range []struct {
		command []string
		hint    bool
	}{{binder("tcp", address), true}, {[]string{"sh", "-c", "echo no configuration >&2; exit 3"}, false}} {
		d := run{mode: subreaper, args: flags(test.command, "port="+address, "stderr-lines=5", "max-failures=1", "ready=notify")}.start(t)
		e := d.event("it fails", func(e initdtest.Entry) bool { return e.Event == "failed" })
		if got := strings.Contains(e.Hint, "export=bind"); got != test.hint {
			t.Errorf("%q: the hint is %q", test.command, e.Hint)
		}
		<-d.ended
	}
	d := run{mode: subreaper, args: flags([]string{"sleep", "600"})}.start(t)
	d.says("a server that binds its own port cannot be swapped")
	d.stop()
}
