// Package entry is where the program begins if it is linked with Flag, as a release is: before the Go runtime, with a
// few instructions that install a handler for HUP, INT, QUIT and TERM and jump to the runtime's own entry point. Without
// the flag none of it is ever called, and an early signal acts as on any Go program: at first the kernel drops it for a
// PID 1 (pid_namespaces(7)), and then it ends a PID 1 with status 2, because the runtime cannot die of it.
//
// Blocking the signals would not do: the runtime unblocks those that end a program (runtime/signal_unix.go,
// blockableSig). What becomes of one depends on how far the start is:
//
//   - Before the entry point it has its default action; the kernel drops it for a PID 1.
//   - Then, until the runtime installs its handlers, the handler records it. Package signals reads the record.
//   - Then, until os/signal.Notify, the runtime is about to die of a HUP, INT or TERM. It raises it once more, and passes
//     that on to the handler that was there before its own (dieFromSignal, sigfwdgo). To return is death, so the handler
//     executes the program again, with the signal blocked and pending, which execve(2) preserves: the runtime unblocks
//     it when the handler is in place again, and it is recorded. This needs /proc; without it the program ends as if by
//     the signal, with 128 and its number. A QUIT is not passed on, and ends the program with a stack trace.
//
// An inherited SIG_IGN stays for HUP and INT, as in any Go program (os/signal; nohup(1)). The stage of package launch
// has no handler: signals are to act on it as on the program that it will execute. On arm the entry point only jumps.
package entry

import (
	"math/bits"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Flag is for the linker.
const Flag = "-E=_rt0_initd"

// Stage is the argv[0] by which the program knows itself to be the child side of a start; see package launch.
var Stage = "initd: starting"

// The assembly uses these.
var (
	//lint:ignore U1000 only the assembly does
	stack uintptr // where argc is, and above it argv and the environment
	//lint:ignore U1000 likewise
	mask      uint64 // of signals, as the program was started with
	recorded  uint32 // bit n is signal n
	committed uint32 // not 0: the program is never executed again
)

// Early are the signals that have come so far, as far as os/signal was not told of them.
func Early() (all []syscall.Signal) {
	for rest := atomic.LoadUint32(&recorded); rest != 0; rest &= rest - 1 {
		all = append(all, syscall.Signal(bits.TrailingZeros32(rest)))
	}
	return all
}

// Commit is to be called before the program does anything that doing again would harm. It may be later than
// os/signal.Notify: a signal that came before may still be on its way through the runtime.
func Commit() { atomic.StoreUint32(&committed, 1) }

// Carry makes the early signals pending for the program that the calling thread will execute, which has to begin here,
// too. One that arrives between this and execve(2) is lost.
func Carry() {
	for _, s := range Early() {
		var set unix.Sigset_t
		n := int(s - 1)
		set.Val[n/bits.UintSize] |= 1 << (n % bits.UintSize)
		unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
		unix.Tgkill(unix.Getpid(), unix.Gettid(), s)
	}
}
