package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Options are how Open makes sockets.
type Options struct {
	Backlog  int         // of listen(2); 0 is the kernel's net.core.somaxconn
	Mode     fs.FileMode // permission bits of unix sockets, applied exactly
	UID, GID int         // owner of unix sockets, -1 leaves initd's own
	Environ  []string    // the environment initd was started with: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES

	Context context.Context // gives up the look-up of host names; nil: that has its own limit alone

	// Elsewhere adopts a socket that a Spec names by =fd wherever it is bound, and
	// shows it to workers as if it were at the Spec's address. It is for an initd
	// that is being checked, whose sockets must not be the real ones.
	Elsewhere bool

	// Alone is for sockets that no worker has, but a goroutine of initd's accepts on: none
	// can be replaced by another.
	Alone bool
	Start func(func()) // starts a goroutine; nil: it is waited for

	// ReusePort gives each of the Slots, at least 1, a socket of its own of
	// every TCP and UDP listener that is bound here. See Steer.
	ReusePort bool
	Slots     int
}

// A Listener is a socket that initd holds for its workers.
type Listener struct {
	Key     string // its name in SERVER_STARTER_PORT: the text given, port 0 replaced
	Network string // "tcp", "udp", "unix"; by LISTEN_FDS also "unixgram", "unixpacket", and "" for what is no listening socket
	Address string // as bound: "0.0.0.0:8080", "[::1]:8080", "/run/app.sock", "@name"
	FD      int    // initd's file descriptor; with ReusePort that of slot 0
	Number  int    // the worker's file descriptor

	host    string         // as a Spec gave it, for the protocol that compares texts
	name    string         // in LISTEN_FDNAMES, if it was handed down with one
	at      netip.AddrPort // the address of tcp and udp
	dual    bool           // it is for IPv4, too, although the address is of IPv6
	adopted bool
	node    node // the file that was made for a unix socket

	repairing chan repair // of a unix socket, when it is done; nil: none is under way

	group *group // the sockets of all slots; nil: they share FD
}

// A Set is all listeners. Its methods are for one goroutine. A nil *Set has none.
type Set struct {
	listeners []Listener
	options   Options
	chosen    []int    // the slots that new connections go to; none: all
	seed      uint32   // of the hash by which datagrams are spread
	unsteered error    // why the kernel chooses among the slots; nil: Steer does
	inodes    []uint32 // of the sockets that were open until Release; nil: they are
}

// Open makes the listeners of specs, in their order, or adopts them: one whose
// =fd is open in this process as a socket on the Spec's address, or one that
// came by LISTEN_FDS with that address. What else came by LISTEN_FDS becomes a
// further listener. Every address is bound before the first one listens, and is
// initd's alone before ReusePort lets further sockets in. On an error all that
// Open made is closed and unlinked again; the error names the setting, the item,
// the reason and what to do, and wraps the errno.
//
// Relative paths are those of the working directory at this moment.
func Open(specs []Spec, o Options) (*Set, error) {
	if o.Backlog <= 0 {
		o.Backlog = math.MaxInt32 // listen(2) cuts it down to somaxconn
	}
	if o.Start == nil {
		o.Start = func(f func()) { f() }
	}
	set := &Set{options: o}
	if err := set.open(specs); err != nil {
		return nil, errors.Join(err, set.Close())
	}
	return set, nil
}

func (s *Set) open(specs []Spec) error {
	if err := Distinct(specs); err != nil {
		return err
	}
	rest, err := handed(s.options.Environ)
	if err != nil {
		return err
	}
	// Open descriptors are looked for under the numbers of =fd before the first
	// socket is made here, which could get one of these numbers.
	at := make([]netip.AddrPort, len(specs))
	s.listeners = slices.Repeat([]Listener{{FD: -1}}, len(specs))
	for i, spec := range specs {
		if spec.Network != "unix" {
			if at[i], err = resolve(s.options.Context, spec); err != nil {
				return fail(spec, "", err)
			}
		}
		s.listeners[i] = adopt(spec, at[i], &rest, s.options.Elsewhere)
	}
	for i, spec := range specs {
		l := &s.listeners[i]
		if !l.adopted {
			if err := l.bind(spec, at[i], s.options); err != nil {
				return err
			}
		}
		if spec.Network != "unix" {
			spec.Port = int(l.at.Port())
		}
		l.Key, l.Number, l.host = spec.Key(), spec.FD, cmp.Or(spec.Host, "0.0.0.0")
		if l.dual {
			l.host = "::"
		}
	}
	s.further(rest)
	if err := s.number(); err != nil {
		return err
	}
	if err := s.listen(specs); err != nil || !s.options.ReusePort {
		return err
	}
	return s.split(specs)
}

