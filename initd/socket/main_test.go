package socket

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is its own worker and its own initd: with a role in its
// environment it tells what it was given, or what it opens.
const role = "SOCKET_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "worker":
		fmt.Print(strings.Join(descriptors(), "\n"))
		os.Exit(0)
	case "initd":
		json.NewEncoder(os.Stdout).Encode(opened(os.Args[1:]))
		os.Exit(0)
	}
	// As initd does: what the tests' own starter leaked is not for workers.
	for fd := 3; fd < 256; fd++ {
		unix.CloseOnExec(fd)
	}
	os.Exit(m.Run())
}

// descriptors lists what this process inherited. What the Go runtime opened
// for itself is close-on-exec.
func descriptors() []string {
	var lines []string
	for fd := range 1024 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		if l, found := inspect(fd); found {
			lines = append(lines, fmt.Sprintf("%d %s %s", fd, l.Network, l.Address))
		} else {
			lines = append(lines, fmt.Sprintf("%d file", fd))
		}
	}
	return lines
}

// result is what a process of role initd tells of Open.
type result struct {
	Error     string
	Listeners []Listener
	CloseExec bool // all of them
	Environ   []string
}

// opened opens "port TEXT" and "path TEXT". LISTEN_PID=self in the environment
// stands for its own pid.
//
// "reuse-port N" before them gives each a socket for so many slots.
func opened(items []string) result {
	o := Options{Mode: 0o777, UID: -1, GID: -1}
	if slots, found := strings.CutPrefix(strings.Join(items[:min(len(items), 1)], ""), "reuse-port "); found {
		o.ReusePort, items = true, items[1:]
		o.Slots, _ = strconv.Atoi(slots)
	}
	specs, err := parse(items...)
	if err != nil {
		return result{Error: err.Error()}
	}
	environ := os.Environ()
	for i := range environ {
		if environ[i] == "LISTEN_PID=self" {
			environ[i] = "LISTEN_PID=" + strconv.Itoa(os.Getpid())
		}
	}
	o.Environ = environ
	set, err := Open(specs, o)
	if err != nil {
		return result{Error: err.Error()}
	}
	defer set.Close()
	if set.unsteered != nil {
		return result{Error: set.unsteered.Error()}
	}
	r := result{Listeners: set.All(), CloseExec: true, Environ: set.Environ([]string{ServerStarter, Systemd})}
	for _, l := range r.Listeners {
		flags, err := unix.FcntlInt(uintptr(l.FD), unix.F_GETFD, 0)
		r.CloseExec = r.CloseExec && err == nil && flags&unix.FD_CLOEXEC != 0
	}
	return r
}

func parse(items ...string) ([]Spec, error) {
	var specs []Spec
	for _, item := range items {
		kind, text, _ := strings.Cut(item, " ")
		parse := ParsePort
		if kind == "path" {
			parse = ParsePath
		}
		spec, err := parse(text)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// run starts the test binary in a role and returns what it wrote to standard
// output, which takes the place of files[1].
func run(t *testing.T, as string, args, environ []string, files []uintptr, credential *syscall.Credential) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	files = append([]uintptr{}, files...)
	files[1] = write.Fd()
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{as}, args...), &syscall.ProcAttr{
		Env:   append([]string{role + "=" + as, "GORACE=atexit_sleep_ms=0"}, environ...),
		Files: files,
		Sys:   &syscall.SysProcAttr{Credential: credential},
	})
	write.Close()
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	output, err := io.ReadAll(read)
	var status syscall.WaitStatus
	if _, waited := syscall.Wait4(pid, &status, 0, nil); err != nil || waited != nil || status != 0 {
		t.Fatalf("%s: %v, %v, status %#x, output %q", as, err, waited, status, output)
	}
	return string(output)
}

// runInitd opens items in a process of its own.
func runInitd(t *testing.T, items, environ []string, files []uintptr, credential *syscall.Credential) (r result) {
	t.Helper()
	output := run(t, "initd", items, environ, files, credential)
	if err := json.Unmarshal([]byte(output), &r); err != nil {
		t.Fatalf("%v in %q", err, output)
	}
	return r
}

// open opens items as "port 8080" and "path /run/x", to be closed with the test.
func open(t *testing.T, items ...string) *Set {
	t.Helper()
	set, err := tryOpen(items...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

func tryOpen(items ...string) (*Set, error) {
	specs, err := parse(items...)
	if err != nil {
		return nil, err
	}
	return Open(specs, Options{Mode: 0o777, UID: -1, GID: -1})
}

// listener makes a socket as another superdaemon would, listening where it is
// a stream. It is not close-on-exec.
func listener(t *testing.T, kind int, sa unix.Sockaddr) int {
	t.Helper()
	domain := unix.AF_UNIX
	switch sa.(type) {
	case *unix.SockaddrInet4:
		domain = unix.AF_INET
	case *unix.SockaddrInet6:
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	if kind != unix.SOCK_DGRAM {
		if err := unix.Listen(fd, 5); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

// loopback is 127.0.0.1 with a port that the kernel chooses.
func loopback() unix.Sockaddr { return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}} }

func portOf(t *testing.T, fd int) int {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return int(addrPort(sa).Port())
}

// connect makes a connection to l and accepts it there.
func connect(l Listener) error {
	network, address := l.Network, l.Address
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr() == netip.IPv4Unspecified() {
		address = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()).String()
	}
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	ready := []unix.PollFd{{Fd: int32(l.FD), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, 10_000); n != 1 {
		return fmt.Errorf("nothing to accept: %v", err)
	}
	fd, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	return unix.Close(fd)
}

func refused(l Listener) bool { return errors.Is(connect(l), unix.ECONNREFUSED) }

// statusFlags are the flags of the open file description, O_NONBLOCK of them.
func statusFlags(t *testing.T, fd int) int {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

func option(t *testing.T, fd, level, name int) int {
	t.Helper()
	value, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can take on another user")
	}
}
