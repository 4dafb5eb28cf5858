package accepting

import (
	"bufio"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"server-starter/initd/machine"
)

func pointer[T any](of *T) unsafe.Pointer { return unsafe.Pointer(of) }

// TestWaits shows each way to wait for connections, and that nothing else counts.
func TestWaits(t *testing.T) {
	for _, as := range []string{"accept", "accept4", "poll", "ppoll", "select", "pselect of many", "epoll", "epoll exclusive", "epoll of an epoll", "thread", "child"} {
		t.Run(as, func(t *testing.T) {
			fd, _ := listen(t, "tcp")
			p := starts(t, as, nil, fd)
			until(worker(p.pid, fd), func(s Seen) bool { return s.Waits[0] })
		})
	}
	for _, as := range []string{"receive", "poll", "epoll"} {
		t.Run("datagrams "+as, func(t *testing.T) {
			fd, _ := listen(t, "udp")
			p := starts(t, as, nil, fd)
			until(worker(p.pid, fd), func(s Seen) bool { return s.Waits[0] })
		})
	}
	for _, as := range []string{"nothing", "epoll writing", "epoll before", "poll without", "select without", "read"} {
		t.Run("not "+as, func(t *testing.T) {
			fd, _ := listen(t, "tcp")
			p := starts(t, as, nil, fd)
			w, times := worker(p.pid, fd), 0
			until(w, func(s Seen) bool {
				sight, reason := s.Judge(w.Listeners, nil)
				if sight == machine.Accepting || sight == machine.Unknown {
					t.Fatalf("%v %s", sight, reason)
				}
				if sight == machine.NotAccepting {
					times++
				}
				return times == 20
			})
		})
	}
}

// TestBounded shows that a process is examined as much as there is to know of it, and no
// longer than until the deadline.
func TestBounded(t *testing.T) {
	fd, _ := listen(t, "tcp")
	w := worker(starts(t, "poll of many", nil, fd).pid, fd)
	var l Looker
	for !l.examined[examined{0, polls}] {
		l.Look(w)
	}
	if len(l.examined) > 10 {
		t.Errorf("%d descriptors", len(l.examined))
	}
	l.Deadline = time.Now().Add(-1)
	s := l.Look(w)
	if sight, reason := s.Judge(w.Listeners, nil); sight != machine.Unknown || !strings.Contains(reason, "in time") {
		t.Errorf("%v %s", sight, reason)
	}
}

// TestNamespace shows that nothing is concluded from the /proc of another pid namespace,
// where a worker's number is another process's.
func TestNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	fd, _ := listen(t, "tcp")
	output, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"helper"}, &syscall.ProcAttr{
		Env:   append(os.Environ(), role+"=foreign"),
		Files: []uintptr{0, theirs.Fd(), 2, uintptr(fd)},
		Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID},
	})
	theirs.Close()
	if err != nil {
		t.Skipf("needs CAP_SYS_ADMIN: %v", err)
	}
	line, _ := bufio.NewReader(output).ReadString('\n')
	syscall.Wait4(pid, nil, 0, nil)
	if !strings.Contains(line, "namespace") {
		t.Errorf("%q", line)
	}
}

// TestOther shows that a process that waits for another socket than the listener does
// not wait for that.
func TestOther(t *testing.T) {
	fd, _ := listen(t, "tcp")
	other, _ := listen(t, "tcp")
	for _, as := range []string{"accept", "poll", "epoll"} {
		p := starts(t, as, nil, other)
		until(worker(p.pid, other), func(s Seen) bool { return s.Waits[0] })
		if s := new(Looker).Look(worker(p.pid, fd)); s.Waits[0] {
			t.Errorf("%s: %+v", as, s)
		}
	}
}

