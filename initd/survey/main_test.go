package survey

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

// The test binary plays the workers, with the listener at 3, and one that
// takes a survey without the tests' rights.
const role = "SURVEY_TEST_ROLE"

func TestMain(m *testing.M) {
	what, argument, _ := strings.Cut(os.Getenv(role), " ")
	os.Unsetenv(role) // of two in an environment the first counts
	number, _ := strconv.Atoi(argument)
	switch what {
	case "":
		os.Exit(m.Run())
	case "hold": // so many connections, and two descriptors of the last
		last := -1
		for range number {
			last, _ = must2(unix.Accept(3))
		}
		if last >= 0 {
			must1(unix.Dup(last))
		}
	case "fork": // the child holds them
		defer start("hold "+argument, 3, nil).end()
	case "foreign": // connections among itself, of other ports
		foreign(number)
	case "survey": // what Disconnects and then Connections of a process are
		listeners := []socket.Listener{{Network: "tcp", FD: 3, Key: "it"}}
		var said []string
		for _, facts := range []Facts{Disconnects, Connections} {
			found, err := Take(Request{Facts: facts, PIDs: []int{number, number}, Listeners: listeners})
			said = append(said, fmt.Sprintf("%+v permission %v remedy %d", found[number], errors.Is(err, fs.ErrPermission), strings.Count(fmt.Sprint(err), "SYS_PTRACE (")))
		}
		fmt.Println(strings.Join(said, "; "))
		os.Exit(0)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func must1[A any](a A, err error) A { must(err); return a }

func must2[A, B any](a A, b B, err error) (A, B) { must(err); return a, b }

// kept are files that are never closed.
var kept []any

// foreign makes so many connections to a port of its own.
func foreign(number int) {
	l := must1(net.Listen("tcp", fmt.Sprintf("127.0.%d.%d:0", os.Getpid()>>8&127|1, os.Getpid()&255)))
	file := must1(l.(*net.TCPListener).File())
	kept = append(kept, l, file)
	fd := int(file.Fd())
	at := must1(unix.Getsockname(fd))
	for range number {
		must(unix.Connect(must1(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)), at))
		must2(unix.Accept4(fd, unix.SOCK_CLOEXEC))
	}
}

type process struct {
	pid   int
	hello string
	stdin *os.File
}

// start runs the test binary in a role, with a file at 3, and waits for its
// first line.
func start(as string, fd int, credential *syscall.Credential) process {
	inR, inW := must2(os.Pipe())
	outR, outW := must2(os.Pipe())
	pid := must1(syscall.ForkExec("/proc/self/exe", []string{"helper"}, &syscall.ProcAttr{
		Env:   append(os.Environ(), role+"="+as, "GORACE=atexit_sleep_ms=0"),
		Files: []uintptr{inR.Fd(), outW.Fd(), 2, uintptr(fd)},
		Sys:   &syscall.SysProcAttr{Credential: credential},
	}))
	inR.Close()
	outW.Close()
	hello, err := bufio.NewReader(outR).ReadString('\n')
	must(err)
	outR.Close()
	return process{pid, strings.TrimSpace(hello), inW}
}

// end lets the process end and reaps it.
func (p process) end() {
	p.stdin.Close()
	unix.Wait4(p.pid, nil, 0, nil)
}

func started(t testing.TB, as string, fd int, credential *syscall.Credential) process {
	t.Helper()
	p := start(as, fd, credential)
	t.Cleanup(p.end)
	return p
}
