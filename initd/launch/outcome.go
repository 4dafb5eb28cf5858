package launch

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// An Outcome is what becomes of a start. A nil *Outcome is that the program was executed.
type Outcome struct{ report *os.File } // the read end of the pipe, in the runtime's poller: waiting holds no thread

func newOutcome(fd int) *Outcome {
	unix.SetNonblock(fd, true)
	return &Outcome{os.NewFile(uintptr(fd), "report")}
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
	text, err := io.ReadAll(o.report)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		text = append(text, o.left()...)
	}
	return parseFailure(text)
}

// Ended has Wait return, for the child was reaped: it can write no more, although another process may hold the pipe.
func (o *Outcome) Ended() {
	if o != nil {
		o.report.SetReadDeadline(time.Unix(1, 0)) // long past
	}
}

// left is what is in the pipe.
func (o *Outcome) left() (text []byte) {
	conn, err := o.report.SyscallConn()
	if err != nil {
		return nil
	}
	conn.Control(func(fd uintptr) {
		buffer := make([]byte, 1<<16) // more than a report has
		n := 0
		if eintr.Retry(func() (err error) { n, err = unix.Read(int(fd), buffer); return err }) == nil {
			text = buffer[:n]
		}
	})
	return text
}
