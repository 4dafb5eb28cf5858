package bindfilter

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// run interprets the filter as seccomp(2) does: the instructions that it uses.
func run(t *testing.T, code []unix.SockFilter, arch uint32, number int32, first uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data, uint32(number))
	binary.LittleEndian.PutUint32(data[4:], arch)
	binary.LittleEndian.PutUint64(data[16:], first)
	var a uint32
	for pc := 0; pc < len(code); pc++ {
		switch c := code[pc]; c.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.LittleEndian.Uint32(data[c.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= c.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == c.K {
				pc += int(c.Jt)
			} else {
				pc += int(c.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return c.K
		default:
			t.Fatalf("instruction %d is %+v", pc, c)
		}
	}
	t.Fatal("the filter does not end")
	return 0
}

// On every machine the calls of both abis are stopped, and no others.
func TestProgram(t *testing.T) {
	const stop, pass = unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW
	for _, c := range []struct {
		name   string
		abis   []abi
		paths  bool
		arch   uint32
		number int32
		first  uint64
		want   uint32
	}{
		{"bind", []abi{amd64, i386}, false, unix.AUDIT_ARCH_X86_64, 49, 3, stop},
		{"listen", []abi{amd64, i386}, false, unix.AUDIT_ARCH_X86_64, 50, 3, stop},
		{"connect", []abi{amd64, i386}, true, unix.AUDIT_ARCH_X86_64, 42, 3, pass},
		{"unlink without paths", []abi{amd64, i386}, false, unix.AUDIT_ARCH_X86_64, 87, 3, pass},
		{"unlink", []abi{amd64, i386}, true, unix.AUDIT_ARCH_X86_64, 87, 3, stop},
		{"unlinkat", []abi{amd64, i386}, true, unix.AUDIT_ARCH_X86_64, 263, 3, stop},
		{"bind of x32", []abi{amd64, i386}, false, unix.AUDIT_ARCH_X86_64, 49 | x32Bit, 3, stop},
		{"read of x32", []abi{amd64, i386}, true, unix.AUDIT_ARCH_X86_64, 0 | x32Bit, 3, pass},
		{"no call", []abi{amd64, i386}, true, unix.AUDIT_ARCH_X86_64, -1, 3, pass},
		{"bind of i386", []abi{amd64, i386}, false, unix.AUDIT_ARCH_I386, 361, 3, stop},
		{"socketcall bind", []abi{amd64, i386}, false, unix.AUDIT_ARCH_I386, 102, socketcallBind, stop},
		{"socketcall listen", []abi{amd64, i386}, false, unix.AUDIT_ARCH_I386, 102, socketcallListen, stop},
		{"socketcall accept", []abi{amd64, i386}, true, unix.AUDIT_ARCH_I386, 102, 5, pass},
		{"unlink of i386", []abi{amd64, i386}, true, unix.AUDIT_ARCH_I386, 10, 3, stop},
		{"i386 has another call of that number", []abi{amd64, i386}, true, unix.AUDIT_ARCH_I386, 49, 3, pass},
		{"bind of arm64", []abi{arm64, arm}, false, unix.AUDIT_ARCH_AARCH64, 200, 3, stop},
		{"unlinkat of arm64", []abi{arm64, arm}, true, unix.AUDIT_ARCH_AARCH64, 35, 3, stop},
		{"bind of arm", []abi{arm64, arm}, true, unix.AUDIT_ARCH_ARM, 282, 3, stop},
		{"arm alone", []abi{arm}, true, unix.AUDIT_ARCH_ARM, 328, 3, stop},
		{"socketcall of arm", []abi{arm}, true, unix.AUDIT_ARCH_ARM, 102, socketcallBind, pass},
		{"another machine", []abi{arm}, true, unix.AUDIT_ARCH_X86_64, 49, 3, pass},
	} {
		if got := run(t, program(c.abis, c.paths), c.arch, c.number, c.first); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	at := func(text string) address { return address{at: netip.MustParseAddrPort(text)} }
	tcp := func(text string) Listener { return Listener{Network: "tcp", At: netip.MustParseAddrPort(text)} }
	dual := Listener{Network: "tcp", At: netip.MustParseAddrPort("[::]:80"), Dual: true}
	udp := Listener{Network: "udp", At: netip.MustParseAddrPort("0.0.0.0:80")}
	unix := Listener{Network: "unix", Path: "/s", Node: "/s"}
	for _, c := range []struct {
		asked string
		have  []Listener
		want  int
	}{
		{"0.0.0.0:80", []Listener{unix, udp, tcp("0.0.0.0:80")}, 2},
		{"0.0.0.0:81", []Listener{tcp("0.0.0.0:80")}, -1},
		{"0.0.0.0:80", []Listener{udp}, -1},
		{"0.0.0.0:80", []Listener{tcp("127.0.0.1:80")}, 0},
		{"127.0.0.1:80", []Listener{tcp("0.0.0.0:80")}, 0},
		{"127.0.0.1:80", []Listener{tcp("0.0.0.0:80"), tcp("127.0.0.1:80")}, 1},
		{"127.0.0.1:80", []Listener{tcp("127.0.0.2:80")}, -1},
		{"127.0.0.1:80", []Listener{tcp("[::]:80")}, -1}, // V6ONLY
		{"127.0.0.1:80", []Listener{dual}, 0},
		{"127.0.0.1:80", []Listener{dual, tcp("0.0.0.0:80")}, 1},
		{"[::ffff:127.0.0.1]:80", []Listener{tcp("127.0.0.1:80")}, 0},
		{"[::]:80", []Listener{tcp("0.0.0.0:80"), tcp("[::1]:80"), dual}, 2},
		{"[::]:80", []Listener{tcp("0.0.0.0:80"), tcp("[::1]:80")}, 1},
		{"[::]:80", []Listener{tcp("0.0.0.0:80")}, 0},
		{"[::]:80", []Listener{tcp("192.0.2.7:80")}, 0},
		{"[::1]:80", []Listener{tcp("0.0.0.0:80")}, -1},
		{"[::1]:80", []Listener{dual}, 0},
		{"0.0.0.0:80", []Listener{tcp("[::1]:80")}, -1},
	} {
		if got := choose(c.have, at(c.asked), func(l Listener) bool { return l.Network == "tcp" }); got != c.want {
			t.Errorf("%s of %v: %d, want %d", c.asked, c.have, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	family := func(f uint16, rest ...byte) []byte { return append(binary.NativeEndian.AppendUint16(nil, f), rest...) }
	four := family(unix.AF_INET, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	six := append(family(unix.AF_INET6, 0, 80, 0, 0, 0, 0), append(make([]byte, 15), 1)...)
	for _, c := range []struct {
		name string
		b    []byte
		want string // empty: it is none
	}{
		{"ip", four, "127.0.0.1:80"},
		{"ip, cut off", four[:15], ""},
		{"ip, port of the kernel's choice", family(unix.AF_INET, make([]byte, 14)...), ""},
		{"ipv6", six, "[::1]:80"},
		{"ipv6, cut off", six[:23], ""},
		{"path", family(unix.AF_UNIX, []byte("/run/s\x00garbage")...), "/run/s"},
		{"path without an end", family(unix.AF_UNIX, []byte("/run/s")...), "/run/s"},
		{"abstract, with a zero", family(unix.AF_UNIX, []byte("\x00a\x00b")...), "@a\x00b"},
		{"autobind", family(unix.AF_UNIX), ""},
		{"netlink", family(unix.AF_NETLINK, make([]byte, 10)...), ""},
		{"a byte", []byte{2}, ""},
		{"nothing", nil, ""},
	} {
		a, ok := parse(c.b)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%s: %v, %v; want %q", c.name, a, ok, c.want)
		}
	}
}
