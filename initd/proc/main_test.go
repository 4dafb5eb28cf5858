package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary plays the processes that are looked at and, with other rights
// than the tests have, the one that looks.
const role = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	what, argument, _ := strings.Cut(os.Getenv(role), " ")
	os.Unsetenv(role) // of two in an environment the first counts
	switch what {
	case "":
		os.Exit(m.Run())
	case "stay": // until the standard input ends, with the comm that is given
		if argument != "" {
			os.WriteFile("/proc/self/comm", []byte(argument), 0)
		}
	case "hidden":
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	case "burn":
		for used, _ := CPU(os.Getpid()); used < 50e6; used, _ = CPU(os.Getpid()) {
		}
	case "grow":
		memory := make([]byte, grown)
		for i := range memory {
			memory[i] = 1
		}
		defer runtime.KeepAlive(memory)
	case "parent": // of a child that another thread than the first has forked
		done := make(chan int)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			done <- start("stay", nil).pid
			select {}
		}()
		fmt.Println(<-done)
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	case "weaken": // look as root without CAP_SYS_PTRACE, nor what lets it see memory since Linux 6.13
		runtime.LockOSThread()
		for _, c := range []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
				panic(err)
			}
		}
		panic(syscall.Exec("/proc/self/exe", []string{"look"}, append(os.Environ(), role+"=look "+argument)))
	case "look":
		pid, _ := strconv.Atoi(argument)
		fmt.Println(look(pid))
		os.Exit(0)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

const grown = 64 << 20

// look says how it is to look at a process, and whether that left traces.
func look(pid int) string {
	var r Reader
	var said []string
	say := func(what string, found bool, err error) {
		switch {
		case errors.Is(err, fs.ErrPermission):
			what += " denied"
		case err != nil:
			what += " " + err.Error()
		case !found:
			what += " nothing"
		}
		said = append(said, what)
	}
	_, err := CPU(pid)
	say("cpu", true, err)
	size, err := r.Resident(pid)
	say("resident", size > 0, err)
	size, err = r.Proportional(pid)
	say("proportional", size > 0, err)
	inodes, err := r.Sockets(pid, nil)
	say("sockets", len(inodes) == 1, err)
	runtime.LockOSThread()
	user, _ := unix.SetfsuidRetUid(-1)
	group, _ := unix.SetfsgidRetGid(-1)
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if user != os.Geteuid() || group != os.Getegid() || dumpable != 1 {
		said = append(said, fmt.Sprintf("left as user %d, group %d, dumpable %d", user, group, dumpable))
	}
	return strings.Join(said, ", ")
}

type process struct {
	pid   int
	hello string
	stdin *os.File
}

// start runs the test binary in a role, with a socket at 3, and waits for its
// first line.
func start(as string, credential *syscall.Credential) process {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	inR, inW, err := os.Pipe()
	must(err)
	outR, outW, err := os.Pipe()
	must(err)
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"helper"}, &syscall.ProcAttr{
		Env:   append(os.Environ(), role+"="+as, "GORACE=atexit_sleep_ms=0"),
		Files: []uintptr{inR.Fd(), outW.Fd(), 2, uintptr(socket)},
		Sys:   &syscall.SysProcAttr{Credential: credential},
	})
	must(err)
	unix.Close(socket)
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

func started(t *testing.T, as string, credential *syscall.Credential) process {
	t.Helper()
	p := start(as, credential)
	t.Cleanup(p.end)
	return p
}
