package socket

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Steer directs new connections and datagrams to the sockets of these slots only; no
// slots means all. A connection goes to any of them, the datagrams of one source
// address and port to the same one, as long as it is among them. What is in the other
// slots' queues stays there, and a handshake that has begun ends there (its request
// belongs to the listener that got the SYN): so Queue can grow for a moment. Steer has
// no effect without ReusePort.
//
// It attaches a classic BPF program to each group, which needs no privilege
// (SO_ATTACH_REUSEPORT_CBPF, socket(7)). If that is not possible, the kernel spreads
// connections over all sockets, and so a slot without a worker gets some, too. That is
// an error, but only the first time in a row.
//
// After several sockets of an address were shut down together, it can be unknown
// which of the kernel's places some of the others have. These are used only if all
// of them are among the slots, or if there is nothing else.
func (s *Set) Steer(slots []int) error {
	if s == nil {
		return nil
	}
	s.chosen = slices.Clone(slots)
	var failed error
	for _, l := range s.listeners {
		if l.group == nil || len(l.group.places) == 0 {
			continue
		}
		p := program{total: uint32(len(l.group.places)), chosen: l.group.chosen(slots)}
		if l.Network == "udp" {
			p.datagram(s.seed, l.at.Addr().Is6())
		} else {
			p.connection()
		}
		err := p.attach(l.group.live())
		if err != nil {
			failed = fmt.Errorf("%w: attach a BPF program to %s: %w", errUnsteered, l.Key, err)
		}
	}
	if failed == nil {
		s.unsteered = nil
		return nil
	}
	for _, l := range s.listeners {
		if l.group != nil {
			unix.SetsockoptInt(l.group.live(), unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
		}
	}
	first := s.unsteered == nil
	s.unsteered = failed
	if first {
		return failed
	}
	return nil
}

// chosen returns the places of slots in the kernel's array, in ascending order. If
// there are none, it returns all places, for one has to be chosen.
func (g *group) chosen(slots []int) (places []uint32) {
	var wanted []int
	for _, slot := range slots {
		wanted = append(wanted, slot%len(g.fds))
	}
	in := func(slot int) bool { return len(wanted) == 0 || slices.Contains(wanted, slot) }
	lost := len(g.lost) > 0 && !slices.ContainsFunc(g.lost, func(slot int) bool { return !in(slot) })
	pick := func(unknowns bool) {
		for place, slot := range g.places {
			if slot == unknown && unknowns || slot != unknown && in(slot) {
				places = append(places, uint32(place))
			}
		}
	}
	if pick(lost); len(places) == 0 {
		pick(slices.ContainsFunc(g.lost, in))
	}
	if len(places) == 0 {
		wanted = nil
		pick(true)
	}
	return places
}

// A program is a classic BPF program that returns a place. If there is no such place,
// the kernel chooses by itself. See linux/networking/filter.rst.
type program struct {
	total  uint32   // places there are
	chosen []uint32 // those that may be returned, ascending
	code   []unix.SockFilter
}

func (p *program) op(code uint16, k uint32) {
	p.code = append(p.code, unix.SockFilter{Code: code, K: k})
}

func (p *program) jump(test uint16, k uint32, yes, no uint8) {
	p.code = append(p.code, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jt: yes, Jf: no})
}

func (p *program) alu(op uint16, k uint32) { p.op(unix.BPF_ALU|op|unix.BPF_K, k) }

const (
	load      = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	xorX      = unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X
	random    = 1<<32 - 0x1000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM
	netHeader = 1<<32 - 0x100000    // SKF_NET_OFF
)

// connection chooses at random. The program does not run for the packets of a
// connection that exists.
func (p *program) connection() {
	p.op(load, random)
	p.any()
}

// any returns one of the chosen, by the number in A.
func (p *program) any() {
	p.alu(unix.BPF_MOD, uint32(len(p.chosen)))
	for _, g := range p.gaps() {
		p.jump(unix.BPF_JGE, g.first, 0, 1)
		p.alu(unix.BPF_ADD, g.after-g.first)
	}
	p.op(unix.BPF_RET|unix.BPF_A, 0)
}

// A gap is places in a row that are not chosen.
type gap struct{ first, after uint32 }

func (p *program) gaps() (gaps []gap) {
	next := uint32(0)
	for _, place := range append(slices.Clone(p.chosen), p.total) {
		if place > next {
			gaps = append(gaps, gap{next, place})
		}
		next = place + 1
	}
	return gaps
}

// datagram chooses by the source's address and port: first among all places, and if
// that one is not among the chosen, once more among those. So the clients of the other
// slots stay where they are when one slot is dropped.
func (p *program) datagram(seed uint32, v6 bool) {
	p.op(unix.BPF_LD|unix.BPF_IMM, seed)
	if v6 {
		for at := uint32(8); at < 24; at += 4 {
			p.mix(load, netHeader+at)
		}
		// The port, unless there is an extension header before it: then all
		// datagrams of that source have one.
		p.mix(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, netHeader+40)
	} else {
		p.mix(load, netHeader+12)
		// The port is behind a header whose length has to be loaded into X (RFC 791,
		// IHL), which is in use: so A is saved meanwhile.
		p.alu(unix.BPF_MUL, 0x9e3779b1)
		p.op(unix.BPF_ST, 0)
		p.op(unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH, netHeader)
		p.op(unix.BPF_LD|unix.BPF_H|unix.BPF_IND, netHeader)
		p.op(unix.BPF_LDX|unix.BPF_W|unix.BPF_MEM, 0)
		p.op(xorX, 0)
	}
	p.scramble()
	p.op(unix.BPF_ST, 0)
	p.alu(unix.BPF_MOD, p.total)
	gaps := p.gaps()
	for i, g := range gaps {
		p.jump(unix.BPF_JGE, g.first, 0, 2)
		p.jump(unix.BPF_JGE, g.after, 1, 0)
		p.op(unix.BPF_JMP|unix.BPF_JA, uint32(3*(len(gaps)-1-i)+1)) // behind the return
	}
	p.op(unix.BPF_RET|unix.BPF_A, 0)
	if len(gaps) > 0 {
		p.op(unix.BPF_LD|unix.BPF_MEM, 0)
		p.scramble()
		p.any()
	}
}

// mix adds what is loaded to the hash in A.
func (p *program) mix(code uint16, k uint32) {
	p.alu(unix.BPF_MUL, 0x9e3779b1)
	p.op(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.op(code, k)
	p.op(xorX, 0)
}

// scramble makes each bit of A depend on all others: the finalizer of MurmurHash3.
func (p *program) scramble() {
	for _, step := range []struct{ shift, factor uint32 }{{16, 0x85ebca6b}, {13, 0xc2b2ae35}, {16, 1}} {
		p.op(unix.BPF_MISC|unix.BPF_TAX, 0)
		p.alu(unix.BPF_RSH, step.shift)
		p.op(xorX, 0)
		p.alu(unix.BPF_MUL, step.factor)
	}
}

// attach attaches it to the whole group of the socket.
func (p *program) attach(fd int) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(p.code)), Filter: &p.code[0]})
}

// randomSeed keeps clients from choosing the socket that they are assigned to.
func randomSeed() uint32 {
	var bytes [4]byte
	unix.Getrandom(bytes[:], unix.GRND_NONBLOCK)
	return binary.NativeEndian.Uint32(bytes[:])
}
