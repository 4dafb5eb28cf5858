package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenTCP(t *testing.T) {
	for text, want := range map[string]struct{ key, address string }{
		"0":           {"PORT", "0.0.0.0:PORT"},
		"127.0.0.1:0": {"127.0.0.1:PORT", "127.0.0.1:PORT"},
		"localhost:0": {"localhost:PORT", "127.0.0.1:PORT"},
		"[::1]:0":     {"[::1]:PORT", "[::1]:PORT"},
		"[::]:0":      {"[::]:PORT", "[::]:PORT"},
	} {
		t.Run(text, func(t *testing.T) {
			if strings.HasPrefix(text, "[") {
				needIPv6(t)
			}
			l := open(t, "port "+text).All()[0]
			port := strconv.Itoa(portOf(t, l.FD))
			if key := strings.ReplaceAll(want.key, "PORT", port); l.Key != key {
				t.Errorf("key %q, want %q", l.Key, key)
			}
			if address := strings.ReplaceAll(want.address, "PORT", port); l.Network != "tcp" || l.Address != address {
				t.Errorf("bound %s %s, want tcp %s", l.Network, l.Address, address)
			}
			if err := connect(l); err != nil {
				t.Error(err)
			}
			if option(t, l.FD, unix.SOL_SOCKET, unix.SO_REUSEADDR) != 1 {
				t.Error("no SO_REUSEADDR")
			}
			if strings.Contains(text, "::") && option(t, l.FD, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) != 1 {
				t.Error("no IPV6_V6ONLY")
			}
			if flags, err := unix.FcntlInt(uintptr(l.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %#x, %v; want close-on-exec", flags, err)
			}
			if statusFlags(t, l.FD)&unix.O_NONBLOCK != 0 {
				t.Error("the socket does not block")
			}
		})
	}
}

func TestOpenUDP(t *testing.T) {
	set := open(t, "port 127.0.0.1:u0")
	l := set.All()[0]
	port := portOf(t, l.FD)
	if want := fmt.Sprintf("127.0.0.1:%d", port); l.Key != want || l.Address != want || l.Network != "udp" {
		t.Errorf("%+v, want udp %s", l, want)
	}
	conn, err := net.Dial("udp", l.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 16)
	if n, _, err := unix.Recvfrom(l.FD, buffer, 0); err != nil || string(buffer[:n]) != "hello" {
		t.Errorf("received %q, %v", buffer[:n], err)
	}
	// With SO_REUSEADDR on both, a second one would take the datagrams.
	if _, err := tryOpen(fmt.Sprintf("port 127.0.0.1:u%d", port)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second socket on the port: %v, want EADDRINUSE", err)
	}
}

func TestNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct {
		items []string
		want  []int
	}{
		{nil, []int{}},
		{[]string{"port 0", "port u0", "path " + path}, []int{3, 4, 5}},
		{[]string{"port 0", "port 0=4", "port 0"}, []int{3, 4, 5}},
		{[]string{"port 0", "port 0=3", "path " + path}, []int{4, 3, 5}},
		{[]string{"port 0", "port 0=0", "path " + path + "=9"}, []int{3, 0, 9}},
		{[]string{"port 0=700", "port 0=003"}, []int{700, 3}},
	} {
		set := open(t, c.items...)
		got := []int{}
		for _, l := range set.All() {
			got = append(got, l.Number)
		}
		if !slices.Equal(got, c.want) || set.Len() != len(c.want) {
			t.Errorf("%q: numbers %v of %d, want %v", c.items, got, set.Len(), c.want)
		}
		set.Close()
	}
}

