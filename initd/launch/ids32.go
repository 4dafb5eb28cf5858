//go:build 386 || arm

package launch

import "golang.org/x/sys/unix"

// There the plain calls are of the time when ids had 16 bits, and cut the rest off: setresuid(2).
const (
	sysSetresgid = unix.SYS_SETRESGID32
	sysSetresuid = unix.SYS_SETRESUID32
)
