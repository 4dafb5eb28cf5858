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
	var standard, realTime []os.Signal
	for n := syscall.Signal(1); n <= Last; n++ {
		switch {
		case Forwardable(n) && n < 32:
			standard = append(standard, n)
		case Forwardable(n):
			realTime = append(realTime, n)
		}
	}
	signal.Notify(Other, standard...)

	// Caught and dropped. Ignoring them would make the workers ignore them too,
	// and their defaults would end initd (PIPE, by a broken stderr) or suspend
	// it (the terminal's).
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)

	// Each signal costs two switches between threads, and these are half of
	// all. Until they are caught, the runtime drops them: they end nothing.
	go signal.Notify(Other, realTime...)
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
