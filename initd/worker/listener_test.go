package worker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestListeners: the sockets come in order and with their keys, by both protocols, and
// each of the functions gives the same ones twice.
func TestListeners(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a=b") // a key may hold an equals sign
	abstract := fmt.Sprintf("@worker-test-%d", os.Getpid())
	tcp := listen(t, "tcp4", "127.0.0.1:0")
	udp := listenPacket(t, "udp4", tcp.Addr().String()) // the same port: the same key
	unix := listen(t, "unix", path)
	name := listen(t, "unix", abstract)
	v6, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("needs IPv6: %v", err)
	}
	defer v6.Close()
	any := listen(t, "tcp", ":0")
	files := []*os.File{file(t, tcp), file(t, udp), file(t, unix), file(t, name), file(t, v6), file(t, any)}

	spec := fmt.Sprintf("%s=3;%s=4;%s=5;%s=6;%s=7;%s=8", tcp.Addr(), udp.LocalAddr(), path, abstract, v6.Addr(), port(any.Addr()))
	listeners := []string{
		fmt.Sprint(tcp.Addr(), " tcp ", tcp.Addr()),
		fmt.Sprint(path, " unix ", path),
		fmt.Sprint(abstract, " unix ", abstract),
		fmt.Sprint(v6.Addr(), " tcp ", v6.Addr()),
		fmt.Sprint(port(any.Addr()), " tcp ", any.Addr()),
	}
	conns := []string{fmt.Sprint(udp.LocalAddr(), " udp ", udp.LocalAddr())}
	named, unnamed := slices.Clone(listeners), slices.Clone(listeners)
	named[1], named[2], named[4] = "local unix "+path, "here unix "+abstract, "web tcp "+any.Addr().String()
	unnamed[4] = fmt.Sprint(any.Addr(), " tcp ", any.Addr())
	address := any.Addr().String()
	for _, test := range []struct {
		name      string
		environ   []string
		listeners []string
		web       string // a key of the last one
	}{
		{"server-starter", []string{"SERVER_STARTER_PORT=" + spec}, listeners, port(any.Addr())},
		{"systemd without names", []string{"LISTEN_PID=self", "LISTEN_FDS=6"}, unnamed, address},
		{"systemd", []string{"LISTEN_PID=self", "LISTEN_FDS=6", "LISTEN_FDNAMES=::local:here::web"}, named, "web"},
		{"systemd with unknown names", []string{"LISTEN_PID=self", "LISTEN_FDS=6", "LISTEN_FDNAMES=unknown:unknown:local:here:unknown:web"}, named, "web"},
		{"both", []string{"SERVER_STARTER_PORT=" + spec, "LISTEN_PID=self", "LISTEN_FDS=1", "LISTEN_FDNAMES=other"}, listeners, port(any.Addr())},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := ask(t, files, test.environ,
				"listener:"+tcp.Addr().String(), "packet:"+tcp.Addr().String(), "listener:"+path, "listener:"+abstract,
				"listener:"+test.web, "listener:"+port(any.Addr()), "listener::"+port(any.Addr()), // by address
				"packet:"+path, "listener:1")
			if r.Error != "" || !slices.Equal(r.Listeners, test.listeners) || !slices.Equal(r.PacketConns, conns) {
				t.Errorf("%q, %q, %q", r.Error, r.Listeners, r.PacketConns)
			}
			want := []string{tcp.Addr().String(), tcp.Addr().String(), path, abstract, address, address, address}
			if len(r.Asked) != 9 || !slices.Equal(r.Asked[:7], want) ||
				!strings.HasPrefix(r.Asked[7], "packet conn "+path+": not among the inherited sockets (") ||
				!strings.HasPrefix(r.Asked[8], "listener 1: not among the inherited sockets (") {
				t.Errorf("asked for by key: %q", r.Asked)
			}
			variable, value, _ := strings.Cut(test.environ[0], "=")
			if variable == "LISTEN_PID" {
				variable, value = "LISTEN_FDS", "6"
			} else {
				value = fmt.Sprintf("%q", value)
			}
			if !strings.HasSuffix(r.Asked[8], "("+variable+"="+value+")") {
				t.Errorf("the error %q does not name %s=%s", r.Asked[8], variable, value)
			}
			// One number each, and none that a program which it starts would have.
			sort := slices.Sorted(slices.Values(r.Open))
			if len(sort) != len(files) || len(slices.Compact(sort)) != len(files) {
				t.Errorf("open sockets: %q", r.Open)
			}
			if len(r.Child) > 0 {
				t.Errorf("a child has %q", r.Child)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("a listener was closed: %v", err)
			}
		})
	}
}

