package notify

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
	"server-starter/initd/proc"
)

const maxDatagram = 4096 // bytes; systemd reads no more either

// Server is the socket that workers find in NOTIFY_SOCKET.
type Server struct {
	file    *os.File // in the runtime's poller: waiting holds no thread and wakes nobody
	conn    syscall.RawConn
	address string
	data    []byte // reused for every datagram, however many come
	control []byte
}

// Message is a datagram with a known assignment, and who sent it.
type Message struct {
	PID, UID int // from the kernel, in our namespaces

	// Lineage is the sender, its parent, its grandparent … up to this process,
	// process 1 or the first one that could not be read: only [PID] for a
	// sender that was gone and waited for before its datagram was read.
	Lineage []int

	// Group is the sender's process group, 0 if it was gone. It still shows
	// whose a descendant is when the processes between have ended.
	Group int

	Assignments
}

// Listen opens a datagram socket under an abstract name that the kernel
// chooses, so that no directory has to be writable and no file is left behind.
func Listen() (*Server, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("listen notify: %w", err)
	}
	file := os.NewFile(uintptr(fd), "notify")
	s := &Server{
		file: file,
		data: make([]byte, maxDatagram),
		// Room for the credentials, which come first, and for nothing else:
		// descriptors that do not fit are closed by the kernel (SCM_RIGHTS in
		// unix(7)). They never become ours, so none can leak, reach a worker
		// or fill our table.
		control: make([]byte, unix.CmsgSpace(unix.SizeofUcred)),
	}
	if s.conn, err = file.SyscallConn(); err == nil {
		s.address, err = bind(fd)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("listen notify: %w", err)
	}
	return s, nil
}

func bind(fd int) (address string, err error) {
	// Before there is an address to send to: a datagram sent earlier would
	// carry no credentials.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return "", os.NewSyscallError("setsockopt SO_PASSCRED", err)
	}
	// No name at all asks for autobind: unix(7).
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil {
		return "", os.NewSyscallError("bind", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	return sa.(*unix.SockaddrUnix).Name, nil
}

// Address is the value for NOTIFY_SOCKET: "@" and the abstract name.
func (s *Server) Address() string { return s.address }

// Close closes the socket. A Receive under way returns os.ErrClosed.
func (s *Server) Close() error { return s.file.Close() }

// Receive waits for the next datagram with a known assignment. Others, and those
// whose sender the kernel does not name, are ignored. File descriptors that come
// along are closed when the datagram is read, for which sd_notify_barrier(3)
// waits: so Receive should be called again at once.
//
// It is for one goroutine. The error is os.ErrClosed after Close, and
// os.ErrDeadlineExceeded once after Interrupt; any other is the kernel's, of
// recvmsg(2), and the socket stays usable.
func (s *Server) Receive() (Message, error) {
	for {
		if m, known, err := s.receive(s.conn.Read); known || err != nil {
			return m, err
		}
	}
}

// Interrupt has Receive, or the next call of it, return os.ErrDeadlineExceeded.
func (s *Server) Interrupt() { s.file.SetReadDeadline(time.Unix(1, 0)) } // long past

// arrived is Receive for the next datagram that has arrived; known is false where it
// has no known assignment. The error is EAGAIN if there is none.
func (s *Server) arrived() (m Message, known bool, err error) {
	return s.receive(func(read func(fd uintptr) bool) error {
		return s.conn.Control(func(fd uintptr) { read(fd) })
	})
}

// receive reads a datagram, by a function that calls another with the descriptor until
// that returns true.
func (s *Server) receive(by func(func(fd uintptr) bool) error) (m Message, known bool, err error) {
	data, sender, err := s.read(by)
	if err != nil {
		return m, false, fmt.Errorf("receive notify: %w", err)
	}
	m = Message{PID: int(sender.Pid), UID: int(sender.Uid), Assignments: Parse(data)}
	// 0 is nobody: the credentials are missing, or are those of a process
	// outside our pid namespace.
	if m.PID <= 0 || m.Assignments == (Assignments{}) {
		return m, false, nil
	}
	var r proc.Reader
	m.Lineage = ancestors(m.PID, &r)
	stat, _ := r.Stat(m.PID) // zero for a process that is gone
	m.Group = stat.Group
	return m, true, nil
}

// ancestors are pid and those above it, up to this process. A zombie still has a
// parent; a process that is gone has none.
func ancestors(pid int, r *proc.Reader) []int {
	return proc.Ancestors(pid, os.Getpid(), func(pid int) int {
		stat, _ := r.Stat(pid)
		return stat.Parent
	})
}

// read reads one datagram. Of a longer one than maxDatagram it returns the
// lines that arrived whole: a READY=1 counts, whatever a long STATUS= did.
func (s *Server) read(by func(func(fd uintptr) bool) error) (data []byte, sender unix.Ucred, err error) {
	var n, controln, flags int
	failed := by(func(fd uintptr) bool {
		err = eintr.Retry(func() (err error) {
			n, controln, flags, _, err = unix.Recvmsg(int(fd), s.data, s.control, 0)
			return err
		})
		return err != unix.EAGAIN
	})
	switch {
	case errors.Is(failed, os.ErrDeadlineExceeded):
		s.file.SetReadDeadline(time.Time{})
		return nil, sender, os.ErrDeadlineExceeded
	case failed != nil: // the poller has no other reason, and its error no exported name
		return nil, sender, os.ErrClosed
	case err != nil:
		return nil, sender, os.NewSyscallError("recvmsg", err)
	}
	data = s.data[:n]
	if flags&unix.MSG_TRUNC != 0 {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
	}
	messages, err := unix.ParseSocketControlMessage(s.control[:controln])
	if err == nil && len(messages) == 1 {
		if ucred, err := unix.ParseUnixCredentials(&messages[0]); err == nil {
			sender = *ucred
		}
	}
	return data, sender, nil
}
