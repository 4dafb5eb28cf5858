package launch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCapabilities clears the sets through which execve(2) passes capabilities on to a program that has none itself:
// capabilities(7). Changing users leaves the inheritable set alone, and clears the ambient set only if the old user was
// root. The permitted and effective sets of the program follow from these two, and the bounding set stays.
func dropCapabilities() error {
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && err != syscall.EINVAL { // before Linux 4.3 there is no such set
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	return unix.Capset(&header, &sets[0])
}

// leaveKeyring gives this process an empty session keyring instead of the one that it shares with initd,
// session-keyring(7). Where keys are not available, as under Docker's seccomp profile, they are not to the program either.
func leaveKeyring() error {
	// A null pointer asks for a keyring without a name, which others cannot join.
	switch _, _, errno := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0); errno {
	case 0, unix.ENOSYS, unix.EPERM:
		return nil
	default:
		return errno
	}
}
