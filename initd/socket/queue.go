package socket

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/initd/sockdiag"
)

// A Queue is how much waits at a listener, and how much can: for a stream socket the
// connections that nobody has accepted yet, for a datagram socket the bytes of memory
// of the datagrams that nobody has received.
type Queue struct {
	Key             string
	Network         string // of the Listener
	Length, Backlog int
}

// Waiting reads the queues of the listeners.
//
//   - For a TCP socket in state LISTEN, tcp_info has the queue's length in
//     tcpi_unacked and its limit in tcpi_sacked (tcp(7), TCP_INFO;
//     linux/net/ipv4/tcp.c, tcp_get_info).
//   - For a unix socket sock_diag(7) has both. Where the kernel lacks it, poll(2)
//     shows only that somebody waits: then Length is 1 and Backlog 0.
//   - For a UDP socket SO_MEMINFO has both (SK_MEMINFO_RMEM_ALLOC and _RCVBUF of
//     linux/sock_diag.h).
//
// The queues of a listener that has a socket for each slot are added up. A listener
// whose queue cannot be read is left out.
func (s *Set) Waiting() []Queue {
	var queues []Queue
	for _, l := range s.all() {
		fds := []int{l.FD}
		if l.group != nil {
			fds = l.group.fds
		}
		q, known := Queue{Key: l.Key, Network: l.Network}, false
		for _, fd := range fds {
			if length, backlog, found := waiting(l.Network, fd); found {
				q.Length, q.Backlog, known = q.Length+length, q.Backlog+backlog, true
			}
		}
		if known {
			queues = append(queues, q)
		}
	}
	return queues
}

// Queue is how much waits in the sockets that slot has for itself: connections
// to be accepted, and 1 more for each UDP socket that has something to read, for
// the kernel does not count datagrams. Only a worker of that slot can take it. It is
// 0 without ReusePort.
func (s *Set) Queue(slot int) (length int) {
	for _, l := range s.all() {
		if l.group != nil {
			n, _, _ := waiting(l.Network, l.of(slot))
			if l.Network == "udp" {
				n = min(n, 1)
			}
			length += n
		}
	}
	return length
}

func waiting(network string, fd int) (length, backlog int, found bool) {
	switch network {
	case "tcp":
		return waitingTCP(fd)
	case "unix", "unixpacket":
		return waitingUnix(fd)
	case "udp":
		return waitingUDP(fd)
	}
	return 0, 0, false
}

func waitingTCP(fd int) (length, backlog int, found bool) {
	if !accepting(fd) {
		return 0, 0, false
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0, false
	}
	return int(info.Unacked), int(info.Sacked), true
}

func waitingUnix(fd int) (length, backlog int, found bool) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, 0, false
	}
	if s, err := sockdiag.UnixListener(uint32(st.Ino)); err == nil {
		return s.Waiting, s.Backlog, true
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n, 0, err == nil
}

func waitingUDP(fd int) (length, backlog int, found bool) {
	const allocated, limit = 0, 1 // SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF
	var memory [9]uint32          // SK_MEMINFO_VARS
	if err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_MEMINFO, memory[:]); err != nil {
		return 0, 0, false
	}
	return int(memory[allocated]), int(memory[limit]), true
}

// getsockopt reads an option that is an array of words.
func getsockopt(fd, level, name int, words []uint32) error {
	size := uint32(len(words) * 4)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&words[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