// TestInheritErrors: each names the variable and its value.
func TestInheritErrors(t *testing.T) {
	t.Parallel()
	tcp := listen(t, "tcp", "127.0.0.1:0")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	files := []*os.File{file(t, tcp), null, file(t, client)} // 3, 4, 5
	type test struct {
		environ string
		want    string
	}
	tests := []test{
		{"SERVER_STARTER_PORT=garbage", `inherit SERVER_STARTER_PORT="garbage": "garbage" is not key=fd`},
		{"SERVER_STARTER_PORT=8080=", `inherit SERVER_STARTER_PORT="8080=": "8080=" is not key=fd`},
		{"SERVER_STARTER_PORT==3", `inherit SERVER_STARTER_PORT="=3": "=3" is not key=fd`},
		{"SERVER_STARTER_PORT=8080=three", `inherit SERVER_STARTER_PORT="8080=three": "8080=three" is not key=fd`},
		{"SERVER_STARTER_PORT=8080=-3", `inherit SERVER_STARTER_PORT="8080=-3": "8080=-3" is not key=fd`},
		{"SERVER_STARTER_PORT=8080=3;", `inherit SERVER_STARTER_PORT="8080=3;": "" is not key=fd`},
		{"SERVER_STARTER_PORT=8080=3;80=3", `inherit SERVER_STARTER_PORT="8080=3;80=3": "80=3": the file descriptor is listed twice`},
		{"SERVER_STARTER_PORT=8080=2147483648", `inherit SERVER_STARTER_PORT="8080=2147483648": "8080=2147483648": the file descriptor is out of range`},
		{"SERVER_STARTER_PORT=8080=99999999999999999999", `"8080=99999999999999999999": the file descriptor is out of range`},
		{"SERVER_STARTER_PORT=8080=1000", `inherit SERVER_STARTER_PORT="8080=1000": file descriptor 1000: bad file descriptor`},
		{"SERVER_STARTER_PORT=8080=4", `inherit SERVER_STARTER_PORT="8080=4": file descriptor 4: neither a listening socket nor a datagram socket`},
		{"SERVER_STARTER_PORT=8080=5", `inherit SERVER_STARTER_PORT="8080=5": file descriptor 5: neither a listening socket nor a datagram socket`},
		{"LISTEN_PID=me", `inherit LISTEN_PID="me": not a number`},
		{"LISTEN_PID=self LISTEN_FDS=some", `inherit LISTEN_FDS="some": not a number`},
		{"LISTEN_PID=self LISTEN_FDS=-1", `inherit LISTEN_FDS="-1": not a number`},
		{"LISTEN_PID=self LISTEN_FDS=1048577", `inherit LISTEN_FDS="1048577": out of range`},
		{"LISTEN_PID=self LISTEN_FDS=1000", `: bad file descriptor`},
		{"LISTEN_PID=self LISTEN_FDS=99999999999999999999", `inherit LISTEN_FDS="99999999999999999999": out of range`},
		{"LISTEN_PID=self LISTEN_FDS=1 LISTEN_FDNAMES=a:b", `inherit LISTEN_FDNAMES="a:b": 2 names for LISTEN_FDS=1`},
	}
	for fd := 6; fd < 12; fd++ { // those that a socket gets when it is taken over
		told := fmt.Sprintf("SERVER_STARTER_PORT=8080=3;80=%d", fd)
		tests = append(tests, test{told, fmt.Sprintf("file descriptor %d: ", fd)})
	}
	for _, test := range tests {
		t.Run(test.environ, func(t *testing.T) {
			r := ask(t, files, strings.Fields(test.environ), "listener:8080", "packet:8080")
			if !strings.Contains(r.Error, test.want) {
				t.Errorf("%s\nnot %s", r.Error, test.want)
			}
			if r.Asked[0] != "listener 8080: "+r.Error || r.Asked[1] != "packet conn 8080: "+r.Error {
				t.Errorf("by key: %q", r.Asked)
			}
		})
	}
}

// TestOtherFiles: a service manager may hand down anything. What is no listener is left
// to the program that knows what it is, and no program that it starts has it.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	tcp := listen(t, "tcp", "127.0.0.1:0")
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := ask(t, []*os.File{file(t, client), file(t, tcp)}, []string{"LISTEN_PID=self", "LISTEN_FDS=2", "LISTEN_FDNAMES=store:web"})
	if want := "web tcp " + tcp.Addr().String(); r.Error != "" || !slices.Equal(r.Listeners, []string{want}) {
		t.Errorf("%q, %q", r.Error, r.Listeners)
	}
	if len(r.Open) != 2 || len(r.Child) != 0 {
		t.Errorf("%q are open, a child has %q", r.Open, r.Child)
	}
}

