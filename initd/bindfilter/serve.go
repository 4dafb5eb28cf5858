package bindfilter

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/proc"
)

// A Supervisor answers the calls of a program and its descendants. Its functions are called by the goroutine of Serve.
type Supervisor struct {
	Listeners []Listener
	Inodes    []uint32 // of the listeners' sockets, as proc.Reader.Sockets has them

	Claim   func(index int) (fd int)            // of a listener's socket, which Serve closes; -1: there is none any more
	Adopted func(index int)                     // the program has the listener in place of its socket
	Foreign func(network, address string)       // it binds what is no listener
	Failed  func(what string, tid int, e error) // its call was continued although it may have meant a listener

	fd     int    // the descriptor of Install
	report func() // what is to be reported of a call once it is answered; nil: nothing
	reader proc.Reader
}

// Serve answers calls until no process is left that makes any. It closes fd, the descriptor that Install returned, and
// holds no thread while it waits.
func (s *Supervisor) Serve(fd int) error {
	unix.SetNonblock(fd, true) // for the poller: the kernel does not look at it
	file := os.NewFile(uintptr(fd), "seccomp")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	s.fd = fd
	buffer := make([]uint64, (notificationSize()+7)/8)
	for {
		var events int16
		if err := conn.Read(func(uintptr) bool { events = s.poll(); return events != 0 }); err != nil {
			return err
		}
		if events&unix.POLLIN == 0 {
			return nil // POLLHUP: nobody is under the filter any more
		}
		// It does not block after POLLIN, even if the call is over meanwhile: each is counted, and only we take one.
		n, err := receive(fd, buffer)
		switch {
		case err == nil:
			s.answer(n)
		case err != unix.ENOENT:
			return os.NewSyscallError("ioctl SECCOMP_IOCTL_NOTIF_RECV", err)
		}
	}
}

func (s *Supervisor) poll() int16 {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return 0
	}
	return fds[0].Revents
}

// answer answers one call. What cannot be understood proceeds: the kernel will say what is wrong with it. An error of
// the answer itself means that nobody waits for it any more.
func (s *Supervisor) answer(n notification) {
	s.report = nil
	if s.done(n) {
		n.succeed(s.fd)
	} else {
		n.proceed(s.fd)
	}
	if s.report != nil {
		s.report()
	}
}

// done reports whether nothing is left to be done for a call.
func (s *Supervisor) done(n notification) bool {
	i := slices.IndexFunc(abis, func(a abi) bool { return a.arch == n.arch })
	if i < 0 || n.tid == 0 {
		return false
	}
	a, number, args := abis[i], int(n.number), n.args
	if a.mask {
		number &^= x32Bit
	}
	if number == a.socketcall {
		words, ok := s.words(n, args[1])
		if !ok {
			return false
		}
		number = map[uint64]int{socketcallBind: a.bind, socketcallListen: a.listen}[args[0]]
		args = words
	}
	switch number {
	case a.bind:
		return s.bind(n, int(int32(args[0])), args[1], args[2])
	case a.listen:
		f, err := s.reader.File(int(n.tid), int(int32(args[0])))
		return err == nil && s.isOurs(f) && n.waits(s.fd)
	case a.unlink:
		return s.unlink(n, unix.AT_FDCWD, args[0])
	case a.unlinkat:
		return args[2]&unix.AT_REMOVEDIR == 0 && s.unlink(n, int(int32(args[0])), args[1])
	}
	return false
}

// words are the arguments that socketcall(2) has in memory, 32 bits each.
func (s *Supervisor) words(n notification, at uint64) (args [6]uint64, ok bool) {
	b := make([]byte, 12)
	if got, err := s.reader.Memory(int(n.tid), at, b); err != nil || got < len(b) {
		s.unreadable("bind", n, err)
		return args, false
	}
	for i := range 3 {
		args[i] = uint64(b[4*i]) | uint64(b[4*i+1])<<8 | uint64(b[4*i+2])<<16 | uint64(b[4*i+3])<<24
	}
	return args, true
}

// bind is for bind(2). A call that was interrupted by a signal after its socket was replaced comes again.
func (s *Supervisor) bind(n notification, fd int, at, length uint64) bool {
	b := make([]byte, min(length, unix.SizeofSockaddrAny))
	got, err := s.reader.Memory(int(n.tid), at, b)
	if err != nil {
		s.unreadable("bind", n, err)
		return false
	}
	want, ok := parse(b[:got])
	if !ok || !n.waits(s.fd) {
		return false
	}
	file, err := s.reader.File(int(n.tid), fd)
	if err != nil || !n.waits(s.fd) {
		s.unreadable("bind", n, err)
		return false
	}
	network := networkOf(file.Protocol)
	index := s.find(n, network, want)
	switch {
	case network == "":
		return false
	case index < 0:
		s.report = func() { s.Foreign(network, want.String()) }
		return false
	case s.isOurs(file):
		return true
	}
	return s.adopt(n, index, fd, file)
}

