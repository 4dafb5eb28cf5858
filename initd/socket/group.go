package socket

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// A group is the sockets of one address, one for each slot (SO_REUSEPORT,
// socket(7)). Each has a queue of its own. The kernel keeps them in an array, and a
// program chooses among them by their places in it: a socket that begins to listen
// (TCP) or is bound (UDP) comes last, and when one is removed, the last takes its
// place (linux/net/core/sock_reuseport.c, reuseport_add_sock, reuseport_detach_sock).
type group struct {
	fds    []int // by slot
	places []int // the slot in each place of the kernel's array, or unknown
	lost   []int // the slots whose sockets are in the unknown places
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

// split gives each slot a socket of its own. The first was bound without
// SO_REUSEPORT and listens by now: so the kernel has made sure that nobody else has
// the address, not even a group of the same user. Only then may others join it.
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

// Grow makes sockets for slots that have none yet, so that slots have one each.
// No new connections go to them before the next Steer, if steering works. After an
// error, slots without a socket share those of others.
func (s *Set) Grow(slots int) error {
	if s == nil {
		return nil
	}
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
	for _, l := range s.all() {
		if l.group != nil {
			n = max(n, len(l.group.fds))
		}
	}
	return n
}

// room returns an error if the sockets of so many slots would not leave initd enough
// descriptors: a pipe for the start of each worker, one for each listener on its way
// to the worker's number (see number), and its own.
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
		return fmt.Errorf("SERVER_STARTER_REUSE_PORT (--reuse-port): %d slots with %d sockets each need a limit of %d open files, but it is %d; "+
			"use fewer workers, or raise it (ulimit -n, docker run --ulimit nofile=%d)", slots, groups, need, limit.Cur, need)
	}
	return nil
}

// join adds a socket for the next slot.
func (l *Listener) join(backlog int) error {
	fd, _, err := bindInet(l.Network, l.at, l.dual, true)
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

// live returns a socket that is in the group: an option of the group that is set on
// one that was shut down would be in force for that one only.
func (g *group) live() int {
	for _, fd := range g.fds {
		if _, found := inspect(fd); found {
			return fd
		}
	}
	return g.fds[0]
}

// relisten makes those listen again that were shut down, and returns their slots.
func (g *group) relisten(backlog int) (mended []int, err error) {
	var dead []int
	for slot, fd := range g.fds {
		if !accepting(fd) {
			dead = append(dead, slot)
		}
	}
	g.remove(dead)
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

// remove notes that the sockets of the slots dead are no longer in the group; some
// may have been removed before. In which order the kernel removed them is not known.
// If n are left, those among them that were in the first n places have not moved
// whatever the order was, for only the last one ever moves. The others are in the
// gaps: if there is more than one, it is not known which is where.
func (g *group) remove(dead []int) {
	gone := func(slot int) bool { return slices.Contains(dead, slot) }
	g.lost = slices.DeleteFunc(g.lost, gone)
	n := len(g.lost)
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
			g.lost = append(g.lost, slot)
		}
	}
	g.places = g.places[:n]
	if len(g.lost) == 1 {
		g.places[slices.Index(g.places, unknown)] = g.lost[0]
		g.lost = nil
	}
}

// Notes are what a user should know, a sentence each: the listeners that are for IPv4
// alone, and with ReusePort those on which it has no effect, and that connections cannot
// be steered.
func (s *Set) Notes() (notes []string) {
	for _, l := range s.all() {
		if l.host == everywhere {
			notes = append(notes, fmt.Sprintf("%s: there is no IPv6 here (%v), so it listens on %s", l.Key, unix.EAFNOSUPPORT, l.Address))
		}
	}
	if s == nil || !s.options.ReusePort {
		return notes
	}
	for _, l := range s.listeners {
		why := "only TCP and UDP support it"
		switch {
		case l.group != nil:
			continue
		case l.adopted:
			why = "it was inherited, not bound by initd"
		}
		notes = append(notes, fmt.Sprintf("reuse-port has no effect on listener %s, which all workers share: %s", l.Key, why))
	}
	if s.unsteered != nil {
		notes = append(notes, s.unsteered.Error())
	}
	return notes
}

var errUnsteered = errors.New("reuse-port: the kernel chooses among the sockets of all slots, including those without a worker")