// TestAlone: where nothing is inherited a program listens by itself.
func TestAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	tcp := listen(t, "tcp", "127.0.0.1:0")
	for _, environ := range []string{
		"",
		"SERVER_STARTER_PORT=", // set, and empty
		"LISTEN_PID=self",
		"LISTEN_PID=self LISTEN_FDS=0",
		"LISTEN_PID=1 LISTEN_FDS=1", // meant for another process
		"LISTEN_FDS=1",
		"SERVER_STARTER_PORT= LISTEN_PID=self LISTEN_FDS=1", // the first counts
	} {
		t.Run(environ, func(t *testing.T) {
			r := ask(t, []*os.File{file(t, tcp)}, strings.Fields(environ),
				"listener:127.0.0.1:0", "packet:127.0.0.1:0", "listener:"+path, "listener:0", "listener::0", "listener:"+tcp.Addr().String())
			if r.Error != "" || len(r.Listeners) > 0 || len(r.PacketConns) > 0 {
				t.Errorf("%q, %q, %q", r.Error, r.Listeners, r.PacketConns)
			}
			for i, prefix := range []string{"127.0.0.1:", "127.0.0.1:", path, "[::]:", "[::]:"} {
				if !strings.HasPrefix(r.Asked[i], prefix) {
					t.Errorf("%q, not %q", r.Asked[i], prefix)
				}
			}
			if want := fmt.Sprintf("listener %[1]s: listen tcp %[1]s: bind: address already in use", tcp.Addr()); r.Asked[5] != want {
				t.Errorf("%q, not %q", r.Asked[5], want)
			}
			os.Remove(path)
		})
	}
}

// TestNumbers: what is unset or no number is 0.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string][2]int{
		"": {0, 0},
		"SERVER_STARTER_GENERATION=12 SERVER_STARTER_WORKER=3": {12, 3},
		"SERVER_STARTER_GENERATION=x SERVER_STARTER_WORKER=":   {0, 0},
	} {
		if r := ask(t, nil, strings.Fields(environ)); r.Generation != want[0] || r.Slot != want[1] {
			t.Errorf("%s: %d, %d", environ, r.Generation, r.Slot)
		}
	}
}

// TestStandardInput: a socket may come as file descriptor 0, and /dev/null takes its
// place.
func TestStandardInput(t *testing.T) {
	t.Parallel()
	tcp := listen(t, "tcp", "127.0.0.1:0")
	cmd := play(t, nil, []string{"SERVER_STARTER_PORT=web=0"}, "report")
	cmd.Stdin = file(t, tcp)
	out, err := cmd.Output()
	var r report
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := "web tcp " + tcp.Addr().String(); r.Error != "" || !slices.Equal(r.Listeners, []string{want}) {
		t.Errorf("%q, %q", r.Error, r.Listeners)
	}
	if len(r.Open) != 1 || len(r.Child) != 0 || r.Stdin != os.DevNull {
		t.Errorf("%q are open, a child has %q, stdin is %s", r.Open, r.Child, r.Stdin)
	}
}

// TestNonblock: the flag is set for everyone who holds the socket, and is never taken
// away, whichever way it was.
func TestNonblock(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			tcp := listen(t, "tcp", "127.0.0.1:0").(*net.TCPListener)
			udp := listenPacket(t, "udp", "127.0.0.1:0").(*net.UDPConn)
			cmd := play(t, []*os.File{file(t, tcp), file(t, udp)}, []string{"SERVER_STARTER_PORT=a=3;b=4"}, "report")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil { // os/exec makes them block
				t.Fatal(err)
			}
			for _, s := range []syscall.Conn{tcp, udp} {
				if nonblock(t, s) {
					t.Fatal("the test is wrong: the socket does not block")
				}
				if before {
					control(t, s, func(fd int) { syscall.SetNonblock(fd, true) })
				}
			}
			stdin.Close()
			var r report
			if err := json.NewDecoder(stdout).Decode(&r); err != nil || r.Error != "" {
				t.Fatal(err, r.Error)
			}
			io.Copy(io.Discard, stdout)
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			for _, s := range []syscall.Conn{tcp, udp} {
				if !nonblock(t, s) {
					t.Error("the socket blocks")
				}
			}
		})
	}
}

func control(t *testing.T, s syscall.Conn, do func(fd int)) {
	t.Helper()
	raw, err := s.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

func nonblock(t *testing.T, s syscall.Conn) (on bool) {
	t.Helper()
	control(t, s, func(fd int) {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		if errno != 0 {
			t.Error(errno)
		}
		on = flags&syscall.O_NONBLOCK != 0
	})
	return on
}