func TestNumbersRefused(t *testing.T) {
	_, err := tryOpen("port 0=5", "port 0", "path /nowhere/s=5")
	if want := `SERVER_STARTER_PATH (--path) "/nowhere/s=5": file descriptor 5 is already used by "0=5"`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	for _, items := range [][]string{
		{"port 127.0.0.1:7654", "port u7654", "port 127.0.0.1:7654=4"},
		{"path /nowhere/s", "path /nowhere/s"},
	} {
		if _, err := tryOpen(items...); !errors.Is(err, unix.EADDRINUSE) || !strings.HasSuffix(err.Error(), "it is listed twice") {
			t.Errorf("%q: %v, want an error", items, err)
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lower := unix.Rlimit{Cur: 512, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	top := 512 - 1 - 16
	set := open(t, fmt.Sprintf("port 127.0.0.1:0=%d", top))
	got := run(t, "worker", nil, nil, set.Files(0), nil)
	if want := fmt.Sprintf("0 file\n1 file\n2 file\n%d tcp %s", top, set.All()[0].Address); got != want {
		t.Errorf("the worker has %q, want %q", got, want)
	}
	if _, err := tryOpen(fmt.Sprintf("port 0=%d", top+1)); err == nil || !strings.Contains(err.Error(), "file descriptor 496 of a worker needs a limit of") {
		t.Errorf("%v, want an error about the limit of open files", err)
	}
}

// A worker has exactly the descriptors that it is told of.
func TestFiles(t *testing.T) {
	needIPv6(t)
	path := filepath.Join(t.TempDir(), "s")
	set := open(t, "port 127.0.0.1:0=0", "port 127.0.0.1:0", "port 127.0.0.1:u0=9", "path "+path+"=4", "port [::1]:0")
	var want []string
	for _, l := range set.All() {
		want = append(want, fmt.Sprintf("%d %s %s", l.Number, l.Network, l.Address))
	}
	want = append(want, "1 file", "2 file")
	slices.Sort(want)
	files := set.Files(0)
	if len(files) != 10 || files[6] != ^uintptr(0) || files[7] != ^uintptr(0) || files[8] != ^uintptr(0) {
		t.Errorf("Files() = %d, want 10 with holes at 6, 7 and 8", files)
	}
	got := strings.Split(run(t, "worker", nil, nil, files, nil), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("the worker has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if none := open(t).Files(0); !slices.Equal(none, []uintptr{0, 1, 2}) {
		t.Errorf("Files() = %d without listeners, want 0, 1, 2", none)
	}
}

// Highest numbers and descriptors that lie in each other's places.
func TestFilesCrossed(t *testing.T) {
	set := open(t, "port 127.0.0.1:0", "port 127.0.0.1:0", "port 127.0.0.1:0=63")
	l := set.listeners
	l[0].Number, l[1].Number = l[1].FD, l[0].FD
	var want []string
	for _, l := range l {
		want = append(want, fmt.Sprintf("%d tcp %s", l.Number, l.Address))
	}
	got := strings.Split(run(t, "worker", nil, nil, set.Files(0), nil), "\n")[3:]
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the worker has %q, want %q", got, want)
	}
}

// A failed Open leaves nothing behind, and closes nothing that it did not make.
func TestOpenAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	busy := listener(t, unix.SOCK_STREAM, loopback())
	handed := listener(t, unix.SOCK_STREAM, loopback())
	free := listener(t, unix.SOCK_STREAM, loopback())
	port := portOf(t, free)
	unix.Close(free)
	before := openFiles(t)
	for _, last := range []string{
		fmt.Sprintf("port 127.0.0.1:%d", portOf(t, busy)),
		"port 192.0.2.1:80",
		"port nosuch.invalid:80",
		"path " + dir,
		fmt.Sprintf("port localhost:%d", port), // found out by listen(2)
		"port 0=600",                           // that number is given already
	} {
		_, err := tryOpen(fmt.Sprintf("port 127.0.0.1:%d", port),
			fmt.Sprintf("port 127.0.0.1:%d=%d", portOf(t, handed), handed),
			"port u0=600", "path "+dir+"/s", "path @"+dir, last, "port 0")
		if err == nil {
			t.Fatalf("%s was opened", last)
		}
		if left := leftOpen(t, before); len(left) > 0 {
			t.Errorf("%s: it left open files %v", last, left)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", last, left, err)
		}
	}
	open(t, fmt.Sprintf("port 127.0.0.1:%d", port), "path "+dir+"/s", "path @"+dir)
}

func openFiles(t *testing.T) []int {
	t.Helper()
	var open []int
	for fd := range 256 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			open = append(open, fd)
		}
	}
	return open
}

// leftOpen are the descriptors that are open now and were not before. Some of those that were may be garbage of another
// test, which is closed whenever it is collected.
func leftOpen(t *testing.T, before []int) []int {
	t.Helper()
	return slices.DeleteFunc(openFiles(t), func(fd int) bool { return slices.Contains(before, fd) })
}

func TestOpenErrors(t *testing.T) {
	busy := listener(t, unix.SOCK_STREAM, loopback())
	at := fmt.Sprintf("127.0.0.1:%d", portOf(t, busy))
	for _, c := range []struct {
		items []string
		is    error
		says  []string
	}{
		{[]string{"port " + at}, unix.EADDRINUSE, []string{`SERVER_STARTER_PORT (--port) "` + at + `": listen tcp ` + at + ": address already in use", "ss -lntup"}},
		{[]string{"port 192.0.2.1:8080=3"}, unix.EADDRNOTAVAIL, []string{`"192.0.2.1:8080=3": listen tcp 192.0.2.1:8080: cannot assign`, "no network interface has that address"}},
		{[]string{"port nosuch.invalid:80"}, nil, []string{`"nosuch.invalid:80": listen tcp nosuch.invalid:80: lookup nosuch.invalid`, "/etc/hosts"}},
		{[]string{"port [fe80::1%nosuch0]:80"}, nil, []string{"no such network interface"}},
		{[]string{"path /nosuch/dir/s"}, unix.ENOENT, []string{`SERVER_STARTER_PATH (--path) "/nosuch/dir/s": listen unix /nosuch/dir/s: no such file`, "its directory must exist"}},
		{[]string{"port /nosuch/s=3"}, nil, []string{`SERVER_STARTER_PORT (--port) "/nosuch/s=3": file descriptor 3 is not a unix socket listening at /nosuch/s`, "SERVER_STARTER_PATH (--path)"}},
	} {
		_, err := tryOpen(c.items...)
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q: %v, want %v", c.items, err, c.is)
			continue
		}
		for _, text := range c.says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v\nwant it to say %s", c.items, err, text)
			}
		}
	}
}

