package sockdiag

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// listen gives a listener of a family on its loopback address, and the address.
func listen(t *testing.T, sa unix.Sockaddr) (int, unix.Sockaddr) {
	t.Helper()
	fd := open(t, sa)
	err := unix.Bind(fd, sa)
	if err == unix.EADDRNOTAVAIL {
		t.Skipf("no IPv6: %v", err)
	}
	if err = errors.Join(err, unix.Listen(fd, 9)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, at
}

func open(t *testing.T, sa unix.Sockaddr) int {
	t.Helper()
	family := unix.AF_UNIX
	switch sa.(type) {
	case *unix.SockaddrInet4:
		family = unix.AF_INET
	case *unix.SockaddrInet6:
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if family == unix.AF_INET6 && err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// connect gives both ends of a connection.
func connect(t *testing.T, listener int, at unix.Sockaddr) (client, server int) {
	t.Helper()
	client = open(t, at)
	if err := unix.Connect(client, at); err != nil {
		t.Fatal(err)
	}
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(server) })
	return client, server
}

// hungUp waits until the other end of fd has closed or sends no more.
func hungUp(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 30_000)
		if err != unix.EINTR {
			if n != 1 {
				t.Fatalf("poll: %d, %v", n, err)
			}
			return
		}
	}
}

func inode(t *testing.T, fd int) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// files counts the open files, those that the Go runtime opens for good when the
// first question is asked among them.
func files(t *testing.T) int {
	t.Helper()
	if err := Unix(func(UnixSocket) {}); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestTCP(t *testing.T) {
	for _, test := range []struct {
		name   string
		at     unix.Sockaddr
		family int
		dual   bool // the listener is of :: for both, and clients come by IPv4
	}{
		{"IPv4", &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, unix.AF_INET, false},
		{"IPv6", &unix.SockaddrInet6{Addr: [16]byte{15: 1}}, unix.AF_INET6, false},
		{"dual stack", &unix.SockaddrInet6{}, unix.AF_INET6, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.dual {
				listen(t, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}) // or there is no IPv6 to connect by
			}
			listener, at := listen(t, test.at)
			other, otherAt := listen(t, test.at)
			var local netip.AddrPort
			switch sa := at.(type) {
			case *unix.SockaddrInet4:
				local = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
			case *unix.SockaddrInet6:
				local = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
			}
			if test.dual {
				at = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(local.Port())}
				local = netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), local.Port())
			}
			waiting := open(t, at) // is in the queue of the listener to the end of this test
			_, stays := connect(t, listener, at)
			half, halved := connect(t, listener, at)
			goes, left := connect(t, listener, at)
			_, foreign := connect(t, other, otherAt)
			if err := errors.Join(unix.Connect(waiting, at), unix.Shutdown(half, unix.SHUT_WR), unix.Close(goes)); err != nil {
				t.Fatal(err)
			}
			hungUp(t, halved)
			hungUp(t, left)

			before := files(t)
			many := make([]uint16, 0, maxPorts+3)
			for port := uint16(1); len(many) < maxPorts+2; port++ {
				if port != local.Port() {
					many = append(many, port)
				}
			}
			slices.Sort(many)
			for _, ports := range [][]uint16{
				{local.Port()}, {1, local.Port()}, {local.Port(), 1, 65535}, append(many, local.Port()),
			} {
				for states, want := range map[States]map[uint32]States{
					Established:             {0: Established, inode(t, stays): Established},
					CloseWait:               {inode(t, halved): CloseWait, inode(t, left): CloseWait},
					Established | CloseWait: {0: Established, inode(t, stays): Established, inode(t, halved): CloseWait, inode(t, left): CloseWait},
				} {
					got := map[uint32]States{}
					err := TCP(test.family, states, ports, func(s TCPSocket) {
						if s.Local != local && s.Inode != inode(t, foreign) && len(ports) < 10 {
							t.Errorf("a socket at %v, want %v", s.Local, local)
						}
						if s.Local == local {
							got[s.Inode] = s.State
						}
					})
					if err != nil {
						t.Fatal(err)
					}
					if len(got) != len(want) {
						t.Errorf("%d ports, states %#x: %v, want %v", len(ports), states, got, want)
					}
					for inode, state := range want {
						if got[inode] != state {
							t.Errorf("%d ports, states %#x: %d is in state %#x, want %#x", len(ports), states, inode, got[inode], state)
						}
					}
				}
			}
			if err := TCP(test.family, Established, nil, func(s TCPSocket) { t.Errorf("without ports there is %+v", s) }); err != nil {
				t.Error(err)
			}
			if after := files(t); after != before {
				t.Errorf("%d files are open, %d were", after, before)
			}
		})
	}
}

