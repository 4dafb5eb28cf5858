// Package reaper is the wait loop of PID 1 as a library.
//
// PID 1 of a pid namespace (pid_namespaces(7)) and a child subreaper adopt the
// orphans among their descendants and have to wait for those as well as for the
// children they started, or the dead stay in the process table as zombies until
// it is full. The package does three things and has no policy, no state and no
// goroutine of its own: [Subreaper] asks for the orphans, [Drain] reaps whatever
// has ended and reports each exit, [Children] lists who is left.
//
// Four rules make that lossless:
//
//   - One goroutine starts processes and drains, and nothing else in the program
//     waits. A pid is then known before its exit can be reported, and until that
//     is reported it cannot be recycled (wait(2)), so that kill(2) hits the right
//     process with no lock and no pidfd.
//   - Processes are started with [syscall.ForkExec]. os/exec waits for its child
//     by itself and races with Drain for the status. ForkExec waits too, but only
//     for a child that could not execute, and before it returns.
//   - SIGCHLD carries nothing but "look": standard signals do not queue
//     (signal(7)), one may stand for any number of exits. A channel of capacity
//     one, registered before the first start, is therefore enough, and each wake
//     calls Drain once.
//   - SIGCHLD is not ignored, or no status is kept (wait(2)). A program that
//     inherits it ignored is safe: Go's runtime catches it from the start.
//
// The package is for Linux.
package reaper

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Exit is one change of state of one child, started or adopted.
type Exit struct {
	PID    int
	Status syscall.WaitStatus // exited or signaled; stopped or continued only if Drain was given WUNTRACED or WCONTINUED
}

// Subreaper makes the calling process, all its threads, adopt every descendant
// that loses its parent (PR_SET_CHILD_SUBREAPER(2const)). PID 1 does so anyway
// and may call it just the same. Programs that the caller starts do not inherit
// it. The error is the kernel's, of Linux before 3.4 or a seccomp filter.
func Subreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_CHILD_SUBREAPER: %w", err)
	}
	return nil
}

// Drain reaps until nothing is left to reap and calls each with every exit as it
// is taken. It does not wait for any. The options are 0 or [syscall.WUNTRACED] and
// [syscall.WCONTINUED]; with them each is also called for a child that was stopped or
// continued, once each time. Such a child is still alive.
//
// It returns whether any child is left, alive or stopped. False is final until
// the caller starts another, but for PID 1 of a namespace that others enter
// (setns(2), as docker exec does): their orphans come to it too.
//
// each may start processes. One that restarts without delay what ends without
// delay keeps Drain from returning, as would a storm of orphans that end faster
// than they are reaped, some microseconds each.
//
// Drain panics on options that wait4(2) does not know.
func Drain(options int, each func(Exit)) (children bool) {
	for {
		var status syscall.WaitStatus
		// With WNOHANG wait4 never sleeps, so that the scheduler need not know of it,
		// as it does with syscall.Wait4. That would give our processor to other
		// goroutines in the middle of a storm, and make it half as long again.
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0),
			uintptr(unsafe.Pointer(&status)), uintptr(syscall.WNOHANG|options), 0, 0, 0)
		switch {
		case errno == syscall.ECHILD:
			return false
		case errno == syscall.EINTR:
		case errno != 0: // EINVAL: going on would pile up zombies in silence
			panic(fmt.Sprintf("reaper: wait4 with options %#x: %v", options, errno))
		case pid == 0:
			return true
		default:
			each(Exit{PID: int(pid), Status: status})
		}
	}
}
