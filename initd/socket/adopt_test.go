package socket

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A socket that is open under the number of =fd is taken as it is.
func TestAdoptNamed(t *testing.T) {
	needIPv6(t)
	dir := t.TempDir()
	tcp := listener(t, unix.SOCK_STREAM, loopback())
	udp := listener(t, unix.SOCK_DGRAM, loopback())
	tcp6 := listener(t, unix.SOCK_STREAM, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
	all := listener(t, unix.SOCK_STREAM, &unix.SockaddrInet4{})
	path := listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/s"})
	abstract := listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: "@" + dir})
	for _, c := range []struct {
		item         string
		fd           int
		key, network string
	}{
		{fmt.Sprintf("port 127.0.0.1:%d", portOf(t, tcp)), tcp, fmt.Sprintf("127.0.0.1:%d", portOf(t, tcp)), "tcp"},
		{fmt.Sprintf("port localhost:%d", portOf(t, tcp)), tcp, fmt.Sprintf("localhost:%d", portOf(t, tcp)), "tcp"},
		{"port 127.0.0.1:0", tcp, fmt.Sprintf("127.0.0.1:%d", portOf(t, tcp)), "tcp"},
		{fmt.Sprintf("port ::1:%d", portOf(t, tcp6)), tcp6, fmt.Sprintf("[::1]:%d", portOf(t, tcp6)), "tcp"},
		{fmt.Sprintf("port %d", portOf(t, all)), all, fmt.Sprint(portOf(t, all)), "tcp"},
		{fmt.Sprintf("port 127.0.0.1:u%d", portOf(t, udp)), udp, fmt.Sprintf("127.0.0.1:%d", portOf(t, udp)), "udp"},
		{fmt.Sprintf("port 127.0.0.1:%d", portOf(t, udp)), udp, fmt.Sprintf("127.0.0.1:%d", portOf(t, udp)), "udp"},
		{"port " + dir + "/s", path, dir + "/s", "unix"},
		{"path " + dir + "/s", path, dir + "/s", "unix"},
		{"path " + dir + "/../" + filepath.Base(dir) + "/s", path, dir + "/../" + filepath.Base(dir) + "/s", "unix"},
		{"port @" + dir, abstract, "@" + dir, "unix"},
	} {
		item := fmt.Sprintf("%s=%d", c.item, c.fd)
		setFlags(t, c.fd, unix.O_NONBLOCK)
		before := cookie(t, c.fd)
		set := open(t, item)
		l := set.All()[0]
		if l.Key != c.key || l.Network != c.network || l.FD != c.fd || l.Number != c.fd {
			t.Errorf("%s: %+v, want %s %s at %d, and at %d in the worker", item, l, c.network, c.key, c.fd, c.fd)
		}
		if flags, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: descriptor flags %#x, %v; want close-on-exec", item, flags, err)
		}
		if statusFlags(t, c.fd)&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: O_NONBLOCK was cleared", item)
		}
		if err := set.Close(); err != nil || cookie(t, c.fd) != before {
			t.Errorf("%s: Close touched the adopted socket: %v", item, err)
		}
	}
	if err := probe(dir + "/s"); err != nil {
		t.Errorf("the adopted path is gone: %v", err)
	}
}

