package layout

import (
	"syscall"
	"time"
	"unsafe"
)

// The Go runtime reads CLOCK_MONOTONIC, too, without a system call where the kernel
// provides the code for that (vdso(7)), but it returns only differences.
var (
	start  = time.Now()
	offset = monotonic()
)

// Now is the time of CLOCK_MONOTONIC, clock_gettime(2).
func Now() time.Duration { return offset + time.Since(start) }

func monotonic() time.Duration {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, Clock, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano()) - time.Since(start)
}
