package output

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stream is a file descriptor that other processes have, too: one that initd was
// started with, or a pipe's. So its flags are not initd's to change.
type Stream struct {
	fd       int
	terminal bool
}

// NewStream returns the stream at a file descriptor, which may be a broken one.
func NewStream(fd int) Stream {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS) // isatty(3)
	return Stream{fd, err == nil}
}

// IsTerminal reports whether it leads to one.
func (s Stream) IsTerminal() bool { return s.terminal }

// Give lets processes of a user open the stream by name, /dev/stderr for instance,
// which takes the rights of a new open(2). Only what is nobody else's file is given: the
// terminal of a container, as `docker run --user` does (runc, fixStdioPermissions), and a
// pipe without a name. That does not become the user's, who could then read what others
// write to it: to be written to, or stdin to be read, is all that it is for. Where it is
// not possible it stays as it is.
func (s Stream) Give(uid int) {
	if s.terminal && os.Getpid() == 1 {
		unix.Fchown(s.fd, uid, -1)
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Fstatfs(s.fd, &fs) != nil || fs.Type != unix.PIPEFS_MAGIC || unix.Fstat(s.fd, &st) != nil {
		return
	}
	use := uint32(0o022)
	if s.fd == 0 {
		use = 0o044
	}
	unix.Fchmod(s.fd, st.Mode&0o777|use)
}

// Write writes all of the text, or returns why it has given up: the descriptor is
// broken. It may block for ever, and the caller's thread with it.
func (s Stream) Write(text []byte) (int, error) {
	if s.terminal {
		defer holdTTOU()()
	}
	for written := 0; ; {
		n, err := syscall.Write(s.fd, text[written:])
		if written += max(n, 0); written == len(text) {
			return written, nil
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			// A worker has made the shared description non-blocking.
			unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, -1)
		default:
			return written, err
		}
	}
}

// holdTTOU lets the calling thread write to a terminal that another job has. With
// `stty tostop` a write from the background brings a TTOU, and where that is
// caught the kernel tries the write again, for ever, unless the thread blocks the
// signal: setpgid(2), termios(3).
func holdTTOU() (release func()) {
	runtime.LockOSThread()
	var ttou, before unix.Sigset_t
	ttou.Val[0] = 1 << (unix.SIGTTOU - 1)
	unix.PthreadSigmask(unix.SIG_BLOCK, &ttou, &before)
	return func() {
		unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
		runtime.UnlockOSThread()
	}
}
