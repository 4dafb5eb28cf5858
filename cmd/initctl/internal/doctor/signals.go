package doctor

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// signals are the channels on which signals arrive. A pending SIGCHLD stands for
// any number of children, wait(2), so that one place in its channel is enough.
type signals struct {
	child, stop chan os.Signal
}

// catch catches what ends the examination, and what would end or suspend it in
// the midst of a trial: while suspended its limits would pass, and a write to a
// closed pipe must not leave the program behind.
func catch() *signals {
	s := &signals{child: make(chan os.Signal, 1), stop: make(chan os.Signal, 64)}
	signal.Notify(s.child, syscall.SIGCHLD)
	signal.Notify(s.stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	return s
}

// interrupted is a signal that has ended the examination.
type interrupted syscall.Signal

func (s interrupted) Error() string { return "interrupted by " + unix.SignalName(syscall.Signal(s)) }

// interruption is the error of a signal that arrived.
func interruption(s os.Signal) error { return interrupted(s.(syscall.Signal)) }
