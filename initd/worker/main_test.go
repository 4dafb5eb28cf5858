package worker_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/worker"
)

// late is how long any one event may take before a test gives up on it.
const late = time.Minute

// TestMain: the test binary plays its own workers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "report":
			os.Exit(playReport(os.Args[2:]))
		case "files":
			os.Exit(playFiles())
		case "serve":
			os.Exit(playServe())
		case "score":
			os.Exit(playScore())
		case "boards":
			os.Exit(playBoards())
		case "writer":
			os.Exit(playWriter())
		case "quiet":
			os.Exit(playQuiet())
		}
	}
	os.Exit(m.Run())
}

// report is what a worker tells of itself.
type report struct {
	Generation, Slot int
	Error            string   // of Listeners or PacketConns
	Listeners        []string // key network address
	PacketConns      []string
	Asked            []string // address or error, of each argument
	Open             []string // the sockets among its files, 0 apart
	Child            []string // those of a program that it starts
	Stdin            string
}

// playReport waits for a line on its standard input and reports. Its arguments are keys
// to be asked for, as listener:KEY or packet:KEY.
func playReport(args []string) int {
	io.ReadFull(os.Stdin, make([]byte, 1))
	if os.Getenv("LISTEN_PID") == "self" { // which no parent can know
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	}
	r := report{Generation: worker.Generation(), Slot: worker.Slot()}
	for range 2 { // every time the same
		r.Listeners, r.PacketConns, r.Asked = nil, nil, nil
		listeners, err := worker.Listeners()
		if err != nil {
			r.Error = err.Error()
		}
		for _, l := range listeners {
			r.Listeners = append(r.Listeners, fmt.Sprint(l.Key, " ", l.Addr().Network(), " ", l.Addr()))
		}
		conns, err := worker.PacketConns()
		if err != nil {
			r.Error = err.Error()
		}
		for _, c := range conns {
			r.PacketConns = append(r.PacketConns, fmt.Sprint(c.Key, " ", c.LocalAddr().Network(), " ", c.LocalAddr()))
		}
		for _, arg := range args {
			kind, key, _ := strings.Cut(arg, ":")
			var address net.Addr
			if kind == "listener" {
				var l net.Listener
				if l, err = worker.Listener(key); err == nil {
					address = l.Addr()
				}
			} else {
				var c net.PacketConn
				if c, err = worker.PacketConn(key); err == nil {
					address = c.LocalAddr()
				}
			}
			if err != nil {
				r.Asked = append(r.Asked, err.Error())
			} else {
				r.Asked = append(r.Asked, address.String())
			}
		}
	}
	r.Open = openSockets()
	r.Stdin, _ = os.Readlink("/proc/self/fd/0")
	child := exec.Command("/proc/self/exe", "files")
	out, err := child.Output()
	if err == nil {
		err = json.Unmarshal(out, &r.Child)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	json.NewEncoder(os.Stdout).Encode(r)
	for _, l := range must(worker.Listeners()) {
		l.Close()
	}
	return 0
}

func must[T any](v T, _ error) T { return v }

func playFiles() int {
	json.NewEncoder(os.Stdout).Encode(openSockets())
	return 0
}

// openSockets are those among the process's files, by inode.
func openSockets() []string {
	all := []string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + entry.Name()); strings.HasPrefix(target, "socket:") {
			all = append(all, target)
		}
	}
	return all
}

// playServe is a worker that answers with its pid.
func playServe() int {
	if os.Getenv("LISTEN_PID") == "self" {
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	}
	server := &http.Server{
		Addr:    os.Getenv("ADDR"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) }),
	}
	if err := worker.Serve(context.Background(), server, worker.IdleGrace(late)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// play starts a part with files from 3 up and this environment.
func play(t *testing.T, files []*os.File, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.ExtraFiles = files
	cmd.Env = append(environ, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// ask has a worker report.
func ask(t *testing.T, files []*os.File, environ []string, keys ...string) (r report) {
	t.Helper()
	cmd := play(t, files, environ, append([]string{"report"}, keys...)...)
	cmd.Stdin = strings.NewReader("\n")
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return r
}

// file is the file of a listener or a connection, which is to be handed down.
func file(t *testing.T, of any) *os.File {
	t.Helper()
	f, err := of.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// listen is net.Listen for the time of the test.
func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func listenPacket(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// port is that of an address.
func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}

// supervisor listens where NOTIFY_SOCKET says.
type supervisor struct {
	*testing.T
	conn net.PacketConn
}

func newSupervisor(t *testing.T, address string) *supervisor {
	t.Helper()
	return &supervisor{t, listenPacket(t, "unixgram", address)}
}

func (s *supervisor) environ() string { return "NOTIFY_SOCKET=" + s.conn.LocalAddr().String() }

// receives waits for the next message, which has to be this.
func (s *supervisor) receives(want string) {
	s.Helper()
	s.conn.SetReadDeadline(time.Now().Add(late))
	buffer := make([]byte, 4096)
	n, _, err := s.conn.ReadFrom(buffer)
	if err != nil {
		s.Fatalf("%q: %v", want, err)
	}
	if got := string(buffer[:n]); got != want {
		s.Fatalf("received %q, not %q", got, want)
	}
}

// client has one connection and never tries again.
type client struct {
	*testing.T
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, to net.Addr) *client {
	t.Helper()
	conn, err := net.Dial(to.Network(), to.String())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(late))
	return &client{t, conn, bufio.NewReader(conn)}
}

// sends sends a request that no client would send again by itself.
func (c *client) sends(path string) {
	c.Helper()
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", cmp.Or(path, "/")); err != nil {
		c.Fatal(err)
	}
}

// gets reads the answer, which has to be 200 and to say that it is the connection's last
// or not.
func (c *client) gets(last bool) string {
	c.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.Fatalf("no answer: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		c.Fatalf("%s: %q, %v", response.Status, body, err)
	}
	if response.Close != last {
		c.Errorf("the answer %q has Connection: close: %v", body, response.Close)
	}
	return string(body)
}

// ends waits for the orderly end of the connection.
func (c *client) ends() {
	c.Helper()
	if rest, err := io.ReadAll(c.reader); err != nil || len(rest) > 0 {
		c.Errorf("the connection ends with %q, %v", rest, err)
	}
}

// abstract is an address of the test's own, also beside another run of it.
func abstract(t testing.TB) string { return fmt.Sprintf("@%s-%d", t.Name(), os.Getpid()) }
