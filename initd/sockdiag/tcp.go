package sockdiag

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A TCPSocket is one of struct inet_diag_msg, linux/inet_diag.h.
type TCPSocket struct {
	State States         // one bit
	Local netip.AddrPort // without a zone; an IPv4 connection of a dual-stack listener is ::ffff:a.b.c.d
	Inode uint32         // 0 of a connection that nobody has accepted yet
}

// TCP calls visit for the TCP sockets of a family, AF_INET or AF_INET6, that are
// in one of the states and whose local port is one of ports. Those that a
// listener accepts are of its family.
func TCP(family int, states States, ports []uint16, visit func(TCPSocket)) error {
	var broken error
	for some := range slices.Chunk(ports, maxPorts) {
		err := ask("tcp", unix.NLM_F_DUMP, tcpQuestion(family, states, some), func(message []byte) {
			if s, err := parseTCP(message); err != nil {
				broken = fmt.Errorf("sock_diag tcp: %w", err)
			} else {
				visit(s)
			}
		})
		if err != nil {
			return err
		}
	}
	return broken
}

// Of struct inet_diag_req_v2 and struct inet_diag_msg, linux/inet_diag.h. Both
// have a struct inet_diag_sockid, whose ports and addresses are in network byte
// order.
const (
	tcpQuestionSize = 56
	tcpAnswerSize   = 72
	bytecode        = 1 // INET_DIAG_REQ_BYTECODE
)

func tcpQuestion(family int, states States, ports []uint16) message {
	q := make(message, tcpQuestionSize, tcpQuestionSize+4+20*len(ports))
	q[0], q[1] = byte(family), unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(q[4:], uint32(states))
	code := anyOf(ports)
	q = binary.NativeEndian.AppendUint16(q, uint16(4+len(code))) // struct nlattr, netlink(7)
	q = binary.NativeEndian.AppendUint16(q, bytecode)
	return append(q, code...)
}

// maxPorts keeps a jump from the first port to the end within its 16 bits.
const maxPorts = 3000

// anyOf is a program of struct inet_diag_bc_op that selects sockets with one of the
// local ports. An operation has a code, by how many bytes to advance if it holds, which
// has to reach the next operation, and by how many if it does not. A socket is selected
// if the program arrives at its end, and not selected if it goes beyond.
func anyOf(ports []uint16) (code []byte) {
	const (
		jump    = 1 // INET_DIAG_BC_JMP: goes on by no
		atLeast = 2 // INET_DIAG_BC_S_GE: the local port; the operand is no of the next operation
		atMost  = 3 // INET_DIAG_BC_S_LE
		block   = 20
	)
	op := func(what, yes byte, no int) {
		code = append(code, what, yes)
		code = binary.NativeEndian.AppendUint16(code, uint16(no))
	}
	end := block*len(ports) - 4
	for i, port := range ports {
		op(atLeast, 8, block) // or the next block, and after the last one nowhere
		op(0, 0, int(port))
		op(atMost, 8, block-8)
		op(0, 0, int(port))
		if i < len(ports)-1 {
			op(jump, 4, end-len(code))
		}
	}
	return code
}

func parseTCP(m []byte) (TCPSocket, error) {
	if len(m) < tcpAnswerSize {
		return TCPSocket{}, fmt.Errorf("a message of %d bytes, want %d", len(m), tcpAnswerSize)
	}
	var local netip.Addr
	switch m[0] {
	case unix.AF_INET:
		local = netip.AddrFrom4([4]byte(m[8:]))
	case unix.AF_INET6:
		local = netip.AddrFrom16([16]byte(m[8:]))
	default:
		return TCPSocket{}, fmt.Errorf("a socket of address family %d", m[0])
	}
	return TCPSocket{
		State: 1 << (m[1] & 31),
		Local: netip.AddrPortFrom(local, binary.BigEndian.Uint16(m[4:])),
		Inode: binary.NativeEndian.Uint32(m[68:]),
	}, nil
}
