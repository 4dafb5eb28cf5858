package socket

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// A group is the sockets of one address, one for each slot (SO_REUSEPORT,
// socket(7)). Each has a queue of its own. The kernel has them in an array, and
// it is by the place in there that one is chosen for a new connection: a socket
// that begins to listen (TCP) or is bound (UDP) comes last, and for one that
// leaves, the last takes its place (linux/net/core/sock_reuseport.c,
// reuseport_add_sock, reuseport_detach_sock).
type group struct {
	fds    []int // by slot
	places []int // the slot in each place of the kernel's array, or unknown
	adrift []int // the slots whose sockets are in the unknown places
}

const unknown = -1

// of is initd's file descriptor of the socket that slot has. A slot for which
// there is none, as Grow failed, shares that of another.
func (l Listener) of(slot int) int {
	if l.group == nil {
		return l.FD
	}
	return l.group.fds[slot%len(l.group.fds)]
}

// split gives each slot a socket of its own. What was bound and listens by now
// did so without SO_REUSEPORT: the kernel has made sure that nobody else has the
// address, be it a group of the same user. Only then are others let in.
func (s *Set) split(specs []Spec) error {
	for i := range s.listeners {
		if l := &s.listeners[i]; !l.adopted && l.at.IsValid() {
			if err := reusePort(l.FD); err != nil {
				return fail(specs[i], l.Address, err)
			}
			l.group = &group{fds: []int{l.FD}, places: []int{0}}
		}
	}
	if err := s.grow(max(s.options.Slots, 1)); err != nil {
		return err
	}
	// A datagram has to find the same socket from the first one on.
	s.seed = randomSeed()
	s.Steer(nil)
	return nil
}

func reusePort(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// Grow makes sockets for slots that have none yet, up to so many. Nothing new
// comes to them before the next Steer, if steering works. After an error, slots
// without a socket share those of others.
func (s *Set) Grow(slots int) error {
	if len(s.chosen) == 0 {
		for slot := range s.Slots() {
			s.chosen = append(s.chosen, slot)
		}
	}
	return s.grow(slots)
}

func (s *Set) grow(slots int) error {
	if err := s.room(slots); err != nil {
		return err
	}
	for i := range s.listeners {
		l := &s.listeners[i]
		for l.group != nil && len(l.group.fds) < slots {
			if err := l.join(s.options.Backlog); err != nil {
				return fmt.Errorf("listen %s %s for slot %d: %w", l.Network, l.Address, len(l.group.fds), err)
			}
		}
	}
	return nil
}

// Slots is how many slots have sockets of their own.
func (s *Set) Slots() (n int) {
	for _, l := range s.listeners {
		if l.group != nil {
			n = max(n, len(l.group.fds))
		}
	}
	return n
}

// room sees to it that the sockets of so many slots leave initd some
// descriptors: a pipe for the start of each worker, one for each of the
// worker's on its way to its number (see number), and its own.
func (s *Set) room(slots int) error {
	groups, more, top := 0, 0, 0
	for _, l := range s.listeners {
		top = max(top, l.FD)
		if l.group != nil {
			groups++
			more += max(slots-len(l.group.fds), 0)
			top = max(top, slices.Max(l.group.fds))
		}
	}
	if more == 0 {
		return nil
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	if need := uint64(top + more + slots + len(s.listeners) + 16); need > limit.Cur {
		return fmt.Errorf("SERVER_STARTER_REUSE_PORT (--reuse-port): %d slots with %d sockets each need a limit of %d open files, and it is %d; "+
			"have fewer workers or raise it (ulimit -n, docker run --ulimit nofile=%d)", slots, groups, need, limit.Cur, need)
	}
	return nil
}

// join adds a socket for the next slot.
func (l *Listener) join(backlog int) error {
	fd, _, err := bindInet(l.Network, l.at, true)
	if err != nil {
		return err
	}
	if l.Network == "tcp" {
		if err := unix.Listen(fd, backlog); err != nil {
			unix.Close(fd)
			return err
		}
	}
	l.group.places = append(l.group.places, len(l.group.fds))
	l.group.fds = append(l.group.fds, fd)
	return nil
}

// live is a socket that is in the group: options of the group set on one that
// was shut down would only be its own.
func (g *group) live() int {
	for _, fd := range g.fds {
		if _, found := inspect(fd); found {
			return fd
		}
	}
	return g.fds[0]
}

// relisten mends what was shut down and returns the slots of it.
func (g *group) relisten(backlog int) (mended []int, err error) {
	var dead []int
	for slot, fd := range g.fds {
		if !accepting(fd) {
			dead = append(dead, slot)
		}
	}
	g.leave(dead)
	for _, slot := range dead {
		if e := listenAgain(g.fds[slot], backlog); e != nil {
			err = cmp.Or(err, fmt.Errorf("slot %d: %w", slot, e))
			continue
		}
		g.places = append(g.places, slot)
		mended = append(mended, slot)
	}
	return mended, err
}

// leave takes note that the sockets of dead have left the group, which they may
// have done before. In which order they went nobody has seen. Of n that are left
// those in the first n places have not moved whatever it was, for what moves
// comes from the end. The others are in the gaps: where there is more than one,
// it is not known which is where.
func (g *group) leave(dead []int) {
	gone := func(slot int) bool { return slices.Contains(dead, slot) }
	g.adrift = slices.DeleteFunc(g.adrift, gone)
	n := len(g.adrift)
	for _, slot := range g.places {
		if slot != unknown && !gone(slot) {
			n++
		}
	}
	for place, slot := range g.places {
		switch {
		case slot == unknown:
		case gone(slot):
			g.places[place] = unknown
		case place >= n:
			g.adrift = append(g.adrift, slot)
		}
	}
	g.places = g.places[:n]
	if len(g.adrift) == 1 {
		g.places[slices.Index(g.places, unknown)] = g.adrift[0]
		g.adrift = nil
	}
}

// Notes are what a user should know who has asked for ReusePort, a sentence
// each: the listeners on which it has no effect, and that the kernel cannot be
// told which sockets to choose.
func (s *Set) Notes() (notes []string) {
	if !s.options.ReusePort {
		return nil
	}
	for _, l := range s.listeners {
		why := "only TCP and UDP have it"
		switch {
		case l.group != nil:
			continue
		case l.adopted:
			why = "it was handed down and not bound here"
		}
		notes = append(notes, fmt.Sprintf("reuse-port has no effect on the listener %s, which all workers share: %s", l.Key, why))
	}
	if s.unsteered != nil {
		notes = append(notes, s.unsteered.Error())
	}
	return notes
}

var errUnsteered = errors.New("reuse-port: the kernel chooses among the sockets of all slots, also of those without a worker")
