package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Listen returns a listener for the unix socket that a descriptor is open on. The
// descriptor is duplicated, and stays the caller's. The socket becomes non-blocking,
// for all that have it; its file is not unlinked when the listener is closed.
func Listen(fd int) (net.Listener, error) {
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", os.NewSyscallError("dup", err))
	}
	file := os.NewFile(uintptr(duplicate), "control socket")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listener, nil
}

// Accept serves the clients that connect to a unix socket until that is closed: those
// of root and of the user that initd runs as. With local, clients that cannot be seen
// from this pid namespace are refused, as those of another container.
func (s *Server) Accept(listener net.Listener, local bool) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, for instance
			time.Sleep(time.Second)
			continue
		}
		s.accept(conn, local)
	}
}

// accept serves a client if it may be served.
func (s *Server) accept(conn net.Conn, local bool) {
	defer s.recover(func() { conn.Close() })
	c := &connection{Conn: conn, server: s, since: time.Now(), idle: true}
	pid, uid, err := Peer(conn)
	forbidden := ""
	switch {
	case err != nil || uid != 0 && uid != os.Geteuid():
		forbidden = fmt.Sprintf("uid %d may not control initd: only root and uid %d may", uid, os.Geteuid())
	case local && pid == 0:
		forbidden = "this socket is for clients in initd's own container; to control initd from another one, set control-socket"
	}
	if forbidden != "" {
		c.write(Answer{Code: Forbidden, Error: forbidden})
		conn.Close()
		return
	}
	c.root = uid == 0 && pid > 0
	if !s.admit(c) {
		c.write(Answer{Code: Busy, Error: fmt.Sprintf("too many clients: the limit is %d", maxConnections)})
		conn.Close()
		return
	}
	go c.serve()
}

// Serve serves the HTTP process, which may look at health and status, and change
// nothing. Settings are not for it, as a command among them may have a secret. It does
// not count against the bound. Serve reports whether the process has asked nothing for
// silenceLimit, which one that is alive never does.
func (s *Server) Serve(conn net.Conn) (silent bool) {
	c := &connection{Conn: conn, server: s, readOnly: true}
	return errors.Is(c.serve(), os.ErrDeadlineExceeded)
}

// admit counts a connection. Where there would be too many, those are ended whose
// client has hung up, or else the one that has been idle the longest.
func (s *Server) admit(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.connections) >= maxConnections {
		var oldest *connection
		for _, other := range slices.Clone(s.connections) {
			switch {
			case other.hungUp():
				s.end(other)
			case other.idle && (oldest == nil || other.since.Before(oldest.since)):
				oldest = other
			}
		}
		if len(s.connections) >= maxConnections && oldest != nil {
			s.end(oldest)
		}
	}
	if len(s.connections) >= maxConnections {
		return false
	}
	s.connections = append(s.connections, c)
	return true
}

// end ends a connection, which no longer counts. The caller has locked the mutex.
func (s *Server) end(c *connection) {
	c.ended = true
	c.Close()
	s.connections = slices.DeleteFunc(s.connections, func(other *connection) bool { return other == c })
	if len(s.connections) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}
