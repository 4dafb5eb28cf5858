package notify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second // for what happens at once unless it is broken

// The test binary is its own sender: with NOTIFY_SOCKET set it acts out its
// arguments, one after the other.
func TestMain(m *testing.M) {
	if address := os.Getenv("NOTIFY_SOCKET"); address != "" {
		if err := play(address, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(address string, script []string) error {
	for len(script) > 0 {
		word := script[0]
		script = script[1:]
		switch word {
		case "say": // a state
			if err := Send(address, script[0]); err != nil {
				return err
			}
			script = script[1:]
		case "await": // a byte, or the end, of stdin
			os.Stdin.Read(make([]byte, 1))
		case "rename": // the process
			if err := os.WriteFile("/proc/self/comm", []byte(script[0]), 0); err != nil {
				return err
			}
			script = script[1:]
		case "spawn": // a child that plays the rest
			return command(os.Stdin, script).Run()
		case "abandon": // such a child
			return command(os.Stdin, script).Start()
		}
	}
	return nil
}

func command(stdin *os.File, script []string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", script...)
	c.Stdin, c.Stdout, c.Stderr = stdin, os.Stderr, os.Stderr
	return c
}

// start starts a sender in a process group of its own. What it awaits is
// written to, or the closing of, the returned pipe.
func start(t *testing.T, s *Server, script ...string) (sender *exec.Cmd, latch *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	t.Cleanup(func() { w.Close() })
	sender = command(r, script)
	sender.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.Address(),
		"GORACE=atexit_sleep_ms=0") // else -race has each sender end a second late
	sender.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := sender.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); sender.Wait() })
	return sender, w
}

func listen(t *testing.T) *Server {
	t.Helper()
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func receive(t *testing.T, s *Server) Message {
	t.Helper()
	defer time.AfterFunc(patience, func() { s.Close() }).Stop()
	m, err := s.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// post sends state and fds from the test itself, waiting for room.
func post(t *testing.T, s *Server, state string, fds ...int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fd)
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(fd, []byte(state), control, &unix.SockaddrUnix{Name: s.Address()}, 0); err != nil {
		t.Error(err)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestSocket(t *testing.T) {
	s := listen(t)
	if name, abstract := strings.CutPrefix(s.Address(), "@"); !abstract || name == "" {
		t.Errorf("address %q is not an abstract name", s.Address())
	}
	if other := listen(t); other.Address() == s.Address() {
		t.Errorf("two servers at %q", s.Address())
	}
	s.conn.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("not close-on-exec: %#x, %v", flags, err)
		}
	})
}

func TestChild(t *testing.T) {
	s := listen(t)
	child, _ := start(t, s, "say", "READY=1\nSTATUS=here", "await")
	m := receive(t, s)
	pid := child.Process.Pid
	if m.PID != pid || m.UID != os.Getuid() || m.Group != pid || !slices.Equal(m.Lineage, []int{pid, os.Getpid()}) {
		t.Errorf("got %+v from child %d of %d", m, pid, os.Getpid())
	}
	if want := (Assignments{Ready: true, HasStatus: true, Status: "here"}); m.Assignments != want {
		t.Errorf("got %+v, want %+v", m.Assignments, want)
	}
}

func TestGrandchild(t *testing.T) {
	s := listen(t)
	child, _ := start(t, s, "rename", "a) R 1 (b c", "spawn", "say", "READY=1", "await")
	m := receive(t, s)
	if !slices.Equal(m.Lineage, []int{m.PID, child.Process.Pid, os.Getpid()}) || m.PID == child.Process.Pid {
		t.Errorf("got %+v below child %d of %d", m, child.Process.Pid, os.Getpid())
	}
}

// Whose parent has ended belongs to the reaper, but stays in the group.
func TestOrphan(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	s := listen(t)
	child, latch := start(t, s, "abandon", "await", "say", "READY=1", "await")
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	latch.Write([]byte{0})
	m := receive(t, s)
	if m.Group != child.Process.Pid || !slices.Equal(m.Lineage, []int{m.PID, os.Getpid()}) {
		t.Errorf("got %+v of child %d of %d", m, child.Process.Pid, os.Getpid())
	}
	latch.Close()
	if _, err := unix.Wait4(m.PID, nil, 0, nil); err != nil {
		t.Error(err)
	}
}

func TestSenderThatHasExited(t *testing.T) {
	s := listen(t)
	child, _ := start(t, s, "say", "READY=1")
	pid := child.Process.Pid
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, s); m.PID != pid || !m.Ready || m.Group != pid || !slices.Equal(m.Lineage, []int{pid, os.Getpid()}) {
		t.Errorf("a zombie: got %+v from child %d of %d", m, pid, os.Getpid())
	}

	child, _ = start(t, s, "say", "READY=1")
	pid = child.Process.Pid
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, s); m.PID != pid || !m.Ready || m.Group != 0 || !slices.Equal(m.Lineage, []int{pid}) {
		t.Errorf("waited for: got %+v from child %d", m, pid)
	}
}

