package worker

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
)

// A KeyedListener is an inherited listener with its key.
type KeyedListener struct {
	net.Listener
	Key string
}

// A KeyedPacketConn is an inherited socket for datagrams with its key.
type KeyedPacketConn struct {
	net.PacketConn
	Key string
}

// Listeners returns the inherited listeners, TCP and unix, in the order in which
// they are listed: none if the program was started by hand. The error names the
// variable that is wrong, and its value.
//
// To close one does not affect other processes that hold the socket, and does not
// remove the file of a unix socket.
func Listeners() ([]KeyedListener, error) {
	in, err := inherited()
	if err != nil {
		return nil, err
	}
	var all []KeyedListener
	for _, s := range in.sockets {
		if s.listener != nil {
			all = append(all, KeyedListener{s.listener, s.key})
		}
	}
	return all, nil
}

// PacketConns returns the inherited sockets for datagrams, UDP and unix, in the
// order in which they are listed. It is otherwise like Listeners.
//
// A datagram goes to one of the processes that read at that moment. A worker that is
// stopped closes its own descriptor, and its successor reads on.
func PacketConns() ([]KeyedPacketConn, error) {
	in, err := inherited()
	if err != nil {
		return nil, err
	}
	var all []KeyedPacketConn
	for _, s := range in.sockets {
		if s.conn != nil {
			all = append(all, KeyedPacketConn{s.conn, s.key})
		}
	}
	return all, nil
}

// Listener returns the inherited listener of that key, the first of several.
//
// Where the process has inherited no socket at all, it listens there itself: on a
// TCP port (8080 or :8080 is on every address), or on a unix socket if the key is
// a path or @name. If it has inherited only others, that is an error: initd has to be
// set to listen there as well.
//
// The same key gives the same listener each time.
func Listener(key string) (net.Listener, error) {
	s, err := find(key, func(s *socket) bool { return s.listener != nil }, listen)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", key, err)
	}
	return s.listener, nil
}

// PacketConn returns the inherited socket for datagrams of that key: 53, not u53,
// for a UDP port. It is otherwise like Listener.
func PacketConn(key string) (net.PacketConn, error) {
	s, err := find(key, func(s *socket) bool { return s.conn != nil }, listenPacket)
	if err != nil {
		return nil, fmt.Errorf("packet conn %s: %w", key, err)
	}
	return s.conn, nil
}

// own are the sockets that the process has made itself, because it inherited none.
var own struct {
	sync.Mutex
	sockets []*socket
}

// find returns the socket of a key, of those that fit, or makes it.
func find(key string, fits func(*socket) bool, open func(key string) (*socket, error)) (*socket, error) {
	in, err := inherited()
	if err != nil {
		return nil, err
	}
	if len(in.sockets) > 0 {
		// The key itself goes before what only has that address.
		for _, matches := range []func(*socket) bool{
			func(s *socket) bool { return s.key == key },
			func(s *socket) bool { return s.at(key) },
		} {
			if i := slices.IndexFunc(in.sockets, func(s *socket) bool { return fits(s) && matches(s) }); i >= 0 {
				return in.sockets[i], nil
			}
		}
		return nil, errors.New("not among the inherited sockets (" + in.source + ")")
	}
	own.Lock()
	defer own.Unlock()
	if i := slices.IndexFunc(own.sockets, func(s *socket) bool { return fits(s) && s.key == key }); i >= 0 {
		return own.sockets[i], nil
	}
	s, err := open(key)
	if err != nil {
		return nil, err
	}
	s.key = key
	own.sockets = append(own.sockets, s)
	return s, nil
}

// at reports whether key is the address of s. A key without a host is every address of
// the machine, of IPv4 or IPv6.
func (s *socket) at(key string) bool {
	if host, port, err := net.SplitHostPort(dialect(key)); err == nil && host == "" {
		key = "0.0.0.0:" + port
		if s.address.String() == "[::]:"+port {
			return true
		}
	}
	return s.address.String() == key
}

func listen(key string) (*socket, error) {
	network := "tcp"
	if isPath(key) {
		network = "unix"
	}
	l, err := net.Listen(network, dialect(key))
	return &socket{listener: l}, err
}

func listenPacket(key string) (*socket, error) {
	network := "udp"
	if isPath(key) {
		network = "unixgram"
	}
	c, err := net.ListenPacket(network, dialect(key))
	return &socket{conn: c}, err
}

func isPath(key string) bool { return strings.HasPrefix(key, "@") || strings.Contains(key, "/") }

// dialect is a key as package net writes it: a bare port has a colon there.
func dialect(key string) string {
	if isPath(key) || strings.Contains(key, ":") {
		return key
	}
	return ":" + key
}
