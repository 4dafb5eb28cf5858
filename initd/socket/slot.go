package socket

// FD is initd's file descriptor of a listener, by its place in All, that a worker in slot
// gets; -1 after Release.
func (s *Set) FD(listener, slot int) int { return s.all()[listener].of(slot) }
