// Package accepting finds out, without the help of a program, whether it waits for
// connections: from the system calls in which its threads are blocked, which
// proc_pid_syscall(5) shows with their arguments.
//
//   - accept(2) and accept4(2) name the listener;
//   - poll(2), select(2) and their variants name a set of descriptors, which is read
//     from the process's memory;
//   - epoll_wait(2) names an epoll instance, of which proc_pid_fdinfo(5) shows what
//     it watches;
//   - of a UDP socket also recvmsg(2) and its kind count.
//
// A server that is too busy to wait has a connection that it has accepted, which is
// proof as well. A thread that runs shows nothing, and the process has to be looked at
// again.
//
// A runtime that registers a listener with its epoll instance before the program
// accepts, as Go's does, is taken to accept from then on.
package accepting

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/proc"
	"server-starter/initd/socket"
	"server-starter/initd/survey"
)

// A Worker is one that is looked at: its processes are its descendants, its process
// group, and those that its variables name.
type Worker struct {
	PID, Generation, Slot int
	Listeners             []Listener // that it was given, the same for all workers
}

// A Listener is a socket that a worker was given.
type Listener struct {
	Key       string
	Datagrams bool   // it has no connections
	inode     uint64 // by which the kernel knows the socket
	device    uint64 // of sockfs, as proc_pid_fdinfo(5) has it
	socket    socket.Listener
}

// Listeners are those of a slot that can be accepted from, or received on.
func Listeners(set *socket.Set, slot int) (all []Listener) {
	for i, l := range set.All() {
		fd := set.FD(i, slot)
		var st unix.Stat_t
		if l.Network == "" || unix.Fstat(fd, &st) != nil {
			continue
		}
		all = append(all, Listener{
			Key: l.Key, Datagrams: l.Network == "udp" || l.Network == "unixgram",
			inode: st.Ino, device: uint64(unix.Major(st.Dev))<<20 | uint64(unix.Minor(st.Dev)), socket: l,
		})
	}
	return all
}

// Seen is what was seen of a worker.
type Seen struct {
	Waits []bool // by listener, whether a process of the worker waits for it
	Runs  bool   // a thread was running
	Blind error  // why something could not be seen; nil: everything was
}

// A Looker looks at workers. It is for one goroutine.
type Looker struct {
	Deadline time.Time // of the looks, for a program may have any number of threads that wait for any number of descriptors

	proc     proc.Reader
	members  map[int][]int // processes that belong to a worker and descend from another
	examined map[examined]bool
}

// examined is a descriptor of the process that is looked at, which threads may well
// share, or have in a set more than once.
type examined struct {
	fd int
	as kind
}

// Look looks at a worker.
func (l *Looker) Look(w Worker) Seen {
	s := Seen{Waits: make([]bool, len(w.Listeners))}
	if kinds == nil {
		s.note(errors.ErrUnsupported)
	}
	if self, _ := os.Readlink("/proc/self"); self != strconv.Itoa(os.Getpid()) {
		s.note(errors.New("/proc is not that of initd's pid namespace"))
		return s
	}
	families := slices.Concat([]int{w.PID}, l.members[w.PID])
	var seen []int
	for _, head := range families {
		for _, pid := range l.family(head, &s) {
			if !slices.Contains(seen, pid) && slices.Contains(s.Waits, false) {
				seen = append(seen, pid)
				l.process(pid, w, &s)
			}
		}
	}
	if !slices.Contains(s.Waits, false) {
		return s
	}
	l.connections(w, families, &s)
	if !slices.Contains(s.Waits, true) && s.Blind == nil {
		for _, pid := range seen {
			l.rings(pid, &s)
		}
	}
	return s
}

// family is a process and its descendants.
func (l *Looker) family(pid int, s *Seen) []int {
	return proc.Descendants(pid, func(pid int, pids []int) []int {
		pids, err := l.proc.Children(pid, pids)
		s.note(err)
		return pids
	})
}

// process looks at each thread of a process.
func (l *Looker) process(pid int, w Worker, s *Seen) {
	s.note(l.proc.AsOwner(pid, func() error {
		if err := l.late(pid); err != nil {
			return err
		}
		var calls []call
		runs := false
		l.examined = map[examined]bool{}
		err := l.proc.Calls(pid, func(line []byte) {
			switch c, err := parseCall(line); {
			case err != nil:
				s.note(fmt.Errorf("process %d: %w", pid, err))
			case c.runs:
				runs = true
			default:
				calls = append(calls, c)
			}
		})
		if err != nil {
			return err
		}
		s.Runs = s.Runs || runs
		for _, c := range calls {
			if err := l.call(pid, c, w, s); err != nil && !proc.Gone(err) {
				return err
			}
		}
		return nil
	}))
}

