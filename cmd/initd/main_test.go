package main_test

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/entry"
	"server-starter/initd/signals"
)

// self is this test binary, which plays every part in its tests: its first argument may name a role.
var self, _ = os.Executable()

func TestMain(m *testing.M) {
	resetSignals()
	if len(os.Args) > 1 {
		switch args := os.Args[2:]; os.Args[1] {
		case "puppet":
			os.Exit(playPuppet(args))
		case "namespace":
			os.Exit(playNamespace(args))
		case "given":
			os.Exit(playGiven(args))
		case "notify":
			os.Exit(playNotify(args))
		case "binder":
			os.Exit(playBinder(args))
		case "server":
			os.Exit(playServer())
		}
	}
	os.Exit(initdtest.Main(func() int {
		var err error
		if workshop, err = initdtest.Dir(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}, 10))
}

// resetSignals undoes what the program under test has done: it is linked in, uses one processor, and has caught every signal
// before anything else. To those of job control os/signal does not give back their defaults.
func resetSignals() {
	runtime.GOMAXPROCS(runtime.NumCPU())
	signal.Reset()
	for _, n := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		setAction(n, 0)
	}
	select {
	case <-signals.Stop:
		os.Exit(0) // it came already, and was meant for the part that is about to be played
	default:
	}
}

// setAction has a signal ignored (1) or take its default action (0), whatever the Go runtime thinks.
func setAction(n syscall.Signal, handler uintptr) {
	action := [8]uintptr{handler} // as large as any struct sigaction
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

// workshop is a directory that everyone may enter, for the program that is tested.
var workshop string

var built = sync.OnceValue(func() error {
	return initdtest.Build(".", ".", filepath.Join(workshop, "initd"), "-trimpath", "-ldflags="+entry.Flag)
})

// initdBinary is the path of the program, built once.
func initdBinary(t testing.TB) string {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(workshop, "initd")
}
