package bindfilter_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/bindfilter"
	"server-starter/initd/launch"
)

// The test binary plays the programs, by the variable ROLE: what it prints is compared. ARGS has the arguments, separated by spaces.
func TestMain(m *testing.M) {
	if play := roles[os.Getenv("ROLE")]; play != nil {
		play(strings.Fields(os.Getenv("ARGS")))
		os.Exit(0)
	}
	for fd := 3; fd < 1000; fd++ { // what the shell left open
		unix.CloseOnExec(fd)
	}
	os.Exit(m.Run())
}

var roles map[string]func([]string)

func init() {
	roles = map[string]func([]string){
		"go": playGo, "sockets": playSockets, "listen": playListen, "unix": playUnix, "storm": playStorm,
		"killed": playKilled, "nested": playNested, "signals": playSignals, "weaken": playWeaken,
	}
}

// A supervised program is one that runs under the filter.
type supervised struct {
	pid     int
	reaped  bool
	output  *os.File
	served  chan error // what Serve returns
	mu      sync.Mutex
	adopted []int
	foreign []string
	failed  []error
}

// supervise starts a command with the listeners, whose sockets are fds.
func supervise(t *testing.T, c *launch.Command, listeners []bindfilter.Listener, fds []int) *supervised {
	t.Helper()
	if err := bindfilter.Check(); err != nil {
		t.Skipf("this kernel supervises no system calls: %v", err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	c.Files = []uintptr{0, uintptr(pipe[1]), 2}
	c.Binds = launch.AllBinds
	runtime.LockOSThread()
	pid, outcome, err := launch.Start(c)
	unix.Close(pipe[1])
	p := &supervised{pid: pid, output: os.NewFile(uintptr(pipe[0]), "output"), served: make(chan error, 1)}
	t.Cleanup(func() { p.output.Close() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.over(t) })
	if err := outcome.Wait(); err != nil {
		p.served <- nil
		if strings.Contains(err.Error(), "already") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	s := &bindfilter.Supervisor{
		Listeners: listeners,
		Claim: func(index int) int {
			fd, err := unix.FcntlInt(uintptr(fds[index]), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return -1
			}
			return fd
		},
		Adopted: func(index int) { p.note(func() { p.adopted = append(p.adopted, index) }) },
		Foreign: func(network, address string) {
			p.note(func() { p.foreign = append(p.foreign, network+" "+address) })
		},
		Failed: func(what string, _ int, err error) {
			p.note(func() { p.failed = append(p.failed, fmt.Errorf("%s: %w", what, err)) })
		},
	}
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		s.Inodes = append(s.Inodes, uint32(st.Ino))
	}
	go func() { p.served <- s.Serve(outcome.Binds()) }()
	return p
}

// over kills the program if it runs, and waits until Serve has returned: then everything is noted.
func (p *supervised) over(t *testing.T) {
	t.Helper()
	if p.reaped {
		return
	}
	p.reaped = true
	unix.Kill(-p.pid, unix.SIGKILL)
	unix.Kill(p.pid, unix.SIGKILL)
	unix.Wait4(p.pid, nil, 0, nil)
	if err := <-p.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func (p *supervised) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// line is the next that the program prints.
func (p *supervised) line(t *testing.T) string {
	t.Helper()
	p.output.SetReadDeadline(time.Now().Add(30 * time.Second))
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := p.output.Read(b); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// rest is all that the program prints until it ends, and over.
func (p *supervised) rest(t *testing.T) string {
	t.Helper()
	p.output.SetReadDeadline(time.Now().Add(60 * time.Second))
	text, err := io.ReadAll(p.output)
	if err != nil {
		t.Fatalf("after %q: %v", text, err)
	}
	p.over(t)
	return string(text)
}

func role(name string, args ...any) *launch.Command {
	return &launch.Command{
		Argv: []string{"/proc/self/exe"}, Umask: -1,
		Environ: append(os.Environ(), "ROLE="+name, "ARGS="+strings.TrimSpace(fmt.Sprintln(args...)), "GORACE=atexit_sleep_ms=0"),
	}
}

// listen makes a listener that blocks, as initd's do.
func listen(t *testing.T, network string, domain, kind int, sa unix.Sockaddr) (bindfilter.Listener, int) {
	t.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if domain == unix.AF_INET6 {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 1000); err != nil {
			t.Fatal(err)
		}
	}
	l := bindfilter.Listener{Network: network}
	sa, err = unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		l.At = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		l.At, l.Dual = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrUnix:
		l.Path = sa.Name
		if !strings.HasPrefix(sa.Name, "@") {
			l.Node = sa.Name
		}
	}
	return l, fd
}

func listenTCP(t *testing.T) (bindfilter.Listener, int) {
	return listen(t, "tcp", unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{})
}

func isNonblock(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

func ask(t *testing.T, network, address string) string {
	t.Helper()
	c, err := net.DialTimeout(network, address, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if strings.HasPrefix(network, "udp") {
		c.Write([]byte("?"))
	}
	text, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(text)
}

// Go's own listener, which is of MPTCP, for both families, and non-blocking.
func TestGoServer(t *testing.T) {
	l, fd := listenTCP(t)
	for range 2 { // one after the other, on one socket
		p := supervise(t, role("go", l.At.Port()), []bindfilter.Listener{l}, []int{fd})
		p.line(t)
		if got := ask(t, "tcp", fmt.Sprintf("127.0.0.1:%d", l.At.Port())); got != strconv.Itoa(p.pid) {
			t.Errorf("answered %q, want %d", got, p.pid)
		}
		if !isNonblock(t, fd) {
			t.Error("the listener blocks, and the event loop with it")
		}
		unix.Kill(p.pid, unix.SIGKILL)
		p.rest(t)
		p.note(func() {
			if len(p.adopted) != 1 || len(p.foreign) != 0 || len(p.failed) != 0 {
				t.Errorf("adopted %d, foreign %v, failed %v", p.adopted, p.foreign, p.failed)
			}
		})
	}
	// The backlog is as it was.
	if got := backlog(t, fd); got != 1000 {
		t.Errorf("the backlog is %d", got)
	}
}

func playGo(args []string) {
	l, err := net.Listen("tcp", ":"+args[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprintln(c, os.Getpid())
		c.Close()
	}
}

// backlog is tcpi_sacked, which is where the kernel shows it for a listener: ss(8), Send-Q.
func backlog(t *testing.T, fd int) int {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sacked)
}

func TestPythonHTTPServer(t *testing.T) {
	l, fd := listenTCP(t)
	c := &launch.Command{Argv: []string{"python3", "-m", "http.server", "--bind", "127.0.0.1", strconv.Itoa(int(l.At.Port()))}, Environ: os.Environ(), Umask: -1, Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(c.Dir, "index.html"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := supervise(t, c, []bindfilter.Listener{l}, []int{fd})
	conn, err := net.Dial("tcp", l.At.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(conn)
	if !strings.HasSuffix(string(text), "hello") {
		t.Errorf("answered %q, %v", text, err)
	}
	if got := backlog(t, fd); got != 1000 {
		t.Errorf("the backlog is %d", got)
	}
	p.over(t)
	p.note(func() {
		if len(p.adopted) != 1 {
			t.Errorf("adopted %d, foreign %v, failed %v", p.adopted, p.foreign, p.failed)
		}
	})
}

// Every network, with the flags that the program's own socket had.
func TestSockets(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]struct {
		network      string
		domain, kind int
		at           unix.Sockaddr
	}{
		"mptcp":    {"tcp", unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{}}, // which Go's servers ask for
		"tcp":      {"tcp", unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{}},
		"dual":     {"tcp", unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{}},
		"udp":      {"udp", unix.AF_INET, unix.SOCK_DGRAM, &unix.SockaddrInet4{}},
		"unix":     {"unix", unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/socket"}},
		"abstract": {"unix", unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: fmt.Sprintf("@bindfilter-%d", os.Getpid())}},
		"unixgram": {"unixgram", unix.AF_UNIX, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: dir + "/datagrams"}},
	}
	for name, test := range tests {
		for _, flags := range []int{0, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC} {
			t.Run(fmt.Sprintf("%s/%#x", name, flags), func(t *testing.T) {
				if test.domain == unix.AF_UNIX {
					os.Remove(test.at.(*unix.SockaddrUnix).Name)
				}
				l, fd := listen(t, test.network, test.domain, test.kind, test.at)
				address := l.Path
				if l.At.IsValid() {
					address = strconv.Itoa(int(l.At.Port()))
				}
				p := supervise(t, role("sockets", test.domain, test.kind, flags, address, inode(t, fd), name), []bindfilter.Listener{l}, []int{fd})
				got, want := strings.TrimSpace(p.rest(t)), fmt.Sprintf("ours %#x", flags)
				if got == "none" {
					t.Skip("this kernel has no MPTCP")
				}
				if got != want {
					t.Errorf("got %q, want %q; foreign %q, failed %v", got, want, p.foreign, p.failed)
				}
			})
		}
	}
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// atoi is for what comes from the test itself.
func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

func playSockets(args []string) {
	domain, kind, flags := atoi(args[0]), atoi(args[1]), atoi(args[2])
	var at unix.Sockaddr = &unix.SockaddrUnix{Name: args[3]}
	switch domain {
	case unix.AF_INET:
		at = &unix.SockaddrInet4{Port: atoi(args[3])}
	case unix.AF_INET6:
		at = &unix.SockaddrInet6{Port: atoi(args[3])}
	}
	protocol := 0
	if args[5] == "mptcp" {
		protocol = unix.IPPROTO_MPTCP
	}
	fd, err := unix.Socket(domain, kind|flags, protocol)
	if err != nil {
		fmt.Println("none")
		return
	}
	if domain == unix.AF_UNIX {
		unix.Unlink(args[3])
	}
	if err := unix.Bind(fd, at); err != nil {
		fmt.Println(err)
		return
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	var st unix.Stat_t
	unix.Fstat(fd, &st)
	whose := "own"
	if strconv.FormatUint(st.Ino, 10) == args[4] {
		whose = "ours"
	}
	got := 0
	if f, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); f&unix.O_NONBLOCK != 0 {
		got |= unix.SOCK_NONBLOCK
	}
	if f, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); f&unix.FD_CLOEXEC != 0 {
		got |= unix.SOCK_CLOEXEC
	}
	fmt.Printf("%s %#x\n", whose, got)
}

// What is no listener's is bound and listens as it would anyway, also a port of the other protocol and one that the
// kernel chooses, and the socket of who listens without bind.
func TestForeign(t *testing.T) {
	l, fd := listenTCP(t)
	p := supervise(t, role("listen", l.At.Port()), []bindfilter.Listener{l}, []int{fd})
	if got := p.rest(t); got != "ok\n" {
		t.Error(got)
	}
	p.note(func() {
		if len(p.adopted) != 0 || len(p.failed) != 0 {
			t.Errorf("adopted %d, failed %v", p.adopted, p.failed)
		}
		if want := fmt.Sprintf("udp 0.0.0.0:%d", l.At.Port()); len(p.foreign) != 2 || p.foreign[0] != want || !strings.HasPrefix(p.foreign[1], "tcp 127.0.0.1:") {
			t.Errorf("foreign %q, want %q and one of tcp", p.foreign, want)
		}
	})
}

func playListen(args []string) {
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(0)
		}
	}
	udp, err := net.ListenPacket("udp4", ":"+args[0])
	check(err)
	udp.Close()
	any, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	address := any.Addr().String()
	any.Close()
	again, err := net.Listen("tcp", address)
	check(err)
	again.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check(err)
	check(unix.Listen(fd, 7))
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	check(err)
	if info.Sacked != 7 {
		check(fmt.Errorf("the backlog of its own socket is %d", info.Sacked))
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != unix.EINVAL {
		check(fmt.Errorf("bind again: %v", err))
	}
	if _, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), 16, 16); errno != unix.EFAULT {
		check(fmt.Errorf("bind of nothing: %v", errno))
	}
	fmt.Println("ok")
}

// A program that removes the socket's file before it binds, and at its end, removes nothing, by whatever path. What is
// not the listener's is removed, whatever its name.
func TestUnixPath(t *testing.T) {
	dir := t.TempDir()
	l, fd := listen(t, "unix", unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/socket"})
	p := supervise(t, role("unix", dir, inode(t, fd)), []bindfilter.Listener{l}, []int{fd})
	if got := p.rest(t); got != "ok\n" {
		t.Errorf("%s; failed %v", got, p.failed)
	}
	if _, err := os.Stat(dir + "/socket"); err != nil {
		t.Error(err)
	}
	if got := len(p.adopted); got != 3 {
		t.Errorf("adopted %d times, foreign %q", got, p.foreign)
	}
}

func playUnix(args []string) {
	dir := args[0]
	check := func(what string, err error) {
		if err != nil {
			fmt.Println(what+":", err)
			os.Exit(0)
		}
	}
	os.Mkdir(dir+"/other", 0o755)
	os.Symlink(dir, dir+"/other/link")
	os.WriteFile(dir+"/other/socket", nil, 0o644)
	check("chdir", os.Chdir(dir+"/other"))
	at, err := unix.Open(dir, unix.O_DIRECTORY, 0)
	check("open", err)
	for _, path := range []string{dir + "/socket", "../socket", dir + "/other/link/socket"} {
		check("unlink", unix.Unlink(path))
		check("unlinkat", unix.Unlinkat(at, "socket", 0))
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		check("socket", err)
		check("bind "+path, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
		check("listen", unix.Listen(fd, 1))
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		if strconv.FormatUint(st.Ino, 10) != args[1] {
			fmt.Println(path, "is its own")
			return
		}
	}
	check("unlink of another", unix.Unlink("socket"))
	if _, err := os.Lstat("socket"); err == nil {
		fmt.Println("another file of the name was not removed")
	}
	check("unlink of a link", unix.Unlink("link"))
	check("rmdir", unix.Unlinkat(at, "other", unix.AT_REMOVEDIR))
	if err := unix.Unlink(dir + "/none"); err != unix.ENOENT {
		fmt.Println("unlink of nothing:", err)
	}
	fmt.Println("ok")
}

// Many threads bind at once, and again and again; no descriptor is left.
func TestStorm(t *testing.T) {
	l, fd := listenTCP(t)
	before := openFiles(t)
	p := supervise(t, role("storm", l.At.Port()), []bindfilter.Listener{l}, []int{fd})
	if got := p.rest(t); got != "ok\n" {
		t.Error(got)
	}
	p.note(func() {
		if len(p.adopted) != 8*200 {
			t.Errorf("adopted %d times", len(p.adopted))
		}
	})
	p.output.Close()
	if after := openFiles(t); after > before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func playStorm(args []string) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			runtime.LockOSThread()
			for range 200 {
				fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err := unix.Bind(fd, &unix.SockaddrInet4{Port: atoi(args[0])}); err != nil {
					fmt.Println(err)
				}
				unix.Close(fd)
			}
		})
	}
	all.Wait()
	fmt.Println("ok")
}

// A child may be killed in the middle of a call, and Serve ends only with the last process that has the filter.
func TestKilled(t *testing.T) {
	l, fd := listenTCP(t)
	p := supervise(t, role("killed", l.At.Port()), []bindfilter.Listener{l}, []int{fd})
	if got := p.rest(t); got != "ok\n" {
		t.Error(got)
	}
}

func playKilled(args []string) {
	for i := range 50 {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"child"}, &syscall.ProcAttr{
			Env: append(os.Environ(), "ROLE=storm", "ARGS="+args[0]), Files: []uintptr{0, 2, 2},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		for until := time.Now().Add(time.Duration(i) * 300 * time.Microsecond); time.Now().Before(until); {
		}
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}
	fmt.Println("ok")
}

// There can be no second supervisor, and the failure says so.
func TestNested(t *testing.T) {
	l, fd := listenTCP(t)
	p := supervise(t, role("nested"), []bindfilter.Listener{l}, []int{fd})
	if got := p.rest(t); !strings.Contains(got, "binds: device or resource busy: ") || !strings.Contains(got, "remove bind from") {
		t.Error(got)
	}
}

func playNested([]string) {
	runtime.LockOSThread()
	c := &launch.Command{Argv: []string{"true"}, Environ: os.Environ(), Files: []uintptr{0, 1, 2}, Umask: -1, Binds: launch.OnlyBinds}
	pid, outcome, err := launch.Start(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(outcome.Wait())
	syscall.Wait4(pid, nil, 0, nil)
}

// Signals interrupt no bind, and one that comes again finds its socket replaced.
func TestSignals(t *testing.T) {
	l, fd := listenTCP(t)
	p := supervise(t, role("signals", l.At.Port()), []bindfilter.Listener{l}, []int{fd})
	if got := p.rest(t); got != "ok\n" {
		t.Error(got)
	}
}

func playSignals(args []string) {
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond): // a call is to have a chance of being received between two
				syscall.Kill(syscall.Getpid(), syscall.SIGURG)
			}
		}
	}()
	playStorm(args)
	close(stop)
}

