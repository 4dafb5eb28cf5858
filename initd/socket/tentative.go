package socket

import (
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An IPv6 address that an interface has just been given is tentative until it is known
// that no neighbour has it, which takes a second or two (RFC 4862, section 5.4); until then
// bind(2) fails with EADDRNOTAVAIL. A container may be started within that time.

// state is that of an IPv6 address of this network namespace: its flags IFA_F_*, and
// whether there is such an address; if_inet6 of proc_pid_net(5).
func state(address netip.Addr) (flags uint64, found bool) {
	text, _ := os.ReadFile("/proc/net/if_inet6")
	raw := address.As16()
	for line := range strings.Lines(string(text)) {
		// address, interface, prefix length, scope, flags, name
		if f := strings.Fields(line); len(f) >= 5 && f[0] == hex.EncodeToString(raw[:]) {
			flags, _ = strconv.ParseUint(f[4], 16, 32)
			return flags, true
		}
	}
	return 0, false
}

// isTentative reports whether an address will be usable presently.
func isTentative(address netip.Addr) bool {
	flags, found := state(address)
	return found && flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_DADFAILED == 0
}

// isDuplicate reports whether a neighbour has an address of this machine's.
func isDuplicate(address netip.Addr) bool {
	flags, found := state(address)
	return found && flags&unix.IFA_F_DADFAILED != 0
}

// bindTentative binds a socket to an address that is tentative. It will be reachable there
// when the address is usable.
func bindTentative(fd int, sa unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1); err != nil {
		return unix.EADDRNOTAVAIL // before Linux 4.15
	}
	return unix.Bind(fd, sa)
}
