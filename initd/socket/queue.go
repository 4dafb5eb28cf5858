package socket

import "golang.org/x/sys/unix"

// A Queue is how many connections wait to be accepted, and how many can.
type Queue struct {
	Key             string
	Length, Backlog int
}

// Waiting reads the accept queues of the TCP listeners. Of a socket in state
// LISTEN, tcp_info has the queue's length in tcpi_unacked and its limit in
// tcpi_sacked (tcp(7), TCP_INFO; linux/net/ipv4/tcp.c, tcp_get_info). Unix
// sockets do not tell theirs.
func (s *Set) Waiting() []Queue {
	var queues []Queue
	for _, l := range s.listeners {
		if l.Network != "tcp" || !accepting(l.FD) {
			continue
		}
		if info, err := unix.GetsockoptTCPInfo(l.FD, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			queues = append(queues, Queue{Key: l.Key, Length: int(info.Unacked), Backlog: int(info.Sacked)})
		}
	}
	return queues
}
