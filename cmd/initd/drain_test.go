package main_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// isRefused reports whether nobody has an address open.
func isRefused(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// TestFinalDrain: while initd stops, its address is open as long as a worker has it open, and no longer.
func TestFinalDrain(t *testing.T) {
	t.Parallel()
	for _, reuse := range []string{"reuse-port=false", "reuse-port=true"} {
		t.Run(reuse, func(t *testing.T) {
			t.Parallel()
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "port=127.0.0.1:0", reuse)}.start(t)
				p := s.generation(1).serve()
				p.ready()
				d.is("serving", 1)
				address := d.address("127.0.0.1")
				d.signal(syscall.SIGTERM)
				p.gets(syscall.SIGTERM)
				d.answers(p)
				p.do("close")
				if !isRefused(address) {
					t.Error("the worker has closed the listener, and a client can connect")
				}
				p.tell("exit", "0")
				d.exits(0)
			})
		})
	}
}

// TestPlainDrain: a plain init starts no other worker, and leaves the address to the command.
func TestPlainDrain(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "respawn=never", "port=127.0.0.1:0", "log-level=info")}.start(t)
		p := s.next().serve()
		address := d.address("127.0.0.1")
		d.signal(syscall.SIGTERM)
		p.gets(syscall.SIGTERM)
		d.answers(p)
		p.do("close")
		eventually(t, "the address is closed", func() bool { return isRefused(address) })
		p.tell("exit", "0")
		d.exits(0)
	})
}
