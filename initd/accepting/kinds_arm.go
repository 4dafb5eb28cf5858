package accepting

import "golang.org/x/sys/unix"

// kinds are the system calls by number. Those with 64-bit times are for programs of
// after the year 2038.
var kinds = map[int]kind{
	unix.SYS_ACCEPT: accepts, unix.SYS_ACCEPT4: accepts,
	unix.SYS_RECV: receives, unix.SYS_RECVFROM: receives, unix.SYS_RECVMSG: receives, unix.SYS_RECVMMSG: receives,
	unix.SYS_RECVMMSG_TIME64: receives, unix.SYS_READ: receives, unix.SYS_READV: receives,
	unix.SYS_EPOLL_WAIT: waitsEpoll, unix.SYS_EPOLL_PWAIT: waitsEpoll, unix.SYS_EPOLL_PWAIT2: waitsEpoll,
	unix.SYS_POLL: polls, unix.SYS_PPOLL: polls, unix.SYS_PPOLL_TIME64: polls,
	unix.SYS__NEWSELECT: selects, unix.SYS_PSELECT6: selects, unix.SYS_PSELECT6_TIME64: selects,
	unix.SYS_RESTART_SYSCALL: restarts,
}
