package notify

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// peer is a bare datagram socket at address, "" for an autobound one.
func peer(t *testing.T, address string) (fd int, bound string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: address}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, sa.(*unix.SockaddrUnix).Name
}

func TestSend(t *testing.T) {
	for _, address := range []string{"", filepath.Join(t.TempDir(), "notify")} {
		fd, bound := peer(t, address)
		before := openFDs(t)
		if err := Send(bound, "READY=1\nSTATUS=x"); err != nil {
			t.Fatalf("Send to %q: %v", bound, err)
		}
		buf := make([]byte, 100)
		if n, err := unix.Read(fd, buf); err != nil || string(buf[:n]) != "READY=1\nSTATUS=x" {
			t.Errorf("%q received %q, %v", bound, buf[:max(n, 0)], err)
		}
		if after := openFDs(t); after != before {
			t.Errorf("%d files open, %d before", after, before)
		}
	}
}

func TestSendToNobody(t *testing.T) {
	if err := Send("", "READY=1"); err != nil {
		t.Errorf("no address: %v", err)
	}
}

func TestSendErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct {
		address string
		is      error
		text    string
	}{
		{missing, unix.ENOENT, "notify " + missing + ": no such file or directory"},
		{"@no such server", unix.ECONNREFUSED, "notify @no such server: connection refused"},
		{"/" + strings.Repeat("x", 200), unix.EINVAL, "invalid argument"},
		{"vsock:2:1234", errors.ErrUnsupported, "notify vsock:2:1234: vsock: unsupported operation"},
		{"vsock-stream:2:1234", errors.ErrUnsupported, "vsock"},
		{"relative", nil, "notify relative: neither an absolute path nor an @abstract name"},
	}
	before := openFDs(t)
	for _, test := range tests {
		err := Send(test.address, "READY=1")
		if err == nil || !strings.Contains(err.Error(), test.text) || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("Send to %q: %v, want %v: %s", test.address, err, test.is, test.text)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

// A receiver that does not read must not hold the sender up.
func TestSendNeverBlocks(t *testing.T) {
	_, address := peer(t, "")
	for range 100_000 {
		if err := Send(address, "WATCHDOG=1"); err != nil {
			if !errors.Is(err, unix.EAGAIN) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("the queue never filled up")
}
