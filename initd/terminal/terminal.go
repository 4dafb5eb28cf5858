// Package terminal is the job control of a plain init: its command runs in a
// process group of its own and in the foreground of the terminal, so that Ctrl-C
// and Ctrl-Z reach the command alone; credentials(7), tcsetpgrp(3).
package terminal

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Terminal is the one that controls initd. A nil Terminal is none: its methods do
// nothing.
type Terminal struct {
	fd      int
	own     int // initd's process group
	command int // the command's; 0: it was not started yet
}

// Open returns the terminal that controls initd, nil where there is none. Whether
// initd may give it away is another question: one that a shell has started in the
// background may come to the foreground later.
//
// The terminal need not be on stdin: a command may read from /dev/tty, tty(4). But in
// a pipeline initd's process group has other programs, such as a pager, which would be
// stopped if they read from the terminal while the command has it. There Open returns
// only a terminal on stdin.
func Open() *Terminal {
	for fd := range 3 {
		if _, err := foreground(fd); err == nil {
			return &Terminal{fd: fd, own: unix.Getpgrp()}
		}
		if fd == 0 && (isPipe(0) || isPipe(1)) {
			return nil
		}
	}
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &Terminal{fd: fd, own: unix.Getpgrp()}
}

func isPipe(fd int) bool {
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFIFO
}

// FD is a descriptor of the terminal, -1 if there is none.
func (t *Terminal) FD() int {
	if t == nil {
		return -1
	}
	return t.fd
}

// IsForeground reports whether initd's own process group is in the foreground.
func (t *Terminal) IsForeground() bool {
	if t == nil {
		return false
	}
	group, err := foreground(t.fd)
	return err == nil && group == t.own
}

// SetCommand notes the process group of the command, which was started.
func (t *Terminal) SetCommand(group int) {
	if t != nil {
		t.command = group
	}
}

// SetForeground puts a process group in the foreground, if initd's own is there.
// That is so when a shell has continued initd by fg, and not after bg.
func (t *Terminal) SetForeground(group int) {
	if t.IsForeground() {
		t.set(group)
	}
}

// Suspend is for a command, given by its process group, that was suspended:
// initd's group follows it, so that a shell sees the job stop. But where initd has
// been brought to the foreground meanwhile, the command was only stopped for not
// being there.
func (t *Terminal) Suspend(group int) {
	switch {
	case t == nil:
	case t.IsForeground():
		t.set(group)
		syscall.Kill(-group, syscall.SIGCONT)
	default:
		syscall.Kill(0, syscall.SIGSTOP)
	}
}

// IsCommand reports whether a process group is the command's.
func (t *Terminal) IsCommand(group int) bool { return t != nil && t.command == group }

// Lend puts a suspended process group in the foreground and continues it, if initd's own
// group is there, and reports whether it is.
func (t *Terminal) Lend(group int) bool {
	if !t.IsForeground() {
		return false
	}
	t.command = group
	t.set(group)
	syscall.Kill(-group, syscall.SIGCONT)
	return true
}

// Restore puts initd's own group in the foreground again after the command's, for
// whoever shares it: a script that goes on after initd could not read from the
// terminal. Where another job has the foreground by now it keeps it.
func (t *Terminal) Restore() {
	if t == nil || t.command == 0 {
		return
	}
	if group, err := foreground(t.fd); err == nil && group == t.command {
		t.set(t.own)
	}
}

// Background reports whether initd has a terminal, on stdin, stdout or stderr,
// whose foreground is another process group's, so that what it writes there may
// bring it a TTOU; tty(4).
func Background() bool {
	for fd := range 3 {
		if group, err := foreground(fd); err == nil {
			return group != unix.Getpgrp()
		}
	}
	return false
}

// foreground is the process group in the foreground of the terminal that a
// descriptor leads to, an error where that does not control this process.
func foreground(fd int) (group int, err error) {
	return unix.IoctlGetInt(fd, unix.TIOCGPGRP)
}

// set is called from the background too, where the terminal answers with a TTOU
// that would suspend initd unless the thread blocks it.
func (t *Terminal) set(group int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (syscall.SIGTTOU - 1)
	unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old)
	unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
	unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
