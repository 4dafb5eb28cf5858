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
	start    func(*launch.Command) (pid int, o outcome, err error)
	kill     func(pid int, signal syscall.Signal) error   // a negative pid: its process group; -1: everything
	reap     func(each func(reaper.Exit)) (children bool) // all that have ended, were suspended or continued; whether any child is left
	children func() ([]int, error)                        // the pids of all children

	processes func() ([]int, error) // the pids of all processes in the pid namespace

	// What /proc has of a process.
	stat    func(pid int) (proc.Stat, error)
	owner   func(pid int) (uid int, err error) // the effective user
	environ func(pid int, names ...string) (values []string, err error)
	sockets func(pid int) (inodes []uint32, err error)
}

// outcome is what becomes of a start, as launch.Outcome has it.
type outcome struct {
	wait  func() error // nil: the program was executed already
	ended func()
	binds func() int // after wait: the descriptor of launch.Outcome.Binds; -1: there is none
}

func start(c *launch.Command) (pid int, o outcome, err error) {
	pid, of, err := launch.Start(c)
	if of != nil {
		o = outcome{of.Wait, of.Ended, of.Binds}
	}
	return pid, o, err
}

// newKernel returns the kernel itself. The function starts a goroutine.
func newKernel(goroutine func(func())) kernel {
	const options = syscall.WUNTRACED | syscall.WCONTINUED
	var r proc.Reader
	l := newLooks(goroutine)
	return kernel{
		now:      time.Now,
		start:    start,
		kill:     syscall.Kill,
		reap:     func(each func(reaper.Exit)) bool { return reaper.Drain(options, each) },
		children: reaper.Children,

		processes: r.Processes,
		stat:      r.Stat,
		owner:     r.User,
		environ: func(pid int, names ...string) ([]string, error) {
			return look(l, func(r *proc.Reader) ([]string, error) { return r.Environ(pid, names...) })
		},
		sockets: func(pid int) ([]uint32, error) {
			return look(l, func(r *proc.Reader) ([]uint32, error) { return r.Sockets(pid, nil) })
		},
	}
}
