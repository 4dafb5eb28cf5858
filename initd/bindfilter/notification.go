package bindfilter

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// data is struct seccomp_data: seccomp(2).
type data struct {
	number      int32
	arch        uint32
	instruction uint64
	args        [6]uint64
}

// notification is struct seccomp_notif of seccomp_unotify(2): a call that waits for an answer.
type notification struct {
	id    uint64
	tid   uint32 // of the thread that calls, in our pid namespace; 0: it is not in that
	flags uint32
	data
}

// answer is struct seccomp_notif_resp. The zero answer returns 0 from the call.
type answer struct {
	id    uint64
	value int64
	error int32
	flags uint32
}

// addFD is struct seccomp_notif_addfd.
type addFD struct {
	id                          uint64
	flags, source, at, newFlags uint32
}

// A newer kernel's structs may be larger: SECCOMP_GET_NOTIF_SIZES of seccomp(2).
func notificationSize() int {
	var sizes struct{ notification, answer, data uint16 }
	unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_NOTIF_SIZES, 0, uintptr(unsafe.Pointer(&sizes)))
	return max(int(sizes.notification), int(unsafe.Sizeof(notification{})))
}

// receive takes the next call. The kernel demands a buffer of zeros. ENOENT means that the call is over: its thread has
// been killed, or was interrupted by a signal.
func receive(listener int, buffer []uint64) (notification, error) {
	clear(buffer)
	err := control(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&buffer[0]))
	return *(*notification)(unsafe.Pointer(&buffer[0])), err
}

// waits reports whether a call still waits. As long as it does, the tid is that thread's, and what was read of it by its
// tid before is of that thread.
func (n notification) waits(listener int) bool {
	id := n.id
	return control(listener, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id)) == nil
}

// succeed has the call return 0, and proceed has the kernel carry it out. An error means that the call is over.
func (n notification) succeed(listener int) error { return send(listener, answer{id: n.id}) }
func (n notification) proceed(listener int) error {
	return send(listener, answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

func send(listener int, a answer) error {
	return control(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
}

// replace puts our descriptor source in the place of the thread's descriptor at.
func (n notification) replace(listener, source, at int, closeOnExec bool) error {
	a := addFD{id: n.id, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, source: uint32(source), at: uint32(at)}
	if closeOnExec {
		a.newFlags = unix.O_CLOEXEC
	}
	return control(listener, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&a))
}

// control is ioctl(2).
func control(fd int, request uint, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument))
		switch errno {
		case unix.EINTR:
		case 0:
			return nil
		default:
			return errno
		}
	}
}
