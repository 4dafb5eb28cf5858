package worker

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// inheritance is what the process was started with.
type inheritance struct {
	source  string // the variable that lists them and its value, for errors; empty: there is none
	sockets []*socket
}

// socket is one that can be accepted on or read from.
type socket struct {
	key      string
	address  net.Addr
	listener net.Listener   // of a stream,
	conn     net.PacketConn // or of datagrams
}

// inherited takes over what the process was started with, once.
var inherited = sync.OnceValues(inherit)

func inherit() (inheritance, error) {
	joined() // its file is not to be inherited by others either
	in, err := described()
	if err != nil {
		return inheritance{}, fmt.Errorf("inherit %w", err)
	}
	fail := func(item item, err error) (inheritance, error) {
		return inheritance{}, fmt.Errorf("inherit %s: file descriptor %d: %w", in.source, item.fd, err)
	}
	// All are looked at before the first is taken over, which gives it another number:
	// that must not be mistaken for one of those inherited.
	var mine []item
	for _, item := range in.items {
		err := inspect(item.fd)
		switch {
		case err == nil:
			mine = append(mine, item)
		case in.anything && errors.Is(err, errNoListener):
			syscall.CloseOnExec(item.fd)
		default:
			return fail(item, err)
		}
	}
	for _, item := range mine {
		s, err := adopt(item)
		if err != nil {
			return fail(item, err)
		}
		in.sockets = append(in.sockets, s)
	}
	return in.inheritance, nil
}

// item is what a variable has about a file descriptor.
type item struct {
	key string // empty for the socket's address
	fd  int
}

// description is what the environment has about inherited files.
type description struct {
	inheritance
	items    []item
	anything bool // files other than listeners may be among them, and are ignored
}

// described reads the environment. SERVER_STARTER_PORT counts even if it is empty:
// then there is nothing to inherit.
func described() (t description, err error) {
	if ports, ok := os.LookupEnv("SERVER_STARTER_PORT"); ok {
		t.source = fmt.Sprintf("SERVER_STARTER_PORT=%q", ports)
		if t.items, err = parsePorts(ports); err != nil {
			err = fmt.Errorf("%s: %w", t.source, err)
		}
		return t, err
	}
	t.anything = true // sd_listen_fds(3)
	pid, err := count("LISTEN_PID", math.MaxInt32)
	if err != nil || pid != os.Getpid() {
		return t, err // without an error they are meant for another process
	}
	n, err := count("LISTEN_FDS", maxFiles)
	if err != nil || n == 0 {
		return t, err
	}
	t.source = fmt.Sprintf("LISTEN_FDS=%d", n)
	names := make([]string, n)
	if text, ok := os.LookupEnv("LISTEN_FDNAMES"); ok {
		if names = strings.Split(text, ":"); len(names) != n {
			return t, fmt.Errorf("LISTEN_FDNAMES=%q: %d names for %s", text, len(names), t.source)
		}
	}
	for i, name := range names {
		if name == "unknown" { // what systemd calls one that has no name
			name = ""
		}
		t.items = append(t.items, item{key: name, fd: 3 + i})
	}
	return t, nil
}

// maxFiles is how many files a process can have open at most, unless fs.nr_open
// was raised (proc_sys_fs(5)).
const maxFiles = 1 << 20

// count reads a variable of sd_listen_fds(3), which is 0 where it is unset.
func count(variable string, most uint64) (int, error) {
	text := os.Getenv(variable)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), n > most:
		return 0, fmt.Errorf("%s=%q: out of range", variable, text)
	case err != nil:
		return 0, fmt.Errorf("%s=%q: not a number", variable, text)
	}
	return int(n), nil
}

// parsePorts parses the value of SERVER_STARTER_PORT: key=fd joined by semicolons.
// A key may hold an equals sign, as a path does; a number never.
func parsePorts(ports string) (items []item, err error) {
	if ports == "" {
		return nil, nil
	}
	for pair := range strings.SplitSeq(ports, ";") {
		i := strings.LastIndexByte(pair, '=')
		if i < 1 {
			return nil, fmt.Errorf("%q is not key=fd", pair)
		}
		fd, err := strconv.ParseUint(pair[i+1:], 10, 31)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return nil, fmt.Errorf("%q: the file descriptor is out of range", pair)
		case err != nil:
			return nil, fmt.Errorf("%q is not key=fd", pair)
		}
		// Each number is given up when its socket is taken over.
		if slices.ContainsFunc(items, func(other item) bool { return other.fd == int(fd) }) {
			return nil, fmt.Errorf("%q: the file descriptor is listed twice", pair)
		}
		items = append(items, item{key: pair[:i], fd: int(fd)})
	}
	return items, nil
}

var errNoListener = errors.New("neither a listening socket nor a datagram socket")

// inspect checks that a file descriptor is a socket that can be used. Anything else is
// not touched, for the number may belong to another part of this process, the Go
// runtime for one.
func inspect(fd int) error {
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err == syscall.ENOTSOCK {
		return errNoListener
	} else if err != nil {
		return err
	}
	listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return err
	}
	if listens == 0 && kind != syscall.SOCK_DGRAM {
		return errNoListener
	}
	address, _ := syscall.Getsockname(fd)
	switch address.(type) {
	case *syscall.SockaddrInet4, *syscall.SockaddrInet6, *syscall.SockaddrUnix:
		return nil
	}
	return errNoListener // package net knows no others
}

// adopt makes a socket of a file descriptor, which is closed: the socket has another,
// close-on-exec one.
func adopt(from item) (*socket, error) {
	kind, err := syscall.GetsockoptInt(from.fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return nil, err
	}
	fd := from.fd
	if fd <= 2 {
		if fd, err = leaveStandard(fd); err != nil {
			return nil, err
		}
	}
	// None of these makes the socket block, not even for a moment: os.File.Fd, which
	// package net uses, only undoes what package os has done itself.
	file := os.NewFile(uintptr(fd), from.key)
	defer file.Close()
	s := &socket{key: from.key}
	if kind == syscall.SOCK_DGRAM {
		if s.conn, err = net.FilePacketConn(file); err != nil {
			return nil, err
		}
		s.address = s.conn.LocalAddr()
	} else {
		if s.listener, err = net.FileListener(file); err != nil {
			return nil, err
		}
		s.address = s.listener.Addr()
		if unix, ok := s.listener.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false) // the successor is to be reached there
		}
	}
	if s.key == "" {
		s.key = s.address.String()
	}
	return s, nil
}

// leaveStandard gives a socket that came as a standard stream another number, and
// opens /dev/null in its place: the next file to be opened must not become one.
func leaveStandard(fd int) (int, error) {
	other, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if errno != 0 {
		return 0, os.NewSyscallError("fcntl", errno)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return int(other), os.NewSyscallError("dup3", syscall.Dup3(int(null.Fd()), fd, 0))
}
