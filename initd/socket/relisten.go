package socket

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A Mended listener accepts connections again.
type Mended struct {
	Key  string // of the Listener
	Slot int    // the slot whose socket it is; -1: all slots share it
	// Replaced means that it is a new socket, which workers get that are started
	// from now on; those that run hold the dead one, until a swap.
	Replaced bool
}

// Relisten mends the stream listeners that a worker shut down, by shutdown(2), which
// is so for everyone that holds them. Connections that were queued are lost. It is to
// be called after a worker has ended. The error joins one for each listener
// that could not be mended, and that of Steer, which is done again.
func (s *Set) Relisten() ([]Mended, error) {
	if s == nil {
		return nil, nil
	}
	var mended []Mended
	var errs []error
	again := false
	for i := range s.listeners {
		l := &s.listeners[i]
		var err error
		switch {
		case l.group != nil && l.Network == "tcp":
			slots, err := l.group.relisten(s.options.Backlog)
			for _, slot := range slots {
				again = true
				mended = append(mended, Mended{Key: l.Key, Slot: slot})
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("listen tcp %s again: %w", l.Address, err))
			}
			continue
		case l.Network == "tcp" && !accepting(l.FD):
			err = listenAgain(l.FD, s.options.Backlog)
		case l.Network == "unix" && hungUp(l.FD):
			var replaced bool
			if replaced, err = l.replace(s.options); !replaced && err == nil {
				continue
			}
		default:
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("listen %s %s again: %w", l.Network, l.Address, err))
			continue
		}
		mended = append(mended, Mended{Key: l.Key, Slot: -1, Replaced: l.Network == "unix"})
	}
	if again {
		errs = append(errs, s.Steer(s.chosen))
	}
	return mended, errors.Join(errs...)
}

// ShutDown reports whether a listener was shut down that a worker in slot has. It costs a
// system call for each listener, however many slots there are.
func (s *Set) ShutDown(slot int) bool {
	return slices.ContainsFunc(s.all(), func(l Listener) bool {
		return l.Network == "tcp" && !accepting(l.of(slot)) || l.Network == "unix" && hungUp(l.FD)
	})
}

// listenAgain revives a TCP listener: shutdown(2) took it back to the state of
// a bound socket.
func listenAgain(fd, backlog int) error {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	// A port that the kernel chose was given back at the shutdown, although
	// getsockname(2) still returns it, and listen(2) would choose another. Where
	// the port was kept, bind(2) fails with EINVAL, or before that with EACCES for
	// a privileged port that another superdaemon bound.
	if err := unix.Bind(fd, sa); err != nil && err != unix.EINVAL && err != unix.EACCES {
		return err
	}
	return unix.Listen(fd, backlog)
}

// hungUp reports whether a unix listener was shut down. The kernel does not
// undo that: the socket keeps its state (SO_ACCEPTCONN stays 1), another
// listen(2) succeeds and changes nothing, and connect(2) is refused for good.
// Only poll(2) shows it, by POLLRDHUP.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLRDHUP != 0
}

// replacement is a new unix socket in place of a dead one.
type replacement struct {
	fd   int
	node node
	err  error
}

// replaceLimit is how long a replacement is waited for: its file may be on a file system
// that hangs. It is taken later then, when Relisten is called again.
const replaceLimit = 100 * time.Millisecond

// replace makes a new socket in place of a dead unix one, with the same path and
// initd's same file descriptor, and reports whether it is there. An abstract name cannot
// be bound again while anyone holds the dead socket, and an adopted path is not initd's.
func (l *Listener) replace(o Options) (replaced bool, err error) {
	if l.node.path == "" {
		return false, errors.New("a worker shut it down, which cannot be undone; restart initd")
	}
	late := make(<-chan time.Time)
	if l.replacing == nil {
		replacing, dead := make(chan replacement, 1), l.node
		l.replacing, late = replacing, time.After(replaceLimit)
		o.Start(func() { replacing <- dead.replace(o) })
	} else if len(l.replacing) == 0 {
		return false, nil // which was reported
	}
	var r replacement
	select {
	case r = <-l.replacing:
	case <-late:
		return false, fmt.Errorf("%s has not been replaced within %v: does the file system hang?", l.node.path, replaceLimit)
	}
	l.replacing = nil
	if r.err == nil {
		defer unix.Close(r.fd)
		if r.err = unix.Dup3(r.fd, l.FD, unix.O_CLOEXEC); r.err != nil {
			r.err = errors.Join(r.err, r.node.remove())
		}
	}
	if r.err != nil {
		return false, r.err
	}
	l.node = r.node
	return true, nil
}

// replace makes a new socket with the path of a dead one. It may block for ever.
func (n node) replace(o Options) (r replacement) {
	if r.err = n.remove(); r.err != nil {
		return r
	}
	if r.fd, r.node, r.err = bindUnix(n.path, o); r.err != nil {
		r.err = errors.Join(r.err, r.node.remove())
		return r
	}
	if r.err = unix.Listen(r.fd, o.Backlog); r.err != nil {
		unix.Close(r.fd)
		r.err = errors.Join(r.err, r.node.remove())
	}
	return r
}
