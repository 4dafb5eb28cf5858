package notify

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// Send sends state, newline-separated assignments such as "READY=1", to
// address, the value of NOTIFY_SOCKET: an absolute path, or "@" and an
// abstract name. An empty address means that nobody listens and is no error.
//
// It never blocks: where the receiver's queue is full the datagram is lost and
// the error is EAGAIN. vsock addresses are refused with errors.ErrUnsupported.
func Send(address, state string) error {
	if address == "" {
		return nil
	}
	if err := send(address, state); err != nil {
		return fmt.Errorf("notify %s: %w", address, err)
	}
	return nil
}

func send(address, state string) error {
	switch {
	case strings.HasPrefix(address, "vsock"): // vsock: vsock-stream: vsock-seqpacket: …
		return fmt.Errorf("vsock: %w", errors.ErrUnsupported)
	case address[0] != '/' && address[0] != '@':
		return errors.New("neither an absolute path nor an @abstract name")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return eintr.Retry(func() error {
		return unix.Sendto(fd, []byte(state), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: address})
	})
}
