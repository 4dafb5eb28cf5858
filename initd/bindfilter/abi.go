package bindfilter

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// An abi is a way to make system calls: the numbers of those that the filter stops, for which -1 means that there is
// none. A kernel of 64 bits has a second one for programs of 32 bits, whose numbers are others.
type abi struct {
	arch                           uint32 // AUDIT_ARCH_*, as the filter sees it
	bind, listen, unlink, unlinkat int
	socketcall                     int  // bind and listen by another name: socketcall(2)
	mask                           bool // x32 is marked by a bit in the numbers of amd64: syscalls(2)
}

// What the first argument of socketcall(2) means: linux/net.h.
const (
	socketcallBind   = 2
	socketcallListen = 4
)

// x32Bit is __X32_SYSCALL_BIT of asm/unistd.h.
const x32Bit = 0x40000000

// The numbers are those of the kernel's tables, arch/*/entry/syscalls/*.tbl and asm-generic/unistd.h.
var (
	amd64   = abi{unix.AUDIT_ARCH_X86_64, 49, 50, 87, 263, -1, true}
	i386    = abi{unix.AUDIT_ARCH_I386, 361, 363, 10, 301, 102, false}
	arm64   = abi{unix.AUDIT_ARCH_AARCH64, 200, 201, -1, 35, -1, false}
	arm     = abi{unix.AUDIT_ARCH_ARM, 282, 284, 10, 328, -1, false} // EABI, which has no socketcall(2)
	riscv64 = abi{unix.AUDIT_ARCH_RISCV64, 200, 201, -1, 35, -1, false}
)

// abis are those of this machine; none: it is not supported.
var abis = map[string][]abi{
	"amd64": {amd64, i386}, "386": {i386}, "arm64": {arm64, arm}, "arm": {arm}, "riscv64": {riscv64},
}[runtime.GOARCH]
