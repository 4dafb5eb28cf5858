package initd

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is the job control of a plain init: its command runs in a process
// group of its own and in the foreground of the terminal, so that Ctrl-C and
// Ctrl-Z reach the command alone; credentials(7), tcsetpgrp(3).
type terminal struct {
	own     int // initd's process group
	command int // the command's
}

// openTerminal returns the terminal on stdin, nil where there is none that
// controls initd. Whether initd may give it away is another question: one that
// a shell has started in the background may come to the foreground later.
func openTerminal() *terminal {
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err != nil {
		return nil
	}
	return &terminal{own: unix.Getpgrp()}
}

// isOurs reports whether initd's own group is in the foreground.
func (t *terminal) isOurs() bool {
	if t == nil {
		return false
	}
	foreground, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil && foreground == t.own
}

// give puts a process group in the foreground, if initd's own is there. That
// is so when a shell has continued initd by fg, and not after bg.
func (t *terminal) give(group int) {
	if t.isOurs() {
		t.set(group)
	}
}

// suspend is for a command that was suspended: initd's group follows it, so
// that a shell sees the job stop. But where initd has been brought to the
// foreground meanwhile, the command was only stopped for not being there.
func (t *terminal) suspend(group int) {
	if t.isOurs() {
		t.set(group)
		syscall.Kill(-group, syscall.SIGCONT)
		return
	}
	syscall.Kill(0, syscall.SIGSTOP)
}

// take puts initd's own group in the foreground again after the command's, for
// whoever shares it: a script that goes on after initd could not read from the
// terminal. Where another job has the foreground by now it keeps it.
func (t *terminal) take() {
	if foreground, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil && foreground == t.command {
		t.set(t.own)
	}
}

// set is called from the background too, where the terminal answers with a
// TTOU that would suspend initd unless it is blocked.
func (t *terminal) set(group int) {
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (syscall.SIGTTOU - 1)
	unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old)
	unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group)
	unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}

// inBackground reports whether initd has a terminal whose foreground is another
// process group's, so that what it writes there may bring it a TTOU; tty(4).
func inBackground() bool {
	for fd := range 3 {
		if foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			return foreground != unix.Getpgrp()
		}
	}
	return false
}