// find is the listener that a program's address means, -1 if it means none.
func (s *Supervisor) find(n notification, network string, want address) int {
	if want.at.IsValid() {
		return choose(s.Listeners, want, func(l Listener) bool { return l.Network == network })
	}
	return slices.IndexFunc(s.Listeners, func(l Listener) bool {
		return !l.At.IsValid() && network == "unix" &&
			(l.Path == want.path && strings.HasPrefix(want.path, "@") || l.mayBe(want.path) && s.same(n, unix.AT_FDCWD, want.path, l))
	})
}

// networkOf is what a protocol is in terms of listeners; empty: none of theirs. Go's servers listen by MPTCP, which falls
// back to TCP for each client that does not know it, and so does without.
func networkOf(protocol string) string {
	switch protocol = strings.TrimSuffix(strings.TrimPrefix(protocol, "MP"), "v6"); {
	case protocol == "TCP", protocol == "UDP":
		return strings.ToLower(protocol)
	case strings.HasPrefix(protocol, "UNIX"):
		return "unix"
	}
	return ""
}

// adopt replaces the program's socket by a listener.
func (s *Supervisor) adopt(n notification, index, fd int, file proc.File) bool {
	ours := s.Claim(index)
	if ours < 0 {
		return false
	}
	defer unix.Close(ours)
	var st unix.Stat_t
	if err := unix.Fstat(ours, &st); err != nil {
		return false
	}
	if s.Listeners[index].Network == "unix" && !sameProtocol(ours, file) {
		return false // datagrams have sockets of another kind, with the same family
	}
	if file.Flags&unix.O_NONBLOCK != 0 {
		// Never cleared: who does not block shares the description with us.
		if flags, err := unix.FcntlInt(uintptr(ours), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK == 0 {
			unix.SetNonblock(ours, true)
		}
	}
	switch err := n.replace(s.fd, ours, fd, file.Flags&unix.O_CLOEXEC != 0); {
	case err == unix.ENOENT: // it is over
		return false
	case err != nil:
		s.failed("bind", n, os.NewSyscallError("ioctl SECCOMP_IOCTL_NOTIF_ADDFD", err))
		return false
	}
	if !slices.Contains(s.Inodes, uint32(st.Ino)) {
		s.Inodes = append(s.Inodes, uint32(st.Ino))
	}
	s.report = func() { s.Adopted(index) }
	return true
}

// sameProtocol reports whether our socket is of the protocol of a program's.
func sameProtocol(ours int, theirs proc.File) bool {
	protocol, err := proc.Protocol("/proc/self/fd/" + strconv.Itoa(ours))
	return err == nil && protocol == theirs.Protocol
}

// isOurs reports whether a file is the socket of a listener.
func (s *Supervisor) isOurs(f proc.File) bool {
	return f.Inode != 0 && slices.Contains(s.Inodes, f.Inode)
}

// unlink is for unlink(2) and unlinkat(2).
func (s *Supervisor) unlink(n notification, dir int, at uint64) bool {
	b := make([]byte, unix.PathMax)
	got, err := s.reader.Memory(int(n.tid), at, b)
	if err != nil {
		s.unreadable("unlink", n, err)
		return false
	}
	end := slices.Index(b[:got], 0)
	if end <= 0 {
		return false
	}
	name := string(b[:end])
	return slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.mayBe(name) && s.same(n, dir, name, l) })
}

// same reports whether a program's path, relative to its directory dir, leads to the file of a listener.
func (s *Supervisor) same(n notification, dir int, name string, l Listener) bool {
	where := "cwd"
	switch {
	case strings.HasPrefix(name, "/"):
		where = "root"
	case dir != unix.AT_FDCWD:
		where = "fd/" + strconv.Itoa(dir)
	}
	device, inode, err := s.reader.Node(int(n.tid), where, name)
	var st unix.Stat_t
	return err == nil && unix.Lstat(l.Node, &st) == nil && uint64(st.Dev) == device && st.Ino == inode && n.waits(s.fd)
}

// unreadable is for a call whose arguments could not be read. If its thread is gone, or has given a wrong address, that
// is nothing to report.
func (s *Supervisor) unreadable(what string, n notification, err error) {
	if errors.Is(err, fs.ErrPermission) {
		s.failed(what, n, err)
	}
}

func (s *Supervisor) failed(what string, n notification, err error) {
	s.report = func() { s.Failed(what, int(n.tid), err) }
}
