package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lookupTime bounds the lookup of one host name.
const lookupTime = 10 * time.Second

// resolve returns the address that a tcp or udp Spec is bound to: the first IPv4
// address of a host name, or else its first IPv6 address.
func resolve(ctx context.Context, spec Spec) (netip.AddrPort, error) {
	port := uint16(spec.Port)
	if spec.Host == "" {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), port), nil
	}
	if spec.Host == everywhere {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), port), nil
	}
	if address, err := netip.ParseAddr(spec.Host); err == nil {
		return netip.AddrPortFrom(address, port), nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", spec.Host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, address := range addresses {
		if address.Unmap().Is4() {
			return netip.AddrPortFrom(address.Unmap(), port), nil
		}
	}
	return netip.AddrPortFrom(addresses[0], port), nil
}

// bindInet makes a TCP or UDP socket and binds it. It does not listen. bound is at, with
// the port that the kernel chose in place of 0. If it is shared, it has SO_REUSEPORT,
// and may be bound where other sockets are that have it. If it is dual, it is for IPv4, too.
func bindInet(network string, at netip.AddrPort, dual, shared bool) (fd int, bound netip.AddrPort, err error) {
	sa, err := sockaddr(at)
	if err != nil {
		return -1, at, err
	}
	domain, kind, only := unix.AF_INET, unix.SOCK_STREAM, 1
	if dual {
		only = 0
	}
	if at.Addr().Is6() {
		domain = unix.AF_INET6
	}
	if network == "udp" {
		kind = unix.SOCK_DGRAM
	}
	if fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, at, err
	}
	if network == "tcp" {
		// Connections of a former listener in TIME_WAIT do not keep the port
		// (socket(7)). With UDP there are none, and the option would let a second
		// process bind the same port and take the datagrams: it is not set.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil && shared {
		err = reusePort(fd)
	}
	if err == nil && domain == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == unix.EADDRNOTAVAIL && isTentative(at.Addr()) {
		err = bindTentative(fd, sa)
	}
	if err == nil {
		sa, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, at, err
	}
	return fd, addrPort(sa), nil
}

// addrPort is the address of an IP socket, and invalid for any other.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).WithZone(zoneName(sa.ZoneId)), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func sockaddr(at netip.AddrPort) (unix.Sockaddr, error) {
	address, port := at.Addr(), int(at.Port())
	if address.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: address.As4()}, nil
	}
	zone, err := zoneID(address.Zone())
	return &unix.SockaddrInet6{Port: port, ZoneId: zone, Addr: address.As16()}, err
}

// zoneID is the interface index of an IPv6 zone, which is given as the
// interface's name or as that index (RFC 4007, section 11).
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(index), nil
	}
	link, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(link.Index), nil
}

func zoneName(id uint32) string {
	if id == 0 {
		return ""
	}
	if link, err := net.InterfaceByIndex(int(id)); err == nil {
		return link.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// fail is the error that an item of a setting cannot be bound: which item, why, and
// what to do about it.
func fail(spec Spec, at string, err error) error {
	if at == "" {
		at = spec.Key()
	}
	text := advice(spec, err)
	if text != "" {
		text = "; " + text
	}
	return fmt.Errorf("%s %q: listen %s %s: %w%s", spec.setting(), spec, spec.Network, at, err, text)
}

// hasState reports whether something is true of the address that was given.
func (spec Spec) hasState(is func(netip.Addr) bool) bool {
	address, err := netip.ParseAddr(spec.Host)
	return err == nil && address.Is6() && is(address)
}

func advice(spec Spec, err error) string {
	var lookup *net.DNSError
	onDisk := spec.Network == "unix"
	switch {
	case errors.As(err, &lookup):
		return "use an IP address, or make sure that /etc/hosts or a name server in /etc/resolv.conf knows the host"
	case errors.Is(err, unix.EACCES) && onDisk, errors.Is(err, unix.EROFS) && onDisk:
		return "the directory must be writable by the user that initd runs as (in a container: a volume, a tmpfs, an emptyDir)"
	case errors.Is(err, unix.EPERM) && onDisk:
		return "only root with the capability CHOWN may change the owner of a socket (socket-owner), and only root with FOWNER may remove another user's socket from a sticky directory"
	case errors.Is(err, unix.ENOENT) && onDisk:
		return "its directory must exist"
	case errors.Is(err, unix.EACCES):
		return "ports below the sysctl net.ipv4.ip_unprivileged_port_start (1024 by default) are privileged: " +
			"set it to 0 (docker run --sysctl net.ipv4.ip_unprivileged_port_start=0), run as root with the capability NET_BIND_SERVICE, or use a higher port"
	case errors.Is(err, unix.EADDRINUSE) && !onDisk:
		return "another process in this network namespace uses the port (ss -lntup shows which)"
	case errors.Is(err, unix.EADDRINUSE) && abstract(spec.Path):
		return "another process uses that name (ss -lx shows which)"
	case errors.Is(err, unix.EADDRNOTAVAIL) && spec.hasState(isTentative):
		return "the address is still tentative: it was just assigned, and can be used in a second or two"
	case errors.Is(err, unix.EADDRNOTAVAIL) && spec.hasState(isDuplicate):
		return "another machine on the network uses the same address (IPv6 duplicate address detection)"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "no network interface has that address (0.0.0.0 and [::] mean all addresses; IPv6 may be off: sysctl net.ipv6.conf.all.disable_ipv6)"
	case errors.Is(err, unix.EAFNOSUPPORT):
		return "this kernel does not support that address family"
	}
	return ""
}
