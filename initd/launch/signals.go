package launch

import (
	"math/bits"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const signals = 64 // signal(7); the kernel's _NSIG, and its sigset_t has as many bits

var (
	noSignal    unix.Sigset_t
	everySignal = every()
)

// every is the set of all signals except those that are raised by an instruction, which end a thread that blocks them
// (sigprocmask(2)): a defect is to panic.
func every() (set unix.Sigset_t) {
	for i := range set.Val {
		set.Val[i] = ^set.Val[i]
	}
	for _, s := range []syscall.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS} {
		set.Val[int(s-1)/bits.UintSize] &^= 1 << (int(s-1) % bits.UintSize)
	}
	return set
}

// A sigaction holds the kernel's struct, whose first member is the handler and whose size differs by architecture. The
// zero value is SIG_DFL.
type sigaction [8]uintptr

// rtSigaction reads and sets how the process takes a signal, without the Go runtime's knowledge: os/signal can ignore
// a signal but never give it back its default.
func rtSigaction(signal int, new, old *sigaction) {
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal),
		uintptr(unsafe.Pointer(new)), uintptr(unsafe.Pointer(old)), signals/8, 0, 0)
}

// ignoring reports whether we ignore any signal, which our children would inherit (execve(2)). A Go program
// ignores what it inherited as ignored and the runtime does not take for itself. The two signals of the C library's
// threads do not count: whatever glibc's posix_spawn starts has them ignored, and a library that needs them sets them.
func ignoring() bool {
	for signal := 1; signal <= signals; signal++ {
		if signal != 32 && signal != 33 && ignored(signal) {
			return true
		}
	}
	return false
}

func ignored(signal int) bool {
	const sigIgn = 1
	var old sigaction
	rtSigaction(signal, nil, &old)
	return old[0] == sigIgn
}

// Default resets a signal to its default action. signal.Reset does not do so for the signals of job control.
func Default(signal syscall.Signal) { rtSigaction(int(signal), new(sigaction), nil) }

// resetSignals gives every signal its default action. From here on the Go runtime gets none: not a QUIT, for which it
// would write a stack trace, nor its own URG, which is ignored by default.
func resetSignals() {
	for signal := 1; signal <= signals; signal++ {
		rtSigaction(signal, new(sigaction), nil)
	}
}
