package socket

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"server-starter/initd/bindfilter"
)

// Bindable are the listeners, in the order of All, as a worker's own bind(2) may mean them.
func (s *Set) Bindable() (listeners []bindfilter.Listener) {
	for _, l := range s.all() {
		b := bindfilter.Listener{Network: l.Network, At: l.at, Dual: l.dual}
		if !l.at.IsValid() {
			b.Path, b.Node = l.Address, l.node.path
			if l.adopted && filepath.IsAbs(l.Address) {
				b.Node = l.Address
			}
		}
		listeners = append(listeners, b)
	}
	return listeners
}

// Claim duplicates the socket that slot has of the listener of that index in All, for a goroutine, which closes it. It is
// -1 after Release, or if there can be no more descriptors.
func (s *Set) Claim(index, slot int) int {
	all := s.all()
	if index >= len(all) || all[index].FD < 0 {
		return -1
	}
	fd, err := unix.FcntlInt(uintptr(all[index].of(slot)), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}
