package control

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// Peer returns the process at the other end of a unix socket, and its user: the one
// that connected, or the one that began to listen. A process in a pid namespace that
// cannot be seen from here has pid 0; unix(7), SO_PEERCRED, pid_namespaces(7).
func Peer(conn net.Conn) (pid, uid int, err error) {
	pid, uid = -1, -1
	err = control(conn, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			pid, uid = int(cred.Pid), int(cred.Uid)
		}
		return err
	})
	return pid, uid, err
}

// control calls do with the descriptor of a connection.
func control(conn net.Conn, do func(fd int) error) (err error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("it is not a unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return err
	}
	if closed := raw.Control(func(fd uintptr) { err = do(int(fd)) }); closed != nil {
		return closed
	}
	return err
}