func TestUnix(t *testing.T) {
	for name, path := range map[string]string{"path": t.TempDir() + "/socket", "abstract": "@" + t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			listener, at := listen(t, &unix.SockaddrUnix{Name: path})
			_, stays := connect(t, listener, at)
			half, halved := connect(t, listener, at)
			goes, left := connect(t, listener, at)
			full, shut := connect(t, listener, at)
			if err := errors.Join(unix.Shutdown(half, unix.SHUT_WR), unix.Close(goes), unix.Shutdown(full, unix.SHUT_RDWR)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := unix.Connect(open(t, at), at); err != nil {
					t.Fatal(err)
				}
			}
			before := files(t)
			want := map[uint32]bool{inode(t, stays): false, inode(t, halved): false, inode(t, left): true, inode(t, shut): true}
			raw := path + "\x00"
			if name == "abstract" {
				raw = "\x00" + path[1:]
			}
			err := Unix(func(s UnixSocket) {
				over, ours := want[s.Inode]
				if ours && (s.Over != over || string(s.Name) != raw || s.Type != unix.SOCK_STREAM) {
					t.Errorf("%+v %q, want Over %v at %q", s, s.Name, over, raw)
				}
				delete(want, s.Inode)
			})
			if err != nil || len(want) > 0 {
				t.Errorf("%v; missing %v", err, want)
			}
			if s, err := UnixListener(inode(t, listener)); err != nil || s.Waiting != 2 || s.Backlog != 9 {
				t.Errorf("UnixListener() = %+v, %v, want 2 that wait, of 9", s, err)
			}
			if s, err := UnixListener(1); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("UnixListener of no socket: %+v, %v", s, err)
			}
			if after := files(t); after != before {
				t.Errorf("%d files are open, %d were", after, before)
			}
		})
	}
}

// What the kernel does with a program, inet_diag_bc_run of linux/net/ipv4/inet_diag.c.
func passes(code []byte, port uint16) bool {
	left := len(code)
	for left > 0 {
		op := code[len(code)-left:]
		no := int(binary.NativeEndian.Uint16(op[2:]))
		holds := false
		switch op[0] {
		case 2:
			holds = port >= binary.NativeEndian.Uint16(op[6:])
		case 3:
			holds = port <= binary.NativeEndian.Uint16(op[6:])
		}
		if holds {
			left -= int(op[1])
		} else {
			left -= no
		}
	}
	return left == 0
}

func FuzzAnyOf(f *testing.F) {
	f.Add([]byte{0, 80}, uint16(80))
	f.Add([]byte{0, 80, 1, 187, 31, 144}, uint16(443))
	f.Add([]byte{0, 80, 1, 187, 31, 144}, uint16(444))
	f.Fuzz(func(t *testing.T, data []byte, port uint16) {
		var ports []uint16
		for rest := data; len(rest) > 1 && len(ports) < maxPorts; rest = rest[2:] {
			ports = append(ports, binary.BigEndian.Uint16(rest))
		}
		if len(ports) > 0 && passes(anyOf(ports), port) != slices.Contains(ports, port) {
			t.Errorf("%d passes %d: %v", ports, port, !slices.Contains(ports, port))
		}
	})
}

func FuzzParse(f *testing.F) {
	tcp := make([]byte, tcpAnswerSize)
	tcp[0], tcp[1] = unix.AF_INET, 8
	f.Add(tcp)
	f.Add([]byte("\x01\x01\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00/s\x00\x00\x05\x00\x06\x00\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if s, err := parseTCP(message); err == nil && (s.State == 0 || !s.Local.IsValid()) {
			t.Errorf("%+v", s)
		}
		if s, err := parseUnix(message); err == nil && len(s.Name) > len(message) {
			t.Errorf("%+v", s)
		}
	})
}
