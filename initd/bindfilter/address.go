package bindfilter

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"path"

	"golang.org/x/sys/unix"
)

// A Listener is what a program's bind(2) may mean.
type Listener struct {
	Network string         // tcp or udp, or else of a unix socket
	At      netip.AddrPort // of tcp and udp
	Dual    bool           // At is for IPv4, too: IPV6_V6ONLY of ipv6(7) is off
	Path    string         // of a unix socket, as it was given; "@name" is an abstract one
	Node    string         // by which we reach the file of a unix socket; empty: there is none
}

// An address is what a program asks to be bound to.
type address struct {
	at   netip.AddrPort
	path string // of a unix socket; "@name" is an abstract one
}

// parse reads a struct sockaddr of ip(7), ipv6(7) or unix(7). It is not ok for any other, or if the kernel chooses.
func parse(b []byte) (a address, ok bool) {
	if len(b) < 2 {
		return a, false
	}
	port := func() uint16 { return binary.BigEndian.Uint16(b[2:]) }
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		if len(b) >= unix.SizeofSockaddrInet4 {
			a.at = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port())
		}
	case unix.AF_INET6:
		if len(b) >= 24 { // SIN6_LEN_RFC2133, the least that the kernel takes
			a.at = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port())
		}
	case unix.AF_UNIX:
		b = b[2:]
		if len(b) > 1 && b[0] == 0 {
			a.path = "@" + string(b[1:])
			return a, true
		}
		b, _, _ = bytes.Cut(b, []byte{0})
		a.path = string(b)
		return a, a.path != ""
	}
	return a, a.at.Port() != 0
}

func (a address) String() string {
	if a.at.IsValid() {
		return a.at.String()
	}
	return a.path
}

// match is how well a listener fits what a program asks for. The best is the listener that has that very address.
type match int

const (
	none    match = iota
	other         // one of the two is a wildcard, and of the other family
	covered       // one of the two is a wildcard
	exact
)

// matches compares addresses of tcp and udp. A wildcard asked for covers every listener of its port; [::] covers those of
// IPv4, too, for most programs that bind it mean both families, and whether one does cannot be seen.
func (l Listener) matches(a address) match {
	asked, have := a.at.Addr().Unmap(), l.At.Addr().WithZone("").Unmap()
	sameFamily := asked.Is4() == have.Is4()
	switch {
	case a.at.Port() != l.At.Port():
	case asked == have:
		return exact
	case sameFamily && (asked.IsUnspecified() || have.IsUnspecified()):
		return covered
	case asked == netip.IPv6Unspecified(), have == netip.IPv6Unspecified() && l.Dual:
		return other
	}
	return none
}

// choose is the listener that an address of tcp or udp means best, -1 if it means none. Is reports whether a listener's
// socket is of the kind that was bound.
func choose(listeners []Listener, a address, is func(Listener) bool) int {
	best, chosen := none, -1
	for i, l := range listeners {
		if l.At.IsValid() && l.matches(a) > best && is(l) {
			best, chosen = l.matches(a), i
		}
	}
	return chosen
}

// mayBe reports whether a path of a program may be a listener's, which only the file itself shows: it may be relative,
// or lead through links. Most are not, and cost nothing more.
func (l Listener) mayBe(name string) bool {
	return l.Node != "" && path.Base(name) == path.Base(l.Node)
}
