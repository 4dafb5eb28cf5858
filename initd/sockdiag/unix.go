package sockdiag

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// A UnixSocket is one of struct unix_diag_msg with its attributes,
// linux/unix_diag.h.
type UnixSocket struct {
	Type  int // unix.SOCK_STREAM, …
	Inode uint32
	Name  []byte // as bind(2) was given it; that of an accepted one is its listener's. Valid until visit returns

	// Over means that nothing can be sent in either direction any more: the other end
	// has closed, or both ends have shut down. If an end only sends no more, it is not
	// Over. The state does not show it: it stays ESTABLISHED.
	Over bool

	// Of a listener, the connections that wait to be accepted and how many may.
	Waiting, Backlog int
}

// Unix calls visit for the unix sockets that have a peer, or had. The kernel
// does not filter them by name.
func Unix(visit func(UnixSocket)) error {
	return unixSockets(unix.NLM_F_DUMP, unixQuestion(Established, 0, showName), visit)
}

// UnixListener looks at one socket that listens, by its inode. The kernel searches all
// sockets for it. The error is an fs.ErrNotExist if there is none.
func UnixListener(inode uint32) (found UnixSocket, err error) {
	err = unixSockets(0, unixQuestion(0, inode, showQueue), func(s UnixSocket) { found = s })
	if err == unix.ENOENT || err == nil && found.Inode != inode {
		err = fmt.Errorf("sock_diag unix: inode %d: %w", inode, fs.ErrNotExist)
	}
	return found, err
}

func unixSockets(flags int, question message, visit func(UnixSocket)) error {
	var broken error
	err := ask("unix", flags, question, func(message []byte) {
		if s, err := parseUnix(message); err != nil {
			broken = fmt.Errorf("sock_diag unix: %w", err)
		} else {
			visit(s)
		}
	})
	return cmp.Or(err, broken)
}

// Of linux/unix_diag.h: struct unix_diag_req and struct unix_diag_msg, what can be
// asked for, and the attributes of an answer.
const (
	unixQuestionSize = 24
	unixAnswerSize   = 16

	showName  = 0x01 // UDIAG_SHOW_NAME
	showQueue = 0x10 // UDIAG_SHOW_RQLEN

	nameAttribute     = 0 // UNIX_DIAG_NAME
	queueAttribute    = 4 // UNIX_DIAG_RQLEN: struct unix_diag_rqlen
	shutdownAttribute = 6 // UNIX_DIAG_SHUTDOWN, which comes unasked for
)

func unixQuestion(states States, inode uint32, show uint32) message {
	q := make(message, unixQuestionSize)
	q[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(q[4:], uint32(states))
	binary.NativeEndian.PutUint32(q[8:], inode)
	binary.NativeEndian.PutUint32(q[12:], show)
	// The cookie of the socket that is meant, where an inode is given: any.
	binary.NativeEndian.PutUint64(q[16:], ^uint64(0))
	return q
}

func parseUnix(m []byte) (s UnixSocket, err error) {
	if len(m) < unixAnswerSize {
		return s, fmt.Errorf("a message of %d bytes, want %d", len(m), unixAnswerSize)
	}
	s.Type, s.Inode = int(m[1]), binary.NativeEndian.Uint32(m[4:])
	for rest := m[unixAnswerSize:]; len(rest) >= 4; { // struct nlattr, netlink(7)
		size := int(binary.NativeEndian.Uint16(rest))
		if size < 4 || size > len(rest) {
			return UnixSocket{}, errors.New("an attribute that is longer than its message")
		}
		value := rest[4:size]
		switch kind := binary.NativeEndian.Uint16(rest[2:]); {
		case kind == nameAttribute:
			s.Name = value
		case kind == queueAttribute && len(value) >= 8:
			s.Waiting = int(binary.NativeEndian.Uint32(value))
			s.Backlog = int(binary.NativeEndian.Uint32(value[4:]))
		case kind == shutdownAttribute && len(value) >= 1:
			// RCV_SHUTDOWN and SEND_SHUTDOWN. A close(2) of the other end sets both
			// here (unix_release_sock of linux/net/unix/af_unix.c), its
			// shutdown(2) for writing the first alone.
			s.Over = value[0]&3 == 3
		}
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return s, nil
}
