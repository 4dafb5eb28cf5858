package launch

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// An Outcome is what becomes of a start. A nil *Outcome is that the program was executed.
type Outcome struct {
	report *os.File // our end of a socket pair, in the runtime's poller: waiting holds no thread
	text   []byte   // that the stage has sent
	binds  int      // the descriptor that it has sent; -1: none
}

func newOutcome(fd int) *Outcome {
	unix.SetNonblock(fd, true)
	return &Outcome{report: os.NewFile(uintptr(fd), "report"), binds: -1}
}

// Wait waits until it is known what has become of the start, once: nil when the program was executed, a *Failure when
// it could not be. A child that ends before it could execute anything yields nil, too, for end of file is all that can
// be seen: only its exit shows it. That happens when it is killed, and near a limit of processes (pids.max,
// RLIMIT_NPROC) when it cannot start the stage's three further threads: then it exits with 2, and the Go runtime's
// message is on its standard error.
func (o *Outcome) Wait() error {
	if o == nil {
		return nil
	}
	defer o.report.Close()
	conn, err := o.report.SyscallConn()
	if err != nil {
		return nil
	}
	err = conn.Read(func(fd uintptr) bool { return o.receive(int(fd)) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		conn.Control(func(fd uintptr) { o.receive(int(fd)) }) // what is left
	}
	return parseFailure(o.text)
}

// Binds is, once Wait has returned, the descriptor on which a program that was started with Command.Binds has its calls
// answered, for bindfilter.Supervisor. It is the caller's to close. It is -1 if there is none.
func (o *Outcome) Binds() int {
	if o == nil {
		return -1
	}
	return o.binds
}

// Ended has Wait return, for the child was reaped: it can write no more, although another process may hold the pair.
func (o *Outcome) Ended() {
	if o != nil {
		o.report.SetReadDeadline(time.Unix(1, 0)) // long past
	}
}

// receive takes what the stage has sent, and reports whether no more will come.
func (o *Outcome) receive(fd int) (over bool) {
	rights := make([]byte, unix.CmsgSpace(4))
	for {
		var n, size int
		var text []byte
		err := eintr.Retry(func() (err error) {
			// How long a message is, for a report has a path of any length: recv(2).
			n, _, err = unix.Recvfrom(fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
			if n <= 0 || err != nil {
				return err
			}
			text = make([]byte, n)
			n, size, _, _, err = unix.Recvmsg(fd, text, rights, unix.MSG_CMSG_CLOEXEC)
			return err
		})
		if n <= 0 || err != nil {
			return err != unix.EAGAIN
		}
		if sent := descriptor(rights[:size]); sent >= 0 {
			o.binds = sent
		} else {
			o.text = append(o.text, text[:n]...)
		}
	}
}

// descriptor is that of a control message of unix(7), -1 if there is none.
func descriptor(rights []byte) int {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}
