package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The listener has descriptors of its own, which are close-on-exec and are closed
// with it, and leaves the socket's file and the one that was given alone.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the first time the runtime opens some for itself
		before := openDescriptors(t)
		listener, err := Listen(fd)
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		listener.(*net.UnixListener).SetDeadline(time.Now().Add(patience))
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := listener.(*net.UnixListener).SyscallConn()
		raw.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 || fd < 3 {
				t.Errorf("descriptor %d has flags %#x, %v", fd, flags, err)
			}
		})
		conn.Close()
		client.Close()
		listener.Close()
		if after := openDescriptors(t); i > 0 && after != before {
			t.Errorf("%d descriptors are open, and %d were", after, before)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("its file is gone: %v", err)
		}
	}
}

func TestListenErrors(t *testing.T) {
	if l, err := Listen(-1); !errors.Is(err, unix.EBADF) || err.Error() != "control socket: dup: bad file descriptor" {
		t.Errorf("%v, %v", l, err)
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if l, err := Listen(int(file.Fd())); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("%v, %v", l, err)
	}
}
