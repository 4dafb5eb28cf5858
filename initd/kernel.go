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
	reap     func(each func(reaper.Exit)) (children bool) // all that have ended, were suspended or continued; whether any child is left
	children func() ([]int, error)                        // the pids of all children

	processes func() ([]int, error)        // the pids of all processes in the pid namespace
	stat      func(int) (proc.Stat, error) // what a process is doing
}

// newKernel returns the kernel itself.
func newKernel() kernel {
	const options = syscall.WUNTRACED | syscall.WCONTINUED
	return kernel{
		now:      time.Now,
		start:    launch.Start,
		kill:     syscall.Kill,
		reap:     func(each func(reaper.Exit)) bool { return reaper.Drain(options, each) },
		children: reaper.Children,

		processes: new(proc.Reader).Processes,
		stat:      new(proc.Reader).Stat,
	}
}
