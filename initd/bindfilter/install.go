package bindfilter

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Check returns an error if this kernel cannot supervise system calls at all, and what Install would fail by later.
func Check() error {
	if len(abis) == 0 {
		return unix.ENOSYS
	}
	action := uint32(unix.SECCOMP_RET_USER_NOTIF)
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))); errno != 0 {
		return errno
	}
	return nil
}

// Install puts the calling thread, and what it executes or forks, under the filter. The thread needs no_new_privs or
// CAP_SYS_ADMIN. Paths is whether unlink(2) and unlinkat(2) are of interest. The descriptor is what Serve takes, in the
// parent; it is close-on-exec.
//
// The error is EBUSY if the thread is supervised already, EACCES or EPERM if it may not be, ENOSYS or EINVAL if the
// kernel is older than 5.9.
func Install(paths bool) (fd int, err error) {
	if len(abis) == 0 {
		return -1, unix.ENOSYS
	}
	code := program(abis, paths)
	filter := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// SPEC_ALLOW: the filter protects nothing, so there is no reason to pay for the mitigations that kernels before 5.16
	// turn on with any other. WAIT_KILLABLE_RECV, from 5.19 on: a signal does not interrupt a call that is being answered.
	// Go programs send themselves many.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	var errno syscall.Errno
	for _, more := range []uintptr{unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0} {
		var listener uintptr
		listener, _, errno = unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags|more, uintptr(unsafe.Pointer(&filter)))
		if errno == 0 {
			return int(listener), knowsAddFD(int(listener))
		}
		if errno != unix.EINVAL {
			break
		}
	}
	return -1, errno
}

// knowsAddFD returns an error if the kernel is older than 5.9: a newer one finds that there is no such descriptor.
func knowsAddFD(listener int) error {
	if err := control(listener, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&addFD{source: ^uint32(0)})); err != unix.EBADF {
		return err
	}
	return nil
}

// Explain says why Check or Install has failed, and what to do; empty where that is not known.
func Explain(errno syscall.Errno) string {
	switch errno {
	case unix.EBUSY:
		return "the system calls of this container are supervised already, and there can be only one supervisor (seccomp_unotify(2)): " +
			"initd runs under another initd with export=bind, or the container runtime uses seccomp notifications; remove bind from one of them"
	case unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP:
		return "it needs Linux 5.9 or later with seccomp filters, on amd64, arm64 or arm: use another export protocol"
	case unix.EPERM, unix.EACCES:
		return "seccomp(2) is forbidden here: the container's seccomp profile must allow it, as Docker's default does"
	}
	return ""
}
