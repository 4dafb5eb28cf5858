package initd

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkSignals checks that initd may signal workers of a user. By kill(2) it may if it
// has CAP_KILL, or if its real or effective user is theirs. Otherwise it could start
// workers but not stop them. Without CAP_SETUID it cannot start them either, and the
// start shows that.
func checkSignals(uid int) error {
	if uid == os.Getuid() || uid == os.Geteuid() || hasCapability(unix.CAP_KILL) || !hasCapability(unix.CAP_SETUID) {
		return nil
	}
	return fmt.Errorf("initd could not stop workers of uid %d, because it lacks the capability CAP_KILL: add it (cap_add: [KILL]), or start initd as that user", uid)
}

// checkMemory checks that initd may read the memory of workers of a user, where the address
// is that they bind: ptrace(2), PTRACE_MODE_ATTACH_FSCREDS. Root reads as that user
// (package proc). Yama restricts it to ancestors by 1, to CAP_SYS_PTRACE by 2, and to
// nobody by 3.
func checkMemory(uid int) error {
	if hasCapability(unix.CAP_SYS_PTRACE) {
		return nil
	}
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && len(scope) > 0 && scope[0] >= '2' {
		return fmt.Errorf("initd may not read the memory of workers, because kernel.yama.ptrace_scope is %c: set it to 1, or give initd the capability SYS_PTRACE", scope[0])
	}
	if euid := os.Geteuid(); uid != euid && euid != 0 {
		return fmt.Errorf("initd runs as uid %d and may not read the memory of workers of uid %d: start initd as that user or as root, or give it the capability SYS_PTRACE", euid, uid)
	}
	return nil
}

// hasCapability reports whether a capability is effective; capabilities(7).
func hasCapability(n int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return true // kill(2) will show it
	}
	return data[n/32].Effective&(1<<(n%32)) != 0
}

// explainRefusal adds the cause to an error of kill(2).
func explainRefusal(err error) error {
	if errors.Is(err, syscall.EPERM) && !hasCapability(unix.CAP_KILL) {
		return fmt.Errorf("%w: it runs as another user, and initd lacks the capability CAP_KILL", err)
	}
	return err
}