// listen makes the sockets listen that were made for specs.
func (s *Set) listen(specs []Spec) error {
	for i, l := range s.listeners {
		if l.adopted {
			unix.CloseOnExec(l.FD)
			continue
		}
		if l.Network == "udp" {
			continue
		}
		err := unix.Listen(l.FD, s.options.Backlog)
		// Between bind and listen another initd may have removed the file as a
		// stale one.
		if err == nil && l.node.path != "" && !l.node.there() {
			err = errReplaced
		}
		if err != nil {
			return fail(specs[i], l.Address, err)
		}
	}
	return nil
}

// Distinct returns an error if two specs have one file descriptor or one address.
func Distinct(specs []Spec) error {
	for i, spec := range specs {
		for _, other := range specs[:i] {
			if spec.FD >= 0 && spec.FD == other.FD {
				return fmt.Errorf("%s %q: file descriptor %d is already used by %q; use another number, or none",
					spec.setting(), spec, spec.FD, other)
			}
			if spec.Network == other.Network && spec.Key() == other.Key() && (spec.Network == "unix" || spec.Port != 0) {
				return fmt.Errorf("%s %q: %w: it is listed twice", spec.setting(), spec, unix.EADDRINUSE)
			}
		}
	}
	return nil
}

// adopt finds the socket that spec asks for among the open descriptors, and removes
// it from rest, which came by LISTEN_FDS.
func adopt(spec Spec, at netip.AddrPort, rest *[]Listener, elsewhere bool) Listener {
	l, named := inspect(spec.FD)
	if named && elsewhere && l.Network == spec.Network {
		l.pretend(spec, at)
	}
	named = named && l.is(spec, at, true)
	i := slices.IndexFunc(*rest, func(other Listener) bool {
		return named && other.FD == l.FD || !named && other.is(spec, at, false)
	})
	if i >= 0 {
		l = (*rest)[i]
		*rest = slices.Delete(*rest, i, i+1)
	} else if !named {
		return Listener{FD: -1}
	}
	l.adopted = true
	return l
}

// pretend gives l the address that spec asks for, unless its port is 0, which is any.
func (l *Listener) pretend(spec Spec, at netip.AddrPort) {
	switch {
	case spec.Network == "unix":
		l.Address = spec.Path
	case at.Port() != 0:
		l.at, l.Address, l.dual = at, at.String(), spec.Host == everywhere
	}
}

// bind makes the socket of spec, which does not listen yet.
func (l *Listener) bind(spec Spec, at netip.AddrPort, o Options) (err error) {
	if spec.Handed {
		return fmt.Errorf("%s %q: file descriptor %d is not a unix socket listening at %s; a path belongs in %s",
			spec.setting(), spec, spec.FD, spec.Path, setting(true))
	}
	l.Network = spec.Network
	if spec.Network == "unix" {
		l.Address = spec.Path
		l.FD, l.node, err = bindUnix(spec.Path, o)
	} else {
		l.dual = spec.Host == everywhere
		l.FD, l.at, err = bindInet(spec.Network, at, l.dual, false)
		if l.dual && err == unix.EAFNOSUPPORT { // ipv6.disable=1, or a kernel without
			l.dual = false
			l.FD, l.at, err = bindInet(spec.Network, netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()), false, false)
		}
		l.Address = l.at.String()
	}
	if err != nil {
		return fail(spec, l.Address, err)
	}
	return nil
}