// cookie is the kernel's identity of a socket.
func cookie(t *testing.T, fd int) uint64 {
	t.Helper()
	value, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// A number that is open as anything else only says what the worker is to have.
func TestAdoptNamedNot(t *testing.T) {
	needIPv6(t)
	dir := t.TempDir()
	other := listener(t, unix.SOCK_STREAM, loopback())
	udp := listener(t, unix.SOCK_DGRAM, loopback())
	bound, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bound)
	if err := unix.Bind(bound, loopback()); err != nil {
		t.Fatal(err)
	}
	v6 := listener(t, unix.SOCK_STREAM, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
	file, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	for what, item := range map[string]string{
		"another address":   fmt.Sprintf("port 127.0.0.2:%d=%d", portOf(t, other), other),
		"another port":      fmt.Sprintf("port 127.0.0.1:u%d=%d", portOf(t, other), udp),
		"another family":    fmt.Sprintf("port 0=%d", v6),
		"UDP for TCP":       fmt.Sprintf("port 127.0.0.1:u%d=%d", portOf(t, other), other),
		"one not listening": fmt.Sprintf("port 127.0.0.1:0=%d", bound),
		"no socket":         fmt.Sprintf("port 0=%d", file),
		"nothing open":      "port 0=301",
		"another path":      fmt.Sprintf("path %s/s=%d", dir, other),
	} {
		spec, err := parse(item)
		if err != nil {
			t.Fatal(err)
		}
		set := open(t, item)
		l := set.All()[0]
		set.Close()
		if l.FD == spec[0].FD || l.adopted || l.Number != spec[0].FD {
			t.Errorf("%s (%s): %+v; want a new socket, and number %d for the worker", what, item, l, spec[0].FD)
		}
	}
	listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/live"})
	if _, err := tryOpen(fmt.Sprintf("port %s/live=%d", dir, other)); err == nil || !strings.Contains(err.Error(), "is not a unix socket listening at") {
		t.Errorf("a path in the port setting that is not handed down: %v", err)
	}
}

// The number of an =fd may be that of a socket initd has just made.
func TestAdoptNotOwn(t *testing.T) {
	next, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(next)
	set := open(t, "port 127.8.7.6:u5432", fmt.Sprintf("port 127.8.7.6:5432=%d", next))
	if l := set.All(); l[0].FD != next || l[1].FD == next || l[1].Network != "tcp" {
		t.Errorf("%+v, want a UDP and a TCP socket", l)
	}
}

// systemd's bare ListenStream=8080 is a socket of :: for both families.
func TestAdoptDualStack(t *testing.T) {
	for only, want := range []bool{true, false} {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Skipf("no IPv6: %v", err)
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet6{}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
		if l := open(t, fmt.Sprintf("port %d=%d", portOf(t, fd), fd)).All()[0]; (l.FD == fd) != want {
			t.Errorf("V6ONLY %d: adopted %v, want %v", only, l.FD == fd, want)
		}
	}
}

func TestAdoptListenFDs(t *testing.T) {
	dir := t.TempDir()
	a := listener(t, unix.SOCK_STREAM, loopback())
	b := listener(t, unix.SOCK_STREAM, loopback())
	udp := listener(t, unix.SOCK_DGRAM, loopback())
	path := listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/s"})
	log := listener(t, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: dir + "/log"})
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	atA, atB, atUDP := fmt.Sprintf("127.0.0.1:%d", portOf(t, a)), fmt.Sprintf("127.0.0.1:%d", portOf(t, b)), fmt.Sprintf("127.0.0.1:%d", portOf(t, udp))

	for name, c := range map[string]struct {
		files          []int
		environ, items []string
		want           []string // key, network, initd's descriptor, the worker's
		export         []string
	}{
		"by address": {
			[]int{a, b, path, udp}, []string{"LISTEN_PID=self", "LISTEN_FDS=4"},
			[]string{"port " + atB, "path " + dir + "/s", "port localhost:u" + fmt.Sprint(portOf(t, udp))},
			[]string{atB + " tcp 4 3", dir + "/s unix 5 4", strings.Replace(atUDP, "127.0.0.1", "localhost", 1) + " udp 6 5", atA + " tcp 3 6"},
			[]string{"LISTEN_FDS=4"},
		},
		"with names": {
			[]int{a, b, path, udp}, []string{"LISTEN_PID=self", "LISTEN_FDS=4", "LISTEN_FDNAMES=web:admin::un;even"},
			[]string{"port " + atB},
			[]string{atB + " tcp 4 3", "web tcp 3 4", dir + "/s unix 5 5", atUDP + " udp 6 6"},
			[]string{"LISTEN_FDS=4", "LISTEN_FDNAMES=admin:web:unix-" + dir + "/s:un;even",
				"SERVER_STARTER_PORT=" + atB + "=3;web=4;" + dir + "/s=5;" + atUDP + "=6"},
		},
		"names of one unit": {
			[]int{a, b}, []string{"LISTEN_PID=self", "LISTEN_FDS=2", "LISTEN_FDNAMES=app.socket:app.socket"}, nil,
			[]string{atA + " tcp 3 3", atB + " tcp 4 4"},
			[]string{"LISTEN_FDNAMES=app.socket:app.socket"},
		},
		"with settings": {
			[]int{a, b, path}, []string{"LISTEN_PID=self", "LISTEN_FDS=3"},
			[]string{"port " + atA + "=9", "port " + atB + "=4", "port 127.0.0.1:0=5"},
			[]string{atA + " tcp 3 9", atB + " tcp 4 4", " tcp - 5", dir + "/s unix 5 3"},
			[]string{"LISTEN_FDS=3"},
		},
		"what is no listener": {
			[]int{log, null, a}, []string{"LISTEN_PID=self", "LISTEN_FDS=3", "LISTEN_FDNAMES=log:stored:unknown"}, nil,
			[]string{"log unixgram 3 3", "stored  4 4", atA + " tcp 5 5"},
			[]string{"LISTEN_FDS=3", "LISTEN_FDNAMES=log:stored:unknown", "SERVER_STARTER_PORT=log=3;" + atA + "=5"},
		},
		"of another start_server": {
			[]int{a, path, udp}, []string{"LISTEN_PID=self", "LISTEN_FDS=3"},
			[]string{"port " + atA + "=3", "port " + dir + "/s=4", "port " + atUDP + "=5"},
			[]string{atA + " tcp 3 3", dir + "/s unix 4 4", atUDP + " udp 5 5"},
			[]string{"SERVER_STARTER_PORT=" + atA + "=3;" + dir + "/s=4;" + atUDP + "=5"},
		},
		"for another process": {
			[]int{a}, []string{"LISTEN_PID=1", "LISTEN_FDS=banana"}, nil, nil, []string{"SERVER_STARTER_PORT="},
		},
		"without a pid": {
			[]int{a}, []string{"LISTEN_PID=", "LISTEN_FDS=1"}, nil, nil, nil,
		},
		"none": {
			[]int{a}, []string{"LISTEN_PID=self", "LISTEN_FDS=0"}, nil, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := []uintptr{0, 1, 2}
			for _, fd := range c.files {
				files = append(files, uintptr(fd))
			}
			r := runInitd(t, c.items, c.environ, files, nil)
			if r.Error != "" {
				t.Fatal(r.Error)
			}
			var got []string
			for i, l := range r.Listeners {
				line := fmt.Sprintf("%s %s %d %d", l.Key, l.Network, l.FD, l.Number)
				if i < len(c.want) && strings.HasPrefix(c.want[i], " tcp - ") { // one of a chosen port
					line = fmt.Sprintf(" %s - %d", l.Network, l.Number)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("listeners\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if !r.CloseExec {
				t.Error("not all are close-on-exec")
			}
			for _, entry := range c.export {
				if !slices.Contains(r.Environ, entry) {
					t.Errorf("exported %q, want %s among it", r.Environ, entry)
				}
			}
		})
	}

	for _, c := range []struct {
		environ []string
		says    string
	}{
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=banana"}, `LISTEN_FDS "banana" is not a number`},
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=-1"}, `LISTEN_FDS "-1" is not a number`},
		{[]string{"LISTEN_PID=12x", "LISTEN_FDS=1"}, `LISTEN_PID "12x" is not a number`},
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=40"}, "LISTEN_FDS 40: file descriptor"},
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=2"}, "LISTEN_FDS 2: file descriptor 4: bad file descriptor"}, // the Go runtime's own
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=1", "LISTEN_FDNAMES=a:b"}, `LISTEN_FDNAMES "a:b": 2 names for LISTEN_FDS=1`},
	} {
		r := runInitd(t, nil, c.environ, []uintptr{0, 1, 2, uintptr(a)}, nil)
		if !strings.Contains(r.Error, c.says) {
			t.Errorf("%q: error %q, want %s", c.environ, r.Error, c.says)
		}
	}
}

// One initd hands its listeners down to another, in both protocols at once.
func TestAdoptNested(t *testing.T) {
	set := open(t, "port 127.0.0.1:0", "path "+filepath.Join(t.TempDir(), "s"))
	environ := append(set.Environ([]string{Systemd}), "LISTEN_PID=self")
	list, _ := lookup(set.Environ([]string{ServerStarter}), "SERVER_STARTER_PORT")
	var items []string
	for text := range strings.SplitSeq(list, ";") {
		items = append(items, "port "+text)
	}
	r := runInitd(t, items, environ, set.Files(0), nil)
	if r.Error != "" || len(r.Listeners) != 2 || r.Listeners[0].FD != 3 || r.Listeners[1].FD != 4 {
		t.Fatalf("%+v, want the two sockets adopted at 3 and 4", r)
	}
	if got, _ := lookup(r.Environ, "SERVER_STARTER_PORT"); got != list {
		t.Errorf("handed on as %q, want %q", got, list)
	}
	if err := connect(set.All()[1]); err != nil {
		t.Errorf("the inner one's exit took the socket away: %v", err)
	}
}

// Standard input as the listener (inetd's wait) is adopted and handed on.
func TestAdoptStdin(t *testing.T) {
	fd := listener(t, unix.SOCK_STREAM, loopback())
	r := runInitd(t, []string{fmt.Sprintf("port 127.0.0.1:%d=0", portOf(t, fd))}, nil, []uintptr{uintptr(fd), 1, 2}, nil)
	if r.Error != "" || len(r.Listeners) != 1 || r.Listeners[0].FD != 0 || r.Listeners[0].Number != 0 {
		t.Errorf("%+v, want the socket adopted at 0", r)
	}
}

// Of an initd that is examined the sockets may be elsewhere, and workers are
// told that they are not. What is done to them is done where they are.
func TestAdoptElsewhere(t *testing.T) {
	tcp := listener(t, unix.SOCK_STREAM, loopback())
	path := listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: t.TempDir() + "/s"})
	real := portOf(t, tcp)
	specs, err := parse(fmt.Sprintf("port 192.0.2.9:80=%d", tcp), fmt.Sprintf("path /run/app.sock=%d", path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(specs, Options{UID: -1, GID: -1}); err == nil {
		t.Error("they were taken for what they are not")
	}
	set, err := Open(specs, Options{UID: -1, GID: -1, Elsewhere: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("SERVER_STARTER_PORT=192.0.2.9:80=%d;/run/app.sock=%d", tcp, path),
		fmt.Sprintf("FPM_SOCKETS=192.0.2.9:80=%d", tcp),
		fmt.Sprintf("PUMA_INHERIT_0=%d:tcp://192.0.2.9:80", tcp), fmt.Sprintf("PUMA_INHERIT_1=%d:unix:///run/app.sock", path),
	}
	if got := set.Environ([]string{ServerStarter, PHPFPM, Puma}); !slices.Equal(got, want) {
		t.Errorf("workers are told %q, want %q", got, want)
	}
	unix.Shutdown(tcp, unix.SHUT_RDWR)
	if mended, err := set.Relisten(); len(mended) != 1 || err != nil || portOf(t, tcp) != real {
		t.Errorf("Relisten() = %+v, %v; it is at port %d and was at %d", mended, err, portOf(t, tcp), real)
	}
	// One of another kind will not do.
	if specs, err = parse(fmt.Sprintf("port 192.0.2.9:u80=%d", tcp)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(specs, Options{UID: -1, GID: -1, Elsewhere: true}); err == nil {
		t.Error("a TCP socket was taken for a UDP one")
	}
}
