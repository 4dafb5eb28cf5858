package bindfilter

import "golang.org/x/sys/unix"

// Where the filter finds what it decides by, in struct seccomp_data: seccomp(2). The low half of an argument comes first
// on all machines that are supported.
const (
	numberOffset   = 0
	archOffset     = 4
	argumentOffset = 16
)

// program is the filter: for each abi a block, which is entered if the call was made by it. The kernel remembers which
// calls pass whatever their arguments are, and does not run the filter for those.
func program(abis []abi, paths bool) []unix.SockFilter {
	code := []unix.SockFilter{load(archOffset)}
	for _, a := range abis {
		block := a.block(paths)
		code = append(code, equal(a.arch, 0, len(block)))
		code = append(code, block...)
	}
	return append(code, result(unix.SECCOMP_RET_ALLOW))
}

// block stops the calls of an abi.
func (a abi) block(paths bool) (code []unix.SockFilter) {
	numbers := []int{a.bind, a.listen}
	if paths {
		numbers = append(numbers, a.unlink, a.unlinkat)
	}
	code = []unix.SockFilter{load(numberOffset)}
	if a.mask {
		code = append(code, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: ^uint32(x32Bit)})
	}
	stop := func(value int) {
		code = append(code, equal(uint32(value), 0, 1), result(unix.SECCOMP_RET_USER_NOTIF))
	}
	for _, number := range numbers {
		if number >= 0 {
			stop(number)
		}
	}
	if a.socketcall >= 0 {
		code = append(code, equal(uint32(a.socketcall), 1, 0), result(unix.SECCOMP_RET_ALLOW), load(argumentOffset))
		stop(socketcallBind)
		stop(socketcallListen)
	}
	return append(code, result(unix.SECCOMP_RET_ALLOW))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// equal skips so many instructions if the accumulator is the value, and so many others if it is not.
func equal(value uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jt: uint8(yes), Jf: uint8(no)}
}

func result(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}