// Initd may be root without CAP_SYS_PTRACE, as in a container, and the program of another user.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	c := role("weaken")
	c.Files = []uintptr{0, 1, 2}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	c.Files[1] = uintptr(pipe[1])
	runtime.LockOSThread()
	pid, _, err := launch.Start(c)
	unix.Close(pipe[1])
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Wait4(pid, nil, 0, nil)
	out := os.NewFile(uintptr(pipe[0]), "output")
	defer out.Close()
	text, _ := io.ReadAll(out)
	if !strings.Contains(string(text), "--- PASS: TestGoServerOfAnotherUser") {
		t.Errorf("%s", text)
	}
}

// playWeaken runs a test of this binary without what lets root see the memory of other users' processes.
func playWeaken([]string) {
	runtime.LockOSThread()
	for _, c := range []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
			panic(err)
		}
	}
	os.Unsetenv("ROLE")
	os.Unsetenv("ARGS")
	environ := append(os.Environ(), "WEAKENED=1")
	panic(syscall.Exec("/proc/self/exe", []string{"weakened", "-test.run=^TestGoServerOfAnotherUser$", "-test.v"}, environ))
}

func TestGoServerOfAnotherUser(t *testing.T) {
	if os.Getenv("WEAKENED") == "" {
		t.Skip("is run by TestOtherUser")
	}
	l, fd := listenTCP(t)
	c := role("go", l.At.Port())
	c.Credential = &launch.Credential{UID: 12345, GID: 12346}
	p := supervise(t, c, []bindfilter.Listener{l}, []int{fd})
	if got := p.line(t); got != "listening" {
		t.Fatalf("%s; failed %v", got, p.failed)
	}
	if got := ask(t, "tcp", fmt.Sprintf("127.0.0.1:%d", l.At.Port())); got != strconv.Itoa(p.pid) {
		t.Errorf("answered %q, want %d", got, p.pid)
	}
}
