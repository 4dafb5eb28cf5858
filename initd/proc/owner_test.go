package proc

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The thread may be the one that started the program, which has the death signal that
// initd's parent has asked for.
func TestAsKeepsDeathSignal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGCONT), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	if err := as(65534, 65534, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	var signal int32
	if err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&signal)), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if signal != int32(unix.SIGCONT) {
		t.Errorf("the death signal is %d afterwards, want %d", signal, unix.SIGCONT)
	}
}
