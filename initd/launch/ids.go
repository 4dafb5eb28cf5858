//go:build !386 && !arm

package launch

import "golang.org/x/sys/unix"

const (
	sysSetresgid = unix.SYS_SETRESGID
	sysSetresuid = unix.SYS_SETRESUID
)
