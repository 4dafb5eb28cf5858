// Package output takes what the workers and initd itself write to its destination:
// the end of a file, or a command. [Logs] are all of them.
//
// Either way workers write to a pipe, pipe(7), and initd holds both of its ends.
// So a command that ends takes nothing with it that it had not read, and the
// next one goes on; and a file can be opened anew, after it was renamed, for
// workers that run already. What no file takes, because the disk is full for
// instance, is dropped: no worker sees an error for it, and none waits.
//
// Where the last lines of each worker are to be known, each has a pipe of its own,
// and a relay passes on what comes by them to that place, or to initd's stderr.
//
// Lines that workers write with one write(2) of at most 4096 bytes stay whole.
package output

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Pipe is the way to a command. Its ends are blocking and close-on-exec.
type Pipe struct{ Read, Write int }

// NewPipe returns a pipe that a process of the user uid may open by name to write, by
// /dev/stdout for instance, and not to read, which would take the lines of others:
// proc_pid_fd(5). It stays initd's own, since its owner could change that. So only those
// are kept from reading it who are another user, and not root; but nobody else finds
// its name.
func NewPipe(uid int) (*Pipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	mode := uint32(0o200)
	if uid != os.Geteuid() {
		mode = 0o222
	}
	unix.Fchmod(ends[1], mode)
	return &Pipe{ends[0], ends[1]}, nil
}

// CloseWrite closes initd's own write end. Whoever reads the pipe comes to its end
// when the last process that has it open for writing has closed it.
func (p *Pipe) CloseWrite() {
	if p.Write >= 0 {
		unix.Close(p.Write)
		p.Write = -1
	}
}

// Remaining takes what is in the pipe by now, and waits for nothing more.
func (p *Pipe) Remaining(to func([]byte)) {
	unix.SetNonblock(p.Read, true)
	// Somebody may go on writing, and faster than that can be taken.
	left, _ := unix.IoctlGetInt(p.Read, unix.TIOCINQ) // FIONREAD
	buffer := make([]byte, size)
	for left > 0 {
		n, err := read(p.Read, buffer[:min(left, size)])
		if err != nil {
			return
		}
		to(buffer[:n])
		left -= n
	}
}

const size = 16 << 10 // bytes that are taken at once