// call takes note of the listeners that a system call waits for.
func (l *Looker) call(pid int, c call, w Worker, s *Seen) error {
	if c.foreign() {
		return fmt.Errorf("process %d is a 32-bit program, whose system calls initd does not know", pid)
	}
	fd := int(int32(c.args[0]))
	switch as := kinds[c.number]; as {
	case accepts, receives:
		return l.waits(pid, examined{fd, as}, w, s)
	case waitsEpoll:
		return l.waits(pid, examined{fd, polls}, w, s)
	case polls, selects:
		set := make([]byte, c.size())
		if len(set) == 0 {
			return nil
		}
		n, err := l.proc.ReadAt(pid, set, c.address())
		if err != nil {
			return err
		}
		for _, fd := range c.descriptors(set[:n]) {
			if err := l.waits(pid, examined{fd, polls}, w, s); err != nil && !proc.Gone(err) {
				return err
			}
		}
	case restarts:
		s.Runs = true // which call it goes on with is not known
	}
	return nil
}

// is reports whether a system call is one for a listener.
func (k kind) is(l Listener) bool {
	return k != accepts && k != receives || l.Datagrams == (k == receives)
}

// late is an error when the deadline is over.
func (l *Looker) late(pid int) error {
	if !l.Deadline.IsZero() && time.Now().After(l.Deadline) {
		return fmt.Errorf("process %d could not be examined in time", pid)
	}
	return nil
}

// waits takes note that a process waits for a descriptor, which may be that of a
// listener or of an epoll instance that watches one, maybe by another that it watches
// (epoll(7)).
func (l *Looker) waits(pid int, on examined, w Worker, s *Seen) error {
	if l.examined[on] {
		return nil
	}
	l.examined[on] = true
	if err := l.late(pid); err != nil {
		return err
	}
	link, err := l.proc.Link(pid, on.fd)
	if err != nil {
		return err
	}
	note := func(which func(Listener) bool) {
		for i, l := range w.Listeners {
			s.Waits[i] = s.Waits[i] || which(l) && on.as.is(l)
		}
	}
	switch {
	case strings.HasPrefix(link, "socket:["):
		note(func(l Listener) bool { return link == fmt.Sprintf("socket:[%d]", l.inode) })
	case link == eventpoll:
		text, err := l.proc.FDInfo(pid, on.fd)
		if err != nil {
			return err
		}
		var others []int // that are no sockets: few
		for t := range targets(text) {
			if t.events&unix.EPOLLIN == 0 {
				continue
			}
			note(func(l Listener) bool { return t.inode == l.inode && t.device == l.device })
			if len(w.Listeners) > 0 && t.device != w.Listeners[0].device {
				others = append(others, t.fd)
			}
		}
		for _, fd := range others {
			if link, err := l.proc.Link(pid, fd); err == nil && link == eventpoll {
				if err := l.waits(pid, examined{fd, polls}, w, s); err != nil && !proc.Gone(err) {
					return err
				}
			}
		}
	}
	return nil
}

// connections takes note of the listeners of which a worker has connections: a slot's
// sockets have one address, and a process gets no connection but by its own accept.
func (l *Looker) connections(w Worker, families []int, s *Seen) {
	for i, listener := range w.Listeners {
		if s.Waits[i] || listener.Datagrams {
			continue
		}
		found, _ := survey.Take(survey.Request{
			Facts: survey.Connections, PIDs: families, Listeners: []socket.Listener{listener.socket}, Descendants: true,
		})
		for _, one := range found {
			s.Waits[i] = s.Waits[i] || one.Known&survey.Connections != 0 && one.Open > 0
		}
	}
}

const (
	eventpoll = "anon_inode:[eventpoll]"
	ring      = "anon_inode:[io_uring]"
)

// rings takes note of io_uring(7), by which a process can accept without a system call
// that would show it.
func (l *Looker) rings(pid int, s *Seen) {
	s.note(l.proc.AsOwner(pid, func() error {
		has := false
		err := l.proc.Links(pid, func(link string) { has = has || link == ring })
		if err == nil && has {
			err = fmt.Errorf("process %d uses io_uring, which does not show what it waits for", pid)
		}
		return err
	}))
}

// note keeps the first error that is not about a process that has ended.
func (s *Seen) note(err error) {
	if err == nil || proc.Gone(err) || s.Blind != nil {
		return
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w (initd may look at programs of its own user and, as root, at those of others, but not at one that changed its user itself, unless it has the capability SYS_PTRACE)", err)
	case errors.Is(err, errors.ErrUnsupported):
		err = fmt.Errorf("%w: this kernel does not show in which system call a process waits", err)
	}
	s.Blind = err
}
