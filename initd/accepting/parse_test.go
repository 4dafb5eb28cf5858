package accepting

import (
	"errors"
	"math/bits"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/initd/machine"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestParseCall(t *testing.T) {
	for line, want := range map[string]call{
		"running\n":            {runs: true},
		"-1 0x7ffc12 0x7f34\n": {number: -1, stack: 0x7ffc12},
		"-1 0x0 0x0":           {number: -1},
		"43 0x3 0x0 0x0 0x0 0x0 0x0 0x7ffd00000000 0x7f1": {number: 43, args: [6]uint64{3}, stack: 0x7ffd00000000},
	} {
		if got, err := parseCall([]byte(line)); err != nil || got != want {
			t.Errorf("%q is %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "sleeping", "43 0x3", "43 0x3 0x0", "x 0x0 0x0", "43 0x3 0x0 0x0 0x0 0x0 0x0 0x7ffd zz"} {
		if c, err := parseCall([]byte(line)); err == nil {
			t.Errorf("%q is %+v", line, c)
		}
	}
}

func FuzzParseCall(f *testing.F) {
	f.Add([]byte("7 0x7ffd 0x1 0x0 0x0 0x0 0x0 0x7ffd00000000 0x7f1"), []byte{3, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, line, set []byte) {
		c, err := parseCall(line)
		if err != nil {
			return
		}
		c.foreign()
		if size := c.size(); size < 0 || size > maxDescriptors*sizeofPollfd {
			t.Errorf("%d bytes", size)
		}
		for _, fd := range c.descriptors(set) {
			if fd < 0 {
				t.Errorf("descriptor %d", fd)
			}
		}
		for range targets(set) {
		}
	})
}

// TestForeign shows that a 32-bit program is recognized by its stack.
func TestForeign(t *testing.T) {
	for _, test := range []struct {
		c    call
		want bool
	}{
		{call{number: 102, stack: 0xffd3_0000}, bits.UintSize == 64},
		{call{number: 43, stack: 0x7ffd_0000_0000}, false},
		{call{number: -1}, false},
	} {
		if got := test.c.foreign(); got != test.want {
			t.Errorf("%+v: %v", test.c, got)
		}
	}
}

func TestTargets(t *testing.T) {
	text := "pos:\t0\nflags:\t02000002\ntfd:        6 events:       19 data:          6  pos:0 ino:d5a7 sdev:9\ntfd:       12 events: 2000001d data: ffffffff00000c  pos:0 ino:1 sdev:e\ntfd: 3 events: 1\n"
	want := []target{{6, 0x19, 0xd5a7, 9}, {12, 0x2000001d, 1, 0xe}, {3, 1, 0, 0}}
	if got := slices.Collect(targets([]byte(text))); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	for range targets([]byte(text)) {
		break
	}
}

func TestDescriptors(t *testing.T) {
	number := func(k kind) int {
		for n, other := range kinds {
			if other == k {
				return n
			}
		}
		t.Skip("the system calls of this processor are not known")
		return 0
	}
	poll := call{number: number(polls), args: [6]uint64{0x1000, 3}}
	set := []byte{3, 0, 0, 0, unix.POLLIN, 0, 0, 0, 4, 0, 0, 0, unix.POLLOUT, 0, 0, 0, 255, 255, 255, 255, unix.POLLIN, 0, 0, 0}
	if got := poll.descriptors(set); !reflect.DeepEqual(got, []int{3}) || poll.size() != 24 || poll.address() != 0x1000 {
		t.Errorf("%v, %d bytes at %x", got, poll.size(), poll.address())
	}
	choose := call{number: number(selects), args: [6]uint64{12, 0x2000}}
	if got := choose.descriptors([]byte{0b1000, 0b1001}); !reflect.DeepEqual(got, []int{3, 8, 11}) || choose.size() != bits.UintSize/8 || choose.address() != 0x2000 {
		t.Errorf("%v, %d bytes at %x", got, choose.size(), choose.address())
	}
	choose.args[0] = 11 // the rest is none of its business
	if got := choose.descriptors([]byte{0b1000, 0b1001}); !reflect.DeepEqual(got, []int{3, 8}) {
		t.Errorf("%v", got)
	}
	choose.args[1] = 0
	if choose.size() != 0 {
		t.Errorf("no set has %d bytes", choose.size())
	}
}

func TestJudge(t *testing.T) {
	all := []Listener{{Key: "8080"}, {Key: "9090"}, {Key: "53", Datagrams: true}}
	no, first, last := []bool{false, false, false}, []bool{true, false, false}, []bool{false, false, true}
	tests := []struct {
		name   string
		seen   Seen
		wanted []bool
		sight  machine.Sight
		reason string
	}{
		{"any", Seen{Waits: last}, nil, machine.Accepting, ""},
		{"any, and nothing was wanted", Seen{Waits: last}, no, machine.Accepting, ""},
		{"none", Seen{Waits: no}, nil, machine.NotAccepting, "does not accept connections on 8080, 9090, 53"},
		{"that one", Seen{Waits: first}, first, machine.Accepting, ""},
		{"another", Seen{Waits: first}, last, machine.NotAccepting, "does not receive on 53"},
		{"not all", Seen{Waits: first}, []bool{true, true, false}, machine.NotAccepting, "does not accept connections on 9090"},
		{"busy", Seen{Waits: no, Runs: true}, first, machine.Undecided, "was never seen to accept connections on 8080, for it is busy"},
		{"hidden", Seen{Waits: no, Runs: true, Blind: errors.New("it hides")}, first, machine.Unknown, "may or may not accept connections on 8080: it hides"},
		{"hidden in part", Seen{Waits: first, Blind: errors.New("it hides")}, first, machine.Accepting, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if sight, reason := test.seen.Judge(all, test.wanted); sight != test.sight || reason != test.reason {
				t.Errorf("%v %q", sight, reason)
			}
		})
	}
	if got := Wanted([]Seen{{Waits: first}, {Waits: last}}); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("wanted %v", got)
	}
}
