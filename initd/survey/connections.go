package survey

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/proc"
	"server-starter/initd/sockdiag"
)

// connections counts each worker's. The kernel is asked first which there are,
// because if there are none, or none that is closed, no worker's files need be
// read.
func (s *survey) connections() error {
	doors, err := s.doors()
	if err != nil {
		return err
	}
	all := map[uint32]bool{} // by inode, whether it is closed
	if s.Facts&Connections == 0 {
		if err := doors.connections(sockdiag.CloseWait, all); err != nil {
			return err
		}
		closed := false
		for _, is := range all {
			closed = closed || is
		}
		if !closed {
			s.know(Disconnects)
			return nil
		}
		err = doors.tcp(sockdiag.Established|sockdiag.CloseWait, all)
	} else {
		err = doors.connections(sockdiag.Established|sockdiag.CloseWait, all)
	}
	if err != nil {
		return err
	}
	if len(all) > 0 {
		s.attribute(all)
	} else {
		s.know(Connections | Disconnects)
	}
	return nil
}

func (s *survey) know(facts Facts) {
	for pid, w := range s.found {
		w.Known |= facts & (s.Facts | Connections)
		s.found[pid] = w
	}
}

// attribute puts connections down to the workers that hold them: to each, if
// several do, and once to one that has several descriptors of it.
func (s *survey) attribute(all map[uint32]bool) {
	s.know(Connections | Disconnects)
	counted := make(map[uint32]int, len(all)) // the last worker it was put down to
	var inodes []uint32
	count := func(pid, member int) {
		held, err := s.proc.Sockets(member, inodes[:0])
		inodes = held
		w, there := s.found[pid]
		if !there {
			return
		}
		if err != nil {
			if proc.Gone(err) && member == pid {
				delete(s.found, pid)
			} else if !proc.Gone(err) {
				s.note(err)
				w.Known &^= Connections | Disconnects
				s.found[pid] = w
			}
			return
		}
		for _, inode := range held {
			closed, ours := all[inode]
			if !ours || counted[inode] == pid {
				continue
			}
			counted[inode] = pid
			w.Open++
			if closed {
				w.Closed++
			}
		}
		s.found[pid] = w
	}
	for _, pid := range s.PIDs {
		count(pid, pid)
	}
	if !s.Descendants || len(counted) == len(all) {
		return
	}
	for _, pid := range s.PIDs {
		for _, member := range s.family(pid)[1:] {
			count(pid, member)
		}
	}
}

// doors are the addresses of the listeners, to which those of the connections
// they accept are equal, but for a listener on all addresses.
type doors struct {
	inet map[int]map[netip.AddrPort]bool // by family
	unix map[string]bool                 // by the name given to bind(2)
}

func (s *survey) doors() (doors, error) {
	d := doors{inet: map[int]map[netip.AddrPort]bool{}, unix: map[string]bool{}}
	for _, l := range s.Listeners {
		if l.Network != "tcp" && l.Network != "unix" && l.Network != "unixpacket" {
			continue
		}
		sa, err := unix.Getsockname(l.FD)
		if err != nil {
			return d, fmt.Errorf("getsockname of listener %s: %w", l.Key, err)
		}
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			d.add(unix.AF_INET, netip.AddrFrom4(sa.Addr), sa.Port)
		case *unix.SockaddrInet6:
			d.add(unix.AF_INET6, netip.AddrFrom16(sa.Addr), sa.Port)
		case *unix.SockaddrUnix:
			d.unix[sa.Name] = true
		}
	}
	return d, nil
}

func (d doors) add(family int, address netip.Addr, port int) {
	if d.inet[family] == nil {
		d.inet[family] = map[netip.AddrPort]bool{}
	}
	d.inet[family][netip.AddrPortFrom(address, uint16(port))] = true
}

// connections adds to all those that somebody has accepted: of TCP the ones in
// these states, of unix sockets every one, as their state does not show it.
func (d doors) connections(states sockdiag.States, all map[uint32]bool) error {
	if err := d.tcp(states, all); err != nil || len(d.unix) == 0 {
		return err
	}
	return sockdiag.Unix(func(c sockdiag.UnixSocket) {
		if c.Inode != 0 && (c.Type == unix.SOCK_STREAM || c.Type == unix.SOCK_SEQPACKET) && d.unix[name(c.Name)] {
			all[c.Inode] = c.Over
		}
	})
}

func (d doors) tcp(states sockdiag.States, all map[uint32]bool) error {
	for family, at := range d.inet {
		var ports []uint16
		seen := map[uint16]bool{}
		for address := range at {
			if port := address.Port(); !seen[port] {
				seen[port] = true
				ports = append(ports, port)
			}
		}
		any := netip.IPv4Unspecified()
		if family == unix.AF_INET6 {
			any = netip.IPv6Unspecified()
		}
		err := sockdiag.TCP(family, states, ports, func(c sockdiag.TCPSocket) {
			if c.Inode != 0 && (at[c.Local] || at[netip.AddrPortFrom(any, c.Local.Port())]) {
				all[c.Inode] = c.State == sockdiag.CloseWait
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// name is what unix.Getsockname makes of a name: an abstract one begins with an
// at sign, a path has no zero byte at its end (unix(7)).
func name(raw []byte) string {
	if len(raw) > 0 && raw[0] == 0 {
		return "@" + strings.TrimSuffix(string(raw[1:]), "\x00")
	}
	text, _, _ := strings.Cut(string(raw), "\x00")
	return text
}
