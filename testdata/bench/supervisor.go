package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A supervisor has the notification socket that NOTIFY_SOCKET names, sd_notify(3).
type supervisor struct {
	file    *os.File
	environ string // the variable
}

func newSupervisor() (*supervisor, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	s := &supervisor{file: os.NewFile(uintptr(fd), "notify")}
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil { // the kernel finds a name, unix(7)
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	s.environ = "NOTIFY_SOCKET=" + name.(*unix.SockaddrUnix).Name
	return s, nil
}

// ready waits until READY=1 has come so many times.
func (s *supervisor) ready(times int, timeout time.Duration) error {
	s.file.SetReadDeadline(time.Now().Add(timeout))
	for text := make([]byte, 4096); times > 0; {
		n, err := s.file.Read(text)
		if err != nil {
			return fmt.Errorf("wait for READY=1: %w", err)
		}
		if strings.HasPrefix(string(text[:n]), "READY=1") {
			times--
		}
	}
	return nil
}

func (s *supervisor) close() { s.file.Close() }
