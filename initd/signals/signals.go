// Package signals is where the signals that initd is sent arrive. They are
// caught in the package's init, as early as a Go program can: a PID 1 that
// still had the default dispositions would end by a TERM that came early.
//
// Each class has a channel of its own, so that a flood of one cannot displace
// another: os/signal drops what a channel cannot take. Within a class nothing
// that counts is lost: one pending SIGCHLD wakes the loop for all children,
// one pending HUP is as good as many, and after the second stop signal a
// further one changes nothing.
//
// Not caught, and so not forwarded, are KILL and STOP, which nobody can catch;
// 32, 33 and 34, which the C libraries' threads use and the Go runtime
// therefore leaves alone; and URG and PROF, which the runtime sends to itself.
package signals

import (
	"os"
	"os/signal"
	"syscall"

	"server-starter/initd/launch"
)

var (
	Child  = make(chan os.Signal, 1)
	Hangup = make(chan os.Signal, 1)
	Stop   = make(chan os.Signal, 64)
	Other  = make(chan os.Signal, 256)
)

// Last is the highest signal number of Linux on the architectures served.
const Last = 64

func init() {
	if launch.IsChild() {
		return // its signals are the program's that it is about to become
	}
	signal.Notify(Child, syscall.SIGCHLD)
	signal.Notify(Hangup, syscall.SIGHUP)
	signal.Notify(Stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	// Caught and dropped. Ignoring them would make the workers ignore them too,
	// and their defaults would end initd (PIPE, by a broken stderr) or suspend
	// it (the terminal's).
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)

	var deadly, others []os.Signal
	for n := syscall.Signal(1); n <= Last; n++ {
		switch {
		case Forwardable(n) && deadlyToGo(n):
			deadly = append(deadly, n)
		case Forwardable(n):
			others = append(others, n)
		}
	}
	signal.Notify(Other, deadly...)
	// Each costs two switches between threads, and these are two thirds of all.
	// For the millisecond until they are caught, the runtime drops them.
	go signal.Notify(Other, others...)
}

// deadlyToGo reports whether the Go runtime ends a program that is sent a
// signal and has not asked for it; os/signal.
func deadlyToGo(n syscall.Signal) bool {
	switch n {
	case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE,
		syscall.SIGSEGV, syscall.SIGSTKFLT, syscall.SIGSYS:
		return true
	}
	return false
}

// Forwardable reports whether a signal has no meaning for initd itself and is
// passed on to the workers.
func Forwardable(n syscall.Signal) bool {
	switch n {
	case syscall.SIGCHLD, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT,
		syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
		syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGURG, syscall.SIGPROF, 32, 33, 34:
		return false
	}
	return 0 < n && n <= Last
}
