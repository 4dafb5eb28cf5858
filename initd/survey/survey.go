// Package survey finds out what workers are doing without their help: from /proc,
// and from what sock_diag(7) knows of their connections. A [Surveyor] adds what
// they report themselves on the scoreboard.
package survey

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"server-starter/initd/proc"
	"server-starter/initd/socket"
)

// Facts are what may be asked for. Each costs; what is not asked for is not read.
type Facts uint8

const (
	CPU          Facts = 1 << iota // a system call for each worker
	Resident                       // three
	Proportional                   // the kernel looks at each page of memory
	Connections                    // a dump of the listeners' connections, and each file of each worker
	Disconnects                    // as much, but next to nothing while no client has gone away
)

// A Request is which workers to look at, and what for.
type Request struct {
	Facts     Facts
	PIDs      []int             // the workers
	Listeners []socket.Listener // whose connections count; not needed without Connections and Disconnects

	// Descendants counts in what a worker's descendants use and hold, for programs
	// that fork under the process that was started. Their connections are looked for
	// only if there are some that no worker has.
	Descendants bool
}

// A Worker is what was found of one.
type Worker struct {
	// Known is which facts these are. Of those asked for one may be missing,
	// because it could not be read. Disconnects brings Connections along, unless
	// no client of any worker has gone.
	Known Facts

	CPU          time.Duration // used since it was started, in user mode and the kernel. Of a process with descendants it may also go back, as one is lost
	Resident     int64         // bytes; where descendants count, what they share counts for each
	Proportional int64         // bytes

	Open   int // connections that it has accepted from the listeners and not closed
	Closed int // those of them whose client has closed. Of TCP: or sends no more, see Take
}

// Take takes a survey. Workers that have ended are not in the result. The error
// joins at most one of each kind: fs.ErrPermission if workers' files may not be
// read, errors.ErrUnsupported if the kernel lacks something. What was found all the
// same is in the result.
//
// A connection is Closed if it is in CLOSE_WAIT (tcp(7)): the client has sent its
// FIN. That is what close(2) does, and also shutdown(2) for writing by a client
// that still waits for its answer, as `nc -N` does. The kernel of a server
// cannot tell one from the other before it sends something, to which a client
// that has closed answers with RST. Of unix sockets the kernel knows: one is
// Closed only if the client can receive no more.
func Take(r Request) (map[int]Worker, error) {
	s := survey{Request: r, found: make(map[int]Worker, len(r.PIDs))}
	for _, pid := range r.PIDs {
		s.look(pid)
	}
	if r.Facts&(Connections|Disconnects) != 0 {
		if err := s.connections(); err != nil {
			s.note(err)
		}
	}
	return s.found, errors.Join(s.errs...)
}

type survey struct {
	Request
	proc  proc.Reader
	found map[int]Worker
	errs  []error
}

// look finds what can be found of each worker for itself.
func (s *survey) look(pid int) {
	// Which is also how to find out whether it is there.
	if _, err := proc.CPU(pid); proc.Gone(err) {
		return
	}
	members := []int{pid}
	if s.Facts&(CPU|Resident|Proportional) != 0 {
		members = s.family(pid)
	}
	var w Worker
	sum := func(fact Facts, read func(pid int) (int64, error)) (total int64) {
		if s.Facts&fact == 0 {
			return 0
		}
		for _, member := range members {
			n, err := read(member)
			if err != nil && !proc.Gone(err) {
				s.note(err)
				return 0
			}
			total += n
		}
		w.Known |= fact
		return total
	}
	w.CPU = time.Duration(sum(CPU, s.cpu))
	w.Resident = sum(Resident, s.proc.Resident)
	w.Proportional = sum(Proportional, s.proc.Proportional)
	s.found[pid] = w
}

// cpu is in nanoseconds. Where descendants count, so do those that have ended and
// were waited for.
func (s *survey) cpu(pid int) (int64, error) {
	used, err := proc.CPU(pid)
	if err == nil && s.Descendants {
		var stat proc.Stat
		stat, err = s.proc.Stat(pid)
		used += stat.Reaped
	}
	return int64(used), err
}

// family is a worker and, where they count, its descendants.
func (s *survey) family(pid int) []int {
	if !s.Descendants {
		return []int{pid}
	}
	return proc.Descendants(pid, func(pid int, pids []int) []int {
		pids, err := s.proc.Children(pid, pids)
		if err != nil && !proc.Gone(err) {
			s.note(err)
		}
		return pids
	})
}

// note keeps the first error of each kind.
func (s *survey) note(err error) {
	for _, kind := range []error{fs.ErrPermission, errors.ErrUnsupported} {
		if errors.Is(err, kind) && slices.ContainsFunc(s.errs, func(before error) bool { return errors.Is(before, kind) }) {
			return
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; %s", err, remedy)
	}
	if len(s.errs) < 4 {
		s.errs = append(s.errs, err)
	}
}

// remedy is what can be done where workers' files may not be read.
const remedy = "initd can inspect processes of its own user and, as root with the capabilities SETUID and SETGID, those of other users, " +
	"but not a program that changed its user itself or has capabilities that initd lacks; " +
	"with the capability SYS_PTRACE (docker run --cap-add SYS_PTRACE) it can inspect all"