// TestBusy shows that a server that is busy with a connection is known to accept, and
// a program that only computes is not.
func TestBusy(t *testing.T) {
	fd, address := listen(t, "tcp")
	p := starts(t, "connection", nil, fd)
	w := worker(p.pid, fd)
	until(w, func(s Seen) bool { return s.Waits[0] })
	connect(t, address)
	until(w, func(s Seen) bool {
		for _, line := range calls(t, p.pid) {
			if kinds[line.number] == accepts {
				return false
			}
		}
		return true
	})
	if s := new(Looker).Look(w); !s.Waits[0] {
		t.Errorf("%+v", s)
	}

	p = starts(t, "burn", nil, fd)
	w = worker(p.pid, fd)
	for range 50 {
		until(w, func(s Seen) bool {
			if s.Waits[0] {
				t.Fatalf("%+v", s)
			}
			return s.Runs
		})
	}
}

func calls(t *testing.T, pid int) (all []call) {
	var l Looker
	if err := l.proc.Calls(pid, func(line []byte) {
		c, err := parseCall(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRights shows what root without CAP_SYS_PTRACE can see of another user's program.
func TestRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	fd, _ := listen(t, "tcp")
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	look := func(as string, hello bool) string {
		p := starts(t, as, nobody, fd)
		if hello {
			p.output.ReadString('\n')
		}
		line, err := starts(t, "weaken "+itoa(p.pid), nil, fd).output.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	for _, as := range []string{"accept", "poll", "epoll"} {
		if line := look(as, false); !strings.HasPrefix(line, "{[true]") {
			t.Errorf("%s: %s", as, line)
		}
	}
	if line := look("hidden", true); !strings.HasPrefix(line, "{[false]") || !strings.Contains(line, "not permitted (initd may look at") {
		t.Errorf("hidden: %s", line)
	}
}

// TestRing shows that it cannot be told what a program waits for that uses io_uring.
func TestRing(t *testing.T) {
	fd, _ := listen(t, "tcp")
	p := starts(t, "ring", nil, fd)
	if line, err := p.output.ReadString('\n'); err != nil || !strings.HasPrefix(line, "ring ") || strings.Contains(line, "-1") {
		t.Skipf("the kernel has no io_uring: %s %v", line, err)
	}
	w := worker(p.pid, fd)
	s := until(w, func(s Seen) bool { return s.Blind != nil })
	if sight, reason := s.Judge(w.Listeners, nil); sight != machine.Unknown || !strings.Contains(reason, "io_uring") {
		t.Errorf("%v %s", sight, reason)
	}
}

// TestFind shows that a daemon is found that a worker has left.
func TestFind(t *testing.T) {
	fd, _ := listen(t, "tcp")
	t.Setenv("SERVER_STARTER_GENERATION", "7")
	t.Setenv("SERVER_STARTER_WORKER", "2")
	daemon := starts(t, "accept", nil, fd)
	os.Unsetenv("SERVER_STARTER_GENERATION")
	head := starts(t, "nothing", nil, fd)
	w := worker(head.pid, fd)
	w.Generation, w.Slot = 7, 2
	var l Looker
	for seen := false; !seen; seen = l.Look(w).Waits[0] {
		l.Find([]Worker{w}, []int{head.pid})
	}
	if l.Find([]Worker{w}, []int{head.pid, daemon.pid}); l.Look(w).Waits[0] {
		t.Error("a child that initd has started itself counts")
	}
	w.Slot = 3
	if l.Find([]Worker{w}, []int{head.pid}); l.Look(w).Waits[0] {
		t.Error("another worker's daemon counts")
	}
}

// TestGone shows that a process that has ended is no error.
func TestGone(t *testing.T) {
	fd, _ := listen(t, "tcp")
	p := starts(t, "nothing", nil, fd)
	syscall.Kill(p.pid, syscall.SIGKILL)
	s := until(worker(p.pid, fd), func(s Seen) bool { return !s.Runs })
	syscall.Wait4(p.pid, nil, 0, nil)
	after := new(Looker).Look(worker(p.pid, fd))
	if s.Waits[0] || s.Blind != nil || after.Waits[0] || after.Blind != nil || after.Runs {
		t.Errorf("%+v, then %+v", s, after)
	}
}