func TestPrivilegedPort(t *testing.T) {
	needRoot(t)
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(text)) == "0" {
		t.Skipf("no port is privileged here (net.ipv4.ip_unprivileged_port_start is %q, %v)", text, err)
	}
	r := runInitd(t, []string{"port 127.0.0.1:1"}, nil, []uintptr{0, 1, 2}, &syscall.Credential{Uid: 65534, Gid: 65534})
	for _, text := range []string{`SERVER_STARTER_PORT (--port) "127.0.0.1:1": listen tcp 127.0.0.1:1: permission denied`,
		"net.ipv4.ip_unprivileged_port_start", "NET_BIND_SERVICE"} {
		if !strings.Contains(r.Error, text) {
			t.Errorf("%q, want it to say %s", r.Error, text)
		}
	}
}

func TestWaiting(t *testing.T) {
	specs, err := parse("port 127.0.0.1:0", "port 127.0.0.1:u0", "path "+filepath.Join(t.TempDir(), "s"), "path @"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open(specs, Options{Backlog: 7, Mode: 0o600, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	want := []Queue{}
	for _, l := range set.All() {
		want = append(want, Queue{Key: l.Key, Network: l.Network, Backlog: 7})
	}
	if want[1].Backlog, err = unix.GetsockoptInt(set.All()[1].FD, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		t.Fatal(err)
	}
	if got := set.Waiting(); !slices.Equal(got, want) {
		t.Errorf("Waiting() = %+v, want %+v", got, want)
	}
	for i, l := range set.All() {
		conn, err := net.Dial(l.Network, l.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if l.Network == "udp" {
			conn.Write([]byte("datagram"))
		}
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.FD), Events: unix.POLLIN}}, 10_000); n != 1 {
			t.Fatalf("nothing to accept: %v", err)
		}
		want[i].Length = 1
	}
	got := set.Waiting()
	if len(got) != len(want) || got[1].Length < len("datagram") {
		t.Fatalf("Waiting() = %+v, want %+v", got, want)
	}
	got[1].Length = 1
	if !slices.Equal(got, want) {
		t.Errorf("Waiting() = %+v, want %+v", got, want)
	}

	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skipf("the default backlog cannot be read: %v", err)
	}
	somaxconn, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if got := open(t, "port 127.0.0.1:0").Waiting()[0].Backlog; got != somaxconn {
		t.Errorf("default backlog %d, want %d", got, somaxconn)
	}
}

// O_NONBLOCK belongs to the open file description: a running worker's event
// loop relies on what it has set, whatever initd does meanwhile.
func TestFlagsUntouched(t *testing.T) {
	dir := t.TempDir()
	for _, nonblock := range []int{unix.O_NONBLOCK, 0} {
		adopted := listener(t, unix.SOCK_STREAM, loopback())
		setFlags(t, adopted, nonblock)
		set := open(t, "port 127.0.0.1:0", "port 127.0.0.1:u0", "path "+dir+"/s",
			fmt.Sprintf("port 127.0.0.1:%d=%d", portOf(t, adopted), adopted))
		check := func(what string) {
			t.Helper()
			for _, l := range set.All() {
				if flags := statusFlags(t, l.FD); flags&unix.O_NONBLOCK != nonblock {
					t.Errorf("after %s: flags of %s are %#x, want O_NONBLOCK %#x as the worker had it", what, l.Key, flags, nonblock)
				}
			}
		}
		for _, l := range set.All() {
			worker, err := unix.FcntlInt(uintptr(l.FD), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			setFlags(t, worker, nonblock)
			unix.Close(worker)
		}
		check("the worker's own change")
		run(t, "worker", nil, nil, set.Files(0), nil)
		check("a start")
		set.Environ([]string{ServerStarter, Systemd, Nginx, PHPFPM, Unicorn, Puma})
		set.Waiting()
		set.Relisten()
		check("a look")
		unix.Shutdown(set.All()[0].FD, unix.SHUT_RDWR)
		unix.Shutdown(adopted, unix.SHUT_RDWR)
		if mended, err := set.Relisten(); len(mended) != 2 || err != nil {
			t.Fatalf("Relisten() = %v, %v", mended, err)
		}
		check("Relisten")
		set.Close()
	}
}

func setFlags(t *testing.T, fd, flags int) {
	t.Helper()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags); err != nil {
		t.Fatal(err)
	}
}

func TestSockaddrZone(t *testing.T) {
	link, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skipf("no interface lo: %v", err)
	}
	for _, zone := range []string{"lo", strconv.Itoa(link.Index)} {
		sa, err := sockaddr(netip.MustParseAddrPort("[fe80::1%" + zone + "]:80"))
		if err != nil {
			t.Fatal(err)
		}
		if got := addrPort(sa).String(); got != "[fe80::1%lo]:80" {
			t.Errorf("zone %s became %s", zone, got)
		}
	}
}
