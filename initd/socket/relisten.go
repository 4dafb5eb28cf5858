package socket

import (
	"errors"
	"fmt"

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
			err = l.replace(s.options)
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

// replace makes a new socket in place of a dead unix one, with the same path and
// initd's same file descriptor. An abstract name cannot be bound again while anyone
// holds the dead socket, and an adopted path is not initd's.
func (l *Listener) replace(o Options) error {
	if l.node.path == "" {
		return errors.New("a worker shut it down, which cannot be undone; restart initd")
	}
	if err := l.node.remove(); err != nil {
		return err
	}
	fd, made, err := l.node.in.make(l.node.in.bind, o)
	if err != nil {
		return errors.Join(err, made.remove())
	}
	defer unix.Close(fd)
	if err = unix.Listen(fd, o.Backlog); err == nil {
		err = unix.Dup3(fd, l.FD, unix.O_CLOEXEC)
	}
	if err != nil {
		return errors.Join(err, made.remove())
	}
	l.node = made
	return nil
}
