package initd

import (
	"syscall"
	"time"

	"server-starter/initd/launch"
	"server-starter/initd/proc"
	"server-starter/reaper"
)

// kernel is what the loop needs of the operating system, and nothing else.
// Tests have a kernel of their own, with virtual processes and time.
type kernel struct {
	now      func() time.Time
	start    func(*launch.Command) (pid int, outcome <-chan error, err error)
	kill     func(pid int, signal syscall.Signal) error   // a negative pid: its process group; -1: everything
	reap     func(each func(reaper.Exit)) (children bool) // all that have ended; whether any child is left
	children func() ([]int, error)                        // the pids of all children
	owner    func(pid int) (uid int, err error)           // the effective user of a process
}

// newKernel returns the kernel itself. With stopped, reap also hands on children
// that were stopped; wait(2), WUNTRACED.
func newKernel(stopped bool) kernel {
	options := 0
	if stopped {
		options = syscall.WUNTRACED
	}
	return kernel{
		now:      time.Now,
		start:    launch.Start,
		kill:     syscall.Kill,
		reap:     func(each func(reaper.Exit)) bool { return reaper.Drain(options, each) },
		children: reaper.Children,
		owner:    new(proc.Reader).User,
	}
}
