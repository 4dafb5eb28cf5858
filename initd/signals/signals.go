// Package signals catches the signals that are sent to initd. It does so in its init,
// as early as a Go program can. A TERM, INT or HUP of the two milliseconds before comes
// from package entry.
//
// Each class has a channel of its own, so that a flood of one cannot displace
// another: os/signal drops what a channel cannot take. Within a class nothing
// that matters is lost: one pending SIGCHLD wakes the loop for all children, one
// pending HUP stands for many, and after the second stop signal a further one changes
// nothing. The runtime keeps one bit for each signal that it has not passed on:
// real-time signals do not queue here, they merge as the others do.
//
// Not caught, and so not forwarded, are KILL and STOP, which nobody can catch;
// 32, 33 and 34, which the C libraries' threads use and the Go runtime
// therefore does not catch; and URG and PROF, which the runtime sends to itself.
package signals

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"server-starter/initd/entry"
	_ "server-starter/initd/environment" // its init comes first, as it may execute the program again
	"server-starter/initd/launch"
	"server-starter/initd/processes"
)

var (
	Child  = make(chan os.Signal, 1)
	Hangup = make(chan os.Signal, 1)
	Stop   = make(chan os.Signal, 64)
	Other  = make(chan os.Signal, 256)
)

// Last is the highest signal number of Linux on the architectures served.
const Last = 64

// threads is how many more threads initd may need than it starts with, until it has
// read its settings and knows how many it needs.
const threads = 8

func init() {
	if err := processes.Check(threads); err != nil {
		fmt.Fprintln(os.Stderr, "initd: "+err.Error())
		os.Exit(125) // initd could not set itself up
	}
	// initd does nothing in parallel. With more processors the runtime would want a thread
	// for each idle one when a signal arrives, where a limit may allow none any more, and
	// use more memory and wake up more often on larger machines.
	runtime.GOMAXPROCS(1)
	// To catch a signal takes two switches between threads, and twice as many from a
	// goroutine that is bound to a thread, as init's is.
	vital := make(chan struct{})
	go catch(vital)
	<-vital
	for _, s := range entry.Early() {
		channel := Stop
		if s == syscall.SIGHUP {
			channel = Hangup
		}
		select {
		case channel <- s:
		default: // one is there
		}
	}
}

// catch catches all signals, and closes vital when none can end initd or
// suspend it any more. For the millisecond until the others, two thirds of all,
// are caught too, the runtime drops them.
func catch(vital chan<- struct{}) {
	signal.Notify(Stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	signal.Notify(Hangup, syscall.SIGHUP)
	signal.Notify(Child, syscall.SIGCHLD)
	// Caught and dropped: what the kernel sends to a process whose write has failed;
	// for XFSZ see setrlimit(2). If they were ignored, the workers would ignore them,
	// too, and by default a broken stderr would end initd.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ)

	var deadly, others []os.Signal
	for n := syscall.Signal(1); n <= Last; n++ {
		switch {
		case Catchable(n) && deadlyToGo(n):
			deadly = append(deadly, n)
		case Catchable(n):
			others = append(others, n)
		}
	}
	signal.Notify(Other, deadly...)
	close(vital)
	signal.Notify(Other, others...)
}

// Release gives all signals their default actions again, also those that have arrived
// but were not received yet. It is for a process that has nothing to clean up.
func Release() {
	signal.Reset()
	for _, s := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		launch.Default(s)
	}
	for _, channel := range []chan os.Signal{Stop, Hangup} {
		select {
		case s := <-channel:
			syscall.Kill(os.Getpid(), s.(syscall.Signal))
		default:
		}
	}
}

// deadlyToGo reports whether a signal ends or suspends a Go program that has
// not asked for it; os/signal.
func deadlyToGo(n syscall.Signal) bool {
	switch n {
	case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE,
		syscall.SIGSEGV, syscall.SIGSTKFLT, syscall.SIGSYS,
		syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		return true
	}
	return false
}

// Catchable reports whether a signal arrives on the channel Other. Of these
// the machine keeps TSTP, TTIN and TTOU for initd itself: with their defaults they
// would suspend it. A terminal sends them; TTIN and TTOU also change the size of a
// pool.
func Catchable(n syscall.Signal) bool {
	switch n {
	case syscall.SIGCHLD, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGXFSZ,
		syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGURG, syscall.SIGPROF, 32, 33, 34:
		return false
	}
	return 0 < n && n <= Last
}
