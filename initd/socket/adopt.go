package socket

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// listenFDsStart is where the sockets of LISTEN_FDS begin (sd_listen_fds(3)).
const listenFDsStart = 3

// inspect finds out whether an open descriptor is a socket that a worker could use: a
// stream socket that listens, or a datagram socket that is bound. Of the Listener only
// the descriptor, the network and the address are set.
func inspect(fd int) (l Listener, found bool) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Listener{}, false
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Listener{}, false
	}
	l.FD, l.at = fd, addrPort(sa)
	networks := map[int]string{unix.SOCK_STREAM: "tcp", unix.SOCK_DGRAM: "udp"}
	bound := l.at.Port() != 0
	if l.at.IsValid() {
		l.Address = l.at.String()
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		l.dual = l.at.Addr() == netip.IPv6Unspecified() && err == nil && only == 0
	} else if sa, local := sa.(*unix.SockaddrUnix); local {
		networks = map[int]string{unix.SOCK_STREAM: "unix", unix.SOCK_DGRAM: "unixgram", unix.SOCK_SEQPACKET: "unixpacket"}
		l.Address, bound = sa.Name, sa.Name != ""
	}
	l.Network = networks[kind]
	return l, l.Network != "" && bound && (kind == unix.SOCK_DGRAM || accepting(fd))
}

// accepting reports whether a stream socket listens (socket(7), SO_ACCEPTCONN).
func accepting(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// is reports whether l is the socket that spec asks for, where at is the Spec's
// address. named is whether the Spec named the descriptor by =fd: then the port 0,
// which start_server passes on literally, is whatever port l has, and a UDP socket may
// lack its u, which start_server drops.
func (l Listener) is(spec Spec, at netip.AddrPort, named bool) bool {
	if spec.Network == "unix" {
		return l.Network == "unix" && (l.Address == spec.Path ||
			!abstract(spec.Path) && filepath.Clean(l.Address) == filepath.Clean(spec.Path))
	}
	if l.Network != spec.Network && !(named && spec.Network == "tcp" && l.Network == "udp") {
		return false
	}
	if l.at.Port() != at.Port() && !(named && at.Port() == 0) {
		return false
	}
	// For a bare ListenStream=8080 systemd makes a socket at :: that takes IPv4, too
	// (systemd.socket(5)); a Spec that is a bare 8080 means that one.
	if (spec.Host == "" || spec.Host == everywhere) && l.at.Addr() == netip.IPv6Unspecified() {
		return l.dual
	}
	return sameAddr(l.at.Addr(), at.Addr())
}

func sameAddr(a, b netip.Addr) bool {
	za, errA := zoneID(a.Zone())
	zb, errB := zoneID(b.Zone())
	return errA == nil && errB == nil && za == zb && a.WithZone("") == b.WithZone("")
}

// handed returns the files that came by LISTEN_FDS, if LISTEN_PID is this process
// (sd_listen_fds(3)). Those that are no listening sockets have an empty Network: a
// service manager may hand down anything.
func handed(environ []string) ([]Listener, error) {
	pid, err := variable(environ, "LISTEN_PID")
	if err != nil || pid != os.Getpid() {
		return nil, err
	}
	count, err := variable(environ, "LISTEN_FDS")
	if err != nil || count == 0 {
		return nil, err
	}
	var names []string
	if text, found := lookup(environ, "LISTEN_FDNAMES"); found {
		if names = strings.Split(text, ":"); len(names) != count {
			return nil, fmt.Errorf("LISTEN_FDNAMES %q: %d names for LISTEN_FDS=%d; expected one for each, separated by colons", text, len(names), count)
		}
	}
	var all []Listener
	for i := range count {
		fd := listenFDsStart + i
		if !inherited(fd) {
			return nil, fmt.Errorf("LISTEN_FDS %d: file descriptor %d: %w; expected that many open files from %d on", count, fd, unix.EBADF, listenFDsStart)
		}
		l, found := inspect(fd)
		if !found {
			l = Listener{FD: fd}
		}
		if names != nil {
			l.name = names[i]
		}
		all = append(all, l)
	}
	return all, nil
}

// inherited reports whether a descriptor came through execve(2). What this program
// and the Go runtime open, under the lowest free numbers, is close-on-exec.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// variable reads a count of sd_listen_fds(3); unset and empty are 0.
func variable(environ []string, name string) (int, error) {
	text, _ := lookup(environ, name)
	if text == "" {
		return 0, nil
	}
	n, err := number(text, 1<<30)
	if err != nil {
		return 0, fmt.Errorf("%s %w; it is set by a service manager that passes sockets, see sd_listen_fds(3)", name, err)
	}
	return n, nil
}

func lookup(environ []string, name string) (value string, found bool) {
	for _, entry := range environ {
		if value, found = strings.CutPrefix(entry, name+"="); found {
			return value, true
		}
	}
	return "", false
}