// further appends what came by LISTEN_FDS and no Spec asked for. Its key is its
// name there, or its address where the name cannot be a key or is not unique.
func (s *Set) further(rest []Listener) {
	for _, l := range rest {
		l.adopted, l.Number, l.Key = true, -1, l.name
		taken := func(other Listener) bool { return other.FD != l.FD && (other.name == l.name || other.Key == l.name) }
		if l.name == "" || l.name == "unknown" || strings.ContainsAny(l.name, "=;\n") ||
			slices.ContainsFunc(rest, taken) || slices.ContainsFunc(s.listeners, taken) {
			l.Key = strings.NewReplacer("=", "_", ";", "_", "\n", "_").Replace(l.Address)
		}
		s.listeners = append(s.listeners, l)
	}
}

// number assigns the worker's file descriptors that no Spec gave: from 3 up, around
// the given ones.
func (s *Set) number() error {
	taken := map[int]bool{}
	top := 0
	for _, l := range s.listeners {
		taken[l.Number] = true
		top = max(top, l.Number)
	}
	next := listenFDsStart
	for i := range s.listeners {
		if s.listeners[i].Number >= 0 {
			continue
		}
		for taken[next] {
			next++
		}
		s.listeners[i].Number = next
		top = max(top, next)
		next++
	}
	// syscall.ForkExec moves descriptors that are in the way above the highest
	// of the child, at most one for each, and needs a few of its own.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	if need := uint64(top + len(s.listeners) + 16); need > limit.Cur {
		return fmt.Errorf("file descriptor %d of a worker needs a limit of %d open files, but it is %d; use lower numbers, or raise it (ulimit -n, docker run --ulimit nofile=%d)",
			top, need, limit.Cur, need)
	}
	return nil
}

// Len is the number of listeners.
func (s *Set) Len() int { return len(s.all()) }

// All is a copy of the listeners, in order: those of the Specs, then those that
// came by LISTEN_FDS.
func (s *Set) All() []Listener { return slices.Clone(s.all()) }

func (s *Set) all() []Listener {
	if s == nil {
		return nil
	}
	return s.listeners
}

// Files is the descriptor table, for syscall.ProcAttr, of a worker in slot: the
// index is the worker's number, the value initd's, or ^uintptr(0) for one that
// stays closed. 0, 1 and 2 are initd's own, unless a listener was given number
// 0. The numbers are the same for all slots.
func (s *Set) Files(slot int) []uintptr {
	files := []uintptr{0, 1, 2}
	for _, l := range s.all() {
		for len(files) <= l.Number {
			files = append(files, ^uintptr(0))
		}
		files[l.Number] = uintptr(l.of(slot))
	}
	return files
}

// Release closes initd's own descriptors of all listeners, adopted ones as well. An
// address is open as long as a worker has it open. What All returns stays, and so do
// the files of unix sockets, until Close.
func (s *Set) Release() {
	if s == nil {
		return
	}
	s.inodes = s.Inodes()
	for i := range s.listeners {
		l := &s.listeners[i]
		if l.group != nil {
			for _, fd := range l.group.fds[1:] {
				unix.Close(fd)
			}
			l.group = nil
		}
		unix.Close(l.FD)
		l.FD = -1
	}
}

// Inodes are those of all sockets, as proc.Reader.Sockets has them, also after
// Release.
func (s *Set) Inodes() (inodes []uint32) {
	if s != nil && s.inodes != nil {
		return s.inodes
	}
	for _, l := range s.all() {
		fds := []int{l.FD}
		if l.group != nil {
			fds = l.group.fds
		}
		for _, fd := range fds {
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil {
				inodes = append(inodes, uint32(st.Ino))
			}
		}
	}
	return inodes
}

// Close unlinks the files of the unix sockets that Open made, if they still are
// these sockets, and closes all sockets that it made. Adopted ones are left alone.
func (s *Set) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, l := range s.listeners {
		if err := l.node.remove(); err != nil {
			errs = append(errs, err)
		}
		l.node.close()
		l.node.in.close()
		if !l.adopted && l.FD >= 0 {
			unix.Close(l.FD)
		}
		if l.group != nil {
			for _, fd := range l.group.fds[1:] {
				unix.Close(fd)
			}
		}
	}
	s.listeners = nil
	return errors.Join(errs...)
}
