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
	// Restored means that the path of a unix socket had been removed, and is there again.
	Restored bool
	// Replaced means that it is a new socket, which workers get that are started
	// from now on; those that run hold the dead one, until a swap.
	Replaced bool
}

// Relisten mends the stream listeners that a worker shut down, by shutdown(2), which
// is so for everyone that holds them. Connections that were queued are lost. It restores
// the paths of unix sockets that were removed, as some servers do when they end. It is
// to be called after a worker has ended, and before others are started. The error joins
// one for each listener that could not be mended, and that of Steer, which is done again.
func (s *Set) Relisten() ([]Mended, error) { return s.relisten(func(*Listener) bool { return true }) }

// RestorePaths does what Relisten does for unix sockets alone. It costs nothing where
// there are none.
func (s *Set) RestorePaths() ([]Mended, error) {
	return s.relisten(func(l *Listener) bool { return l.node.path != "" })
}

func (s *Set) relisten(concerns func(*Listener) bool) ([]Mended, error) {
	if s == nil || s.inodes != nil {
		return nil, nil // or released: there is nobody to accept
	}
	var mended []Mended
	var errs []error
	again := false
	for i := range s.listeners {
		l := &s.listeners[i]
		if !concerns(l) {
			continue
		}
		var err error
		m := Mended{Key: l.Key, Slot: -1}
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
		case l.Network == "unix":
			was, failure := l.mend(s.options)
			if err = failure; err == nil && was == intact {
				continue
			}
			m.Restored, m.Replaced = was == restored, was == replaced
		default:
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("listen %s %s again: %w", l.Network, l.Address, err))
			continue
		}
		mended = append(mended, m)
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

// repaired is what became of the file of a unix listener.
type repaired int

const (
	intact   repaired = iota // it is there, or that is not known yet
	restored                 // its path was removed, and is there again
	replaced                 // there is a new socket
)

// repair is what became of a unix listener, and its new socket where it was replaced.
type repair struct {
	was  repaired
	fd   int
	node node
	err  error
}

// repairLimit is how long a repair is waited for: the file may be on a file system that
// hangs. It is taken later then, when Relisten is called again.
const repairLimit = 100 * time.Millisecond

// mend makes a new socket in place of a unix one that was shut down, with the same path
// and initd's same file descriptor. An abstract name cannot be bound again while anyone
// holds the dead socket, and an adopted path is not initd's. A socket that was not shut
// down gets its path back if that was removed. Where the file has no other name, it is
// replaced, unless it is alone.
func (l *Listener) mend(o Options) (repaired, error) {
	n, dead := l.node, hungUp(l.FD)
	switch {
	case n.path == "" && dead:
		return intact, errors.New("a worker shut it down, which cannot be undone; restart initd")
	case n.path == "":
		return intact, nil
	}
	return l.repair(o, func() (r repair) {
		if dead {
			return n.replace(o)
		}
		if n.there() {
			return r
		}
		switch r.err = n.restore(); {
		case r.err == nil:
			r.was = restored
		case r.err == errNoSpare && !o.Alone:
			return n.replace(o)
		}
		return r
	})
}

// repair has a goroutine do what may block for ever, one at a time.
func (l *Listener) repair(o Options, do func() repair) (repaired, error) {
	late := make(<-chan time.Time)
	if l.repairing == nil {
		repairing := make(chan repair, 1)
		l.repairing, late = repairing, time.After(repairLimit)
		o.Start(func() { repairing <- do() })
	} else if len(l.repairing) == 0 {
		return intact, nil // which was reported
	}
	var r repair
	select {
	case r = <-l.repairing:
	case <-late:
		return intact, fmt.Errorf("%s has not been repaired within %v: does the file system hang?", l.node.path, repairLimit)
	}
	l.repairing = nil
	if r.was != replaced || r.err != nil {
		return r.was, r.err
	}
	defer unix.Close(r.fd)
	if err := unix.Dup3(r.fd, l.FD, unix.O_CLOEXEC); err != nil {
		return intact, errors.Join(err, r.node.discard())
	}
	l.node.close()
	l.node = r.node
	return replaced, nil
}

// replace makes a new socket with the path of a dead one. It may block for ever.
func (n node) replace(o Options) (r repair) {
	if r.err = n.remove(); r.err != nil {
		return r
	}
	if r.fd, r.node, r.err = n.in.make(n.in.bind, o); r.err != nil {
		r.err = errors.Join(r.err, r.node.remove())
		return r
	}
	if r.err = unix.Listen(r.fd, o.Backlog); r.err != nil {
		unix.Close(r.fd)
		r.err = errors.Join(r.err, r.node.discard())
		return r
	}
	r.was = replaced
	return r
}
