package doctor

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckBeside: while the real program serves, it is not touched, whatever the
// one that is examined does.
func TestCheckBeside(t *testing.T) {
	for _, place := range []struct {
		name string
		run  run
		has  string
	}{
		{name: "Root", has: "in an isolated network, at the configured addresses"},
		{name: "User", run: run{user: 65534}, has: "in an isolated network, at the configured addresses"},
		{name: "Unprivileged", run: run{unprivileged: true}, has: "in this network, on other sockets than those configured"},
	} {
		for _, behaviour := range []string{"ready", "own", "unlinks"} {
			t.Run(place.name+"/"+behaviour, func(t *testing.T) {
				t.Parallel()
				r, has := place.run, place.has
				switch {
				case os.Getuid() == 0:
					needNamespaces(t)
				case place.name == "User":
					t.Skip("needs root, to become another user")
				case place.name == "Unprivileged" && tryNamespaces() == nil:
					t.Skip("needs root, to give up a capability")
				case place.name == "Unprivileged":
					r.unprivileged = false // it has no rights anyway
				default:
					needNamespaces(t)
				}
				checkBeside(t, r, behaviour, has)
			})
		}
	}
}

func checkBeside(t *testing.T, r run, behaviour, has string) {
	dir, err := os.MkdirTemp(workshop, "")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	address := tcp.Addr().String()
	command, want := serverCommand(t, "ready"), 0
	switch behaviour {
	case "own":
		command, want = serverCommand(t, "ready", "own="+address), 1
	case "unlinks":
		command, want = serverCommand(t, "ready", "unlinks"), 1
	}
	r.environ = []string{"SERVER_STARTER_PORT=" + address, "SERVER_STARTER_PATH=" + path}
	r.args = flags(command)
	status, report := r.check(t)
	if status != want {
		t.Errorf("exit status %d, not %d", status, want)
	}
	if !strings.Contains(report, has) {
		t.Errorf("the report does not have %q", has)
	}
	if behaviour == "own" && !strings.Contains(report, "address already in use") {
		t.Error("it does not say that the address is in use")
	}
	if behaviour != "own" && !strings.Contains(report, address+", "+path+"\n") {
		t.Error("it does not name the sockets")
	}
	untouched(t, tcp)
	untouched(t, local)
	if now := listing(t, dir); len(now) != 1 {
		t.Errorf("there is %q where the real socket was alone", now)
	}
}

// untouched fails the test unless a listener can still be reached, and the next
// connection that it gets is ours.
func untouched(t *testing.T, l net.Listener) {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatalf("the real one is gone: %v", err)
	}
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the real one was sent something: %d, %v", n, err)
	}
	ours.Close()
}
