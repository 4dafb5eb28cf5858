package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An ear is a notification socket, as a supervisor has one: what NOTIFY_SOCKET names (sd_notify(3)).
type ear struct {
	file    *os.File
	environ string // the variable
}

func listenIn() (*ear, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	e := &ear{file: os.NewFile(uintptr(fd), "notify")}
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil { // the kernel finds a name, unix(7)
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	e.environ = "NOTIFY_SOCKET=" + name.(*unix.SockaddrUnix).Name
	return e, nil
}

// ready waits until so many have said READY=1.
func (e *ear) ready(times int) error {
	e.file.SetReadDeadline(time.Now().Add(patience))
	for text := make([]byte, 4096); times > 0; {
		n, err := e.file.Read(text)
		if err != nil {
			return fmt.Errorf("waiting for READY=1: %w", err)
		}
		if strings.HasPrefix(string(text[:n]), "READY=1") {
			times--
		}
	}
	return nil
}

func (e *ear) close() { e.file.Close() }
