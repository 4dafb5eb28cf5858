package layout

import (
	"errors"
	"os"
	"runtime/debug"
	"syscall"
)

// Map maps the scoreboard that a file descriptor is open on, whose offset it leaves
// alone: all workers share it. The mapping stays when the descriptor is closed.
func Map(fd int, protection int) (m Memory, s Sizes, err error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return nil, s, os.NewSyscallError("fstat", err)
	}
	switch {
	case stat.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return nil, s, errors.New("not a scoreboard: it is not a regular file")
	case stat.Size < HeaderSize || stat.Size > 1<<30:
		m = make(Memory, len(Magic))
		syscall.Pread(fd, m, 0)
		if _, err := Check(m); string(m) != Magic {
			return nil, s, err
		}
		return nil, s, errors.New("truncated, or far too large")
	}
	m, err = syscall.Mmap(fd, 0, int(stat.Size), protection, syscall.MAP_SHARED)
	if err != nil {
		return nil, s, os.NewSyscallError("mmap", err)
	}
	if !Guard(func() { s, err = Check(m) }) {
		err = ErrGone
	}
	if err != nil {
		syscall.Munmap(m)
		return nil, s, err
	}
	return m, s, nil
}

// Sealed reports whether a file can never be made shorter: F_GET_SEALS in fcntl(2).
func Sealed(fd int) bool {
	const getSeals, shrink = 1034, 2
	seals, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), getSeals, 0)
	return errno == 0 && seals&shrink != 0
}

// ErrGone is the error of a scoreboard whose file someone has made shorter.
var ErrGone = errors.New("truncated while in use")

// Guard calls f, which may access a mapped file, and reports whether that was still there.
// Whoever can write to a file can also make it shorter. Then its pages are gone, and
// access to them is SIGBUS: mmap(2). That must end neither initd nor a worker.
func Guard(f func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // see SetPanicOnFault
			ok = false
		default:
			panic(reason)
		}
	}()
	f()
	return true
}
