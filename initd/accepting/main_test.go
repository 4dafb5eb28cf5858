package accepting

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

// The test binary plays the workers, with the listener at 3, and root without
// CAP_SYS_PTRACE, which looks at one.
const role = "ACCEPTING_TEST_ROLE"

// roles are what workers wait in. What returns ends its process.
var roles = map[string]func(){
	"accept":  func() { unix.Accept(3) },
	"accept4": func() { unix.Accept4(3, unix.SOCK_CLOEXEC) },
	"poll":    func() { unix.Poll([]unix.PollFd{{Fd: 1, Events: unix.POLLERR}, {Fd: 3, Events: unix.POLLIN}}, -1) },
	"ppoll":   func() { unix.Ppoll([]unix.PollFd{{Fd: 3, Events: pollReadNormal}}, nil, nil) },
	"select": func() {
		var set unix.FdSet
		set.Set(3)
		unix.Select(4, &set, nil, nil, nil)
	},
	"pselect of many": func() { // beyond the first word
		unix.Dup3(3, 100, 0)
		var set unix.FdSet
		set.Set(100)
		unix.Pselect(101, &set, nil, nil, nil, nil)
	},
	"epoll": func() { waitEpoll(unix.EPOLLIN) },
	"epoll of an epoll": func() {
		outer, _ := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		inner := addEpoll(unix.EPOLLIN)
		unix.EpollCtl(outer, unix.EPOLL_CTL_ADD, inner, &unix.EpollEvent{Events: unix.EPOLLIN})
		unix.EpollWait(outer, make([]unix.EpollEvent, 1), -1)
	},
	"poll of many": func() { // of one descriptor, again and again
		set := make([]unix.PollFd, 1000)
		for i := range set {
			set[i] = unix.PollFd{Fd: 0, Events: unix.POLLIN}
		}
		unix.Poll(set, -1)
	},
	"foreign": func() { // in a pid namespace of its own, with the /proc of another
		fmt.Println(new(Looker).Look(worker(os.Getpid(), 3)))
	},
	"epoll exclusive": func() { waitEpoll(unix.EPOLLIN | unix.EPOLLEXCLUSIVE) },
	"thread": func() {
		go unix.Accept(3)
		stay()
	},
	"child": func() { // another program's, and this one waits for it
		child := start("accept", nil, 3)
		unix.Wait4(child.pid, nil, 0, nil)
	},
	"receive": func() { unix.Recvfrom(3, make([]byte, 10), 0) },
	"connection": func() { // it has accepted, and does something else
		unix.Accept(3)
		stay()
	},

	"nothing":       stay,
	"epoll writing": func() { waitEpoll(unix.EPOLLOUT | unix.EPOLLET) },
	"epoll before": func() { // it has the set, and waits for something else
		addEpoll(unix.EPOLLIN)
		stay()
	},
	"poll without": func() { unix.Poll([]unix.PollFd{{Fd: 3}, {Fd: 0, Events: unix.POLLIN}}, -1) },
	"select without": func() {
		var set unix.FdSet
		set.Set(0)
		unix.Select(4, &set, nil, nil, nil)
	},
	"read": func() { unix.Read(0, make([]byte, 1)) },
	"burn": func() {
		for {
			_ = role
		}
	},
	"hidden": func() {
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
		fmt.Println("hidden")
		unix.Accept(3)
	},
	"ring": func() {
		var parameters [120]byte // struct io_uring_params
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 8, uintptr(pointer(&parameters)), 0)
		fmt.Println("ring", int(fd), errno)
		stay()
	},
	"weaken": func() {
		runtime.LockOSThread()
		for _, c := range []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
				panic(err)
			}
		}
		os.Setenv(role, "look "+argument)
		panic(syscall.Exec("/proc/self/exe", []string{"look"}, os.Environ()))
	},
	"look": func() {
		pid, _ := strconv.Atoi(argument)
		fmt.Println(until(worker(pid, 3), func(s Seen) bool { return s.Waits[0] || s.Blind != nil }))
	},
}

var argument string

func TestMain(m *testing.M) {
	what, rest, _ := strings.Cut(os.Getenv(role), " ")
	if f := roles[os.Getenv(role)]; f != nil {
		what, rest = os.Getenv(role), ""
	}
	os.Unsetenv(role) // of two in an environment the first counts
	if what == "" {
		os.Exit(m.Run())
	}
	argument = rest
	roles[what]()
	os.Exit(0)
}

func stay() { unix.Read(0, make([]byte, 1)) }

func addEpoll(events uint32) int {
	fd, _ := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, 3, &unix.EpollEvent{Events: events, Fd: 3}); err != nil {
		panic(err)
	}
	return fd
}

func waitEpoll(events uint32) { unix.EpollWait(addEpoll(events), make([]unix.EpollEvent, 1), -1) }

// process plays a role.
type process struct {
	pid    int
	output *bufio.Reader
}

// start runs the test binary in a role, with a listener at 3. It ends with the test, when
// its input is closed or its parent ends.
func start(as string, credential *syscall.Credential, listener int) process {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	inR, inW, err := os.Pipe()
	must(err)
	outR, outW, err := os.Pipe()
	must(err)
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"helper"}, &syscall.ProcAttr{
		Env:   append(os.Environ(), role+"="+as, "GORACE=atexit_sleep_ms=0"),
		Files: []uintptr{inR.Fd(), outW.Fd(), 2, uintptr(listener)},
		Sys:   &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGKILL},
	})
	must(err)
	inR.Close()
	outW.Close()
	open = append(open, inW)
	return process{pid, bufio.NewReader(outR)}
}

var open []*os.File // are not to be closed by the collector

// starts starts a process that ends with the test.
func starts(t *testing.T, as string, credential *syscall.Credential, listener int) process {
	runtime.LockOSThread() // the death signal is the thread's; the test ends with it
	p := start(as, credential, listener)
	t.Cleanup(func() {
		syscall.Kill(p.pid, syscall.SIGKILL)
		syscall.Wait4(p.pid, nil, 0, nil)
	})
	return p
}

// listen returns a listening socket, or one for datagrams.
func listen(t *testing.T, network string) (fd int, address string) {
	kind := unix.SOCK_STREAM
	if network == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil && network == "tcp" {
		err = unix.Listen(fd, 8)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	sa, _ := unix.Getsockname(fd)
	return fd, fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
}

// worker is one with a listener.
func worker(pid, fd int) Worker {
	var st unix.Stat_t
	unix.Fstat(fd, &st)
	kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	network := "tcp"
	if kind == unix.SOCK_DGRAM {
		network = "udp"
	}
	return Worker{PID: pid, Listeners: []Listener{{
		Key: "8080", Datagrams: network == "udp", inode: st.Ino, device: uint64(unix.Minor(st.Dev)),
		socket: socket.Listener{Network: network, FD: fd},
	}}}
}

// until looks at a worker until something is seen.
func until(w Worker, is func(Seen) bool) (s Seen) {
	var l Looker
	for {
		if s = l.Look(w); is(s) {
			return s
		}
	}
}

func connect(t *testing.T, address string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}
