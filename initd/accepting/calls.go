package accepting

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kind is what a system call waits for.
type kind int

const (
	other      kind = iota
	accepts         // accept(2): its first argument is the listener
	receives        // recv(2), read(2): its first argument is the socket
	waitsEpoll      // epoll_wait(2): its first argument is the epoll instance
	polls           // poll(2): an array of pollfd and its length
	selects         // select(2): the highest descriptor + 1, and the set of those to be read from
	restarts        // restart_syscall(2): one of several that was interrupted
)

// call is the system call in which a thread is blocked.
type call struct {
	runs   bool // it is not blocked, so that nothing is known
	number int  // -1: it is blocked outside of system calls
	args   [6]uint64
	stack  uint64 // the stack pointer
}

// parseCall reads the line of proc_pid_syscall(5): "running", or the number and, except
// where that is -1, six arguments; and then the stack pointer and the program counter.
func parseCall(line []byte) (c call, err error) {
	fields := strings.Fields(string(line))
	if len(fields) == 1 && fields[0] == "running" {
		return call{runs: true}, nil
	}
	numbers := make([]uint64, 0, 8)
	for i, field := range fields {
		if i == 0 {
			c.number, err = strconv.Atoi(field)
		} else {
			var n uint64
			n, err = strconv.ParseUint(field, 0, 64)
			numbers = append(numbers, n)
		}
		if err != nil {
			return call{}, fmt.Errorf("%.200q is no line of proc_pid_syscall(5)", line)
		}
	}
	switch {
	case len(numbers) == 8:
		copy(c.args[:], numbers)
		c.stack = numbers[6]
	case len(numbers) == 2 && c.number < 0:
		c.stack = numbers[0]
	default:
		return call{}, fmt.Errorf("%.200q is no line of proc_pid_syscall(5)", line)
	}
	return c, nil
}

// foreign reports whether the call is one of a 32-bit program on a 64-bit kernel, whose
// numbers are others. Its stack is where no 64-bit program has one.
func (c call) foreign() bool {
	return bits.UintSize == 64 && c.number >= 0 && c.stack < 1<<32
}

// maxDescriptors bounds what is read of a set.
const maxDescriptors = 1 << 16

// struct pollfd of poll(2): an int, and two shorts.
const (
	sizeofPollfd   = 8
	pollReadNormal = 0x40 // POLLRDNORM
)

// size is that of the set that a call waits for, in bytes, and address where it is.
func (c call) size() int {
	if kinds[c.number] == polls {
		return int(min(c.args[1], maxDescriptors)) * sizeofPollfd
	}
	if c.args[1] == 0 { // no set
		return 0
	}
	const word = bits.UintSize
	return int((min(c.args[0], maxDescriptors) + word - 1) / word * (word / 8))
}

func (c call) address() uint64 {
	if kinds[c.number] == polls {
		return c.args[0]
	}
	return c.args[1]
}

// descriptors are those of a set that the call waits to read from.
func (c call) descriptors(set []byte) (fds []int) {
	if kinds[c.number] == polls {
		for ; len(set) >= sizeofPollfd; set = set[sizeofPollfd:] {
			fd, events := int32(binary.NativeEndian.Uint32(set)), binary.NativeEndian.Uint16(set[4:])
			if fd >= 0 && events&(unix.POLLIN|pollReadNormal) != 0 {
				fds = append(fds, int(fd))
			}
		}
		return fds
	}
	// An fd_set is an array of unsigned longs, which initd's processors have in little
	// endian order.
	for i, b := range set {
		for ; b != 0; b &= b - 1 {
			if fd := 8*i + bits.TrailingZeros8(b); fd < int(min(c.args[0], maxDescriptors)) {
				fds = append(fds, fd)
			}
		}
	}
	return fds
}