// A datagram without a known assignment never comes out of Receive, but what came
// with it is closed: this is sd_notify_barrier(3).
func TestBarrier(t *testing.T) {
	s := listen(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	post(t, s, "BARRIER=1", int(w.Fd()))
	w.Close()
	post(t, s, "")
	post(t, s, "FDSTORE=1")
	post(t, s, "READY=1")
	if m := receive(t, s); !m.Ready || m.PID != os.Getpid() {
		t.Errorf("got %+v", m)
	}
	r.SetReadDeadline(time.Now().Add(patience))
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the barrier's other end: %d, %v, want EOF", n, err)
	}
}

// Whatever is sent along stays outside; 253 is the most that a datagram
// carries: SCM_MAX_FD in unix(7).
func TestStrayFDs(t *testing.T) {
	s := listen(t)
	before := openFDs(t)
	for _, count := range []int{1, 2, 5, 200, 253} {
		post(t, s, "READY=1\nFDSTORE=1", slices.Repeat([]int{0}, count)...)
		if m := receive(t, s); !m.Ready || m.PID != os.Getpid() {
			t.Errorf("%d descriptors: got %+v", count, m)
		}
		if after := openFDs(t); after != before {
			t.Fatalf("%d descriptors: %d files open, %d before", count, after, before)
		}
	}
}

func TestOversized(t *testing.T) {
	s := listen(t)
	long := strings.Repeat("x", 2*maxDatagram)
	tests := []struct {
		name, state string
		want        Assignments
	}{
		{"cut in the status", "READY=1\nSTATUS=" + long, Assignments{Ready: true}},
		{"past the end", "WATCHDOG=1\nX=" + long + "\nREADY=1", Assignments{Watchdog: true}},
		{"cut to a known line", "WATCHDOG=1\nX=" + long[:maxDatagram-21] + "\nREADY=10", Assignments{Watchdog: true}},
		{"just fits", "WATCHDOG=1\nX=" + long[:maxDatagram-21] + "\nREADY=1", Assignments{Watchdog: true, Ready: true}},
	}
	for _, test := range tests {
		post(t, s, test.state)
		if m := receive(t, s); m.Assignments != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, m.Assignments, test.want)
		}
	}
	post(t, s, long) // no whole line at all
	post(t, s, "READY=1")
	if m := receive(t, s); m.Assignments != (Assignments{Ready: true}) {
		t.Errorf("afterwards: got %+v", m.Assignments)
	}
}

// What nobody vouches for is dropped, what came along is closed.
func TestNoCredentials(t *testing.T) {
	s := listen(t)
	passcred := func(on int) {
		t.Helper()
		var err error
		if cerr := s.conn.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, on)
		}); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()

	passcred(0)
	post(t, s, "READY=1\nSTATUS=whose", int(w.Fd()))
	w.Close()
	passcred(1) // the kernel now names process 0
	post(t, s, "WATCHDOG=1")
	if m := receive(t, s); m.Assignments != (Assignments{Watchdog: true}) {
		t.Errorf("got %+v", m)
	}
	r.SetReadDeadline(time.Now().Add(patience))
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the other end of the stray pipe: %d, %v, want EOF", n, err)
	}
}

func TestClose(t *testing.T) {
	s := listen(t)
	result := make(chan error)
	go func() {
		_, err := s.Receive()
		result <- err
	}()
	// Seen to be waiting in the poller, not in recvmsg(2).
	deadline := time.Now().Add(patience)
	for !strings.Contains(stacks(), "notify.(*Server).Receive") && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	s.Close()
	select {
	case err := <-result:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("Receive returned %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Receive still waits")
	}
	if _, err := s.Receive(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Receive of a closed server returned %v", err)
	}
}

// stacks returns those of the goroutines that wait for input.
func stacks() string {
	buf := make([]byte, 1<<20)
	var waiting strings.Builder
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "[IO wait") {
			waiting.WriteString(stack)
		}
	}
	return waiting.String()
}

// However much is sent, one buffer is used again and again.
func TestFlood(t *testing.T) {
	s := listen(t)
	const count = 2000
	junk := "X=" + strings.Repeat("x", maxDatagram-2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		for range count {
			post(t, s, junk)
		}
		post(t, s, "READY=1")
	}()
	if m := receive(t, s); !m.Ready {
		t.Errorf("got %+v", m)
	}
	runtime.ReadMemStats(&after)
	// post copies each state once; Receive's part is small change.
	if used := after.TotalAlloc - before.TotalAlloc; used > count*maxDatagram*3/2 {
		t.Errorf("%d datagrams took %d bytes", count, used)
	}
}
