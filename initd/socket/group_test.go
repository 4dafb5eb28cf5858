package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// families are a listener of each kind that reuse-port is about.
var families = []string{"port 127.0.0.1:0", "port [::1]:0", "port 127.0.0.1:u0", "port [::1]:u0"}

// ipv6 reports whether the loopback has an IPv6 address.
var ipv6 = sync.OnceValue(func() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
})

// needIPv6 skips the test where it has none.
func needIPv6(t *testing.T) {
	t.Helper()
	if !ipv6() {
		t.Skip("needs IPv6")
	}
}

// usable are those of the items that this machine has addresses for.
func usable(items ...string) []string {
	return slices.DeleteFunc(slices.Clone(items), func(item string) bool { return strings.Contains(item, "[::") && !ipv6() })
}

// openSlots opens items with a socket for each slot.
func openSlots(t *testing.T, slots int, items ...string) *Set {
	t.Helper()
	set, err := tryOpenSlots(slots, items...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

func tryOpenSlots(slots int, items ...string) (*Set, error) {
	specs, err := parse(items...)
	if err != nil {
		return nil, err
	}
	return Open(specs, Options{Mode: 0o777, UID: -1, GID: -1, ReusePort: true, Slots: slots})
}

// call makes a connection, or sends a datagram, which stays in a queue.
func call(t *testing.T, l Listener) net.Conn {
	t.Helper()
	at := l.at
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
	}
	conn, err := net.Dial(l.Network, at.String())
	if err == nil && l.Network == "udp" {
		_, err = conn.Write(nil) // even an empty datagram is one
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// answer takes what is in one of the group's queues and says whose that was.
func answer(t *testing.T, l Listener) (slot int) {
	t.Helper()
	var ready []unix.PollFd
	for _, fd := range l.group.fds {
		if _, found := inspect(fd); !found {
			fd = -1 // shut down
		}
		ready = append(ready, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if n, err := unix.Poll(ready, 10_000); n != 1 {
		t.Fatalf("%d sockets have something in their queue, want one: %v", n, err)
	}
	slot = slices.IndexFunc(ready, func(p unix.PollFd) bool { return p.Revents != 0 })
	take(t, l, slot)
	return slot
}

func take(t *testing.T, l Listener, slot int) {
	t.Helper()
	await(t, l, slot)
	fd := l.group.fds[slot]
	if l.Network == "udp" {
		if _, _, err := unix.Recvfrom(fd, nil, 0); err != nil {
			t.Fatal(err)
		}
		return
	}
	accepted, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(accepted)
}

// arrivals is to which slots of l so many calls come.
func arrivals(t *testing.T, l Listener, calls int) (slots []int) {
	t.Helper()
	came := make([]bool, len(l.group.fds))
	for range calls {
		conn := call(t, l)
		came[answer(t, l)] = true
		conn.Close()
	}
	for slot, yes := range came {
		if yes {
			slots = append(slots, slot)
		}
	}
	return slots
}

// shutDown does what a worker may do to the socket of its slot.
func shutDown(t *testing.T, l Listener, slot int) {
	t.Helper()
	if err := unix.Shutdown(l.group.fds[slot], unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
}

// Each slot gets a socket of its own, all on the same address and number.
func TestSlots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	shared := listener(t, unix.SOCK_STREAM, loopback())
	items := append(usable(families...), "port 127.0.0.1:0=70", "path "+path, fmt.Sprintf("port 127.0.0.1:%d=%d", portOf(t, shared), shared))
	set := openSlots(t, 3, items...)
	items[len(items)-2] = "path " + path + "2"
	one := open(t, items...)
	if a, b := set.Environ([]string{Systemd})[0], one.Environ([]string{Systemd})[0]; a != b {
		t.Errorf("environment %s, without reuse-port %s", a, b)
	}
	seen := make(map[uint64]string)
	for slot := range 3 {
		files := set.Files(slot)
		var want []string
		for i, l := range set.All() {
			fd := int(files[l.Number])
			own := l.Network != "unix" && !l.adopted
			if l.Number != one.All()[i].Number {
				t.Errorf("%s has number %d, without reuse-port %d", l.Key, l.Number, one.All()[i].Number)
			}
			if before, found := seen[cookie(t, fd)]; found == own && slot > 0 {
				t.Errorf("slot %d has the socket of %q at %s; has its own: want %v", slot, before, l.Key, own)
			}
			seen[cookie(t, fd)] = fmt.Sprintf("slot %d, %s", slot, l.Key)
			if statusFlags(t, fd)&unix.O_NONBLOCK != 0 {
				t.Errorf("%s of slot %d does not block", l.Key, slot)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s of slot %d: descriptor flags %#x, %v; want close-on-exec", l.Key, slot, flags, err)
			}
			want = append(want, fmt.Sprintf("%d %s %s", l.Number, l.Network, l.Address))
		}
		got := strings.Split(run(t, "worker", nil, nil, files, nil), "\n")[3:]
		if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("the worker of slot %d has\n%s\nwant\n%s", slot, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	notes := strings.Join(set.Notes(), "\n")
	if len(set.Notes()) != 2 || !strings.Contains(notes, path+", which all workers share: only TCP") || !strings.Contains(notes, "inherited") {
		t.Errorf("notes: %q, want the path and what was handed down", notes)
	}
	if len(one.Notes()) > 0 || one.group() {
		t.Errorf("without reuse-port: %q", one.Notes())
	}
}

func (s *Set) group() bool {
	return slices.ContainsFunc(s.listeners, func(l Listener) bool { return l.group != nil })
}

// Without steering all slots are served, and what is in a queue stays there.
func TestSlotsQueue(t *testing.T) {
	for _, item := range usable(families...) {
		set := openSlots(t, 4, item)
		l := set.All()[0]
		if got := arrivals(t, l, 200); len(got) != 4 {
			t.Errorf("%s: 200 calls came to slots %v, want all", item, got)
		}
		set.Steer([]int{2})
		for i := range 3 {
			call(t, l)
			if l.Network == "udp" {
				i = 0 // they are not counted
			}
			await(t, l, 2)
			for slot := range 4 {
				want := 0
				if slot == 2 {
					want = i + 1
				}
				if got := set.Queue(slot); got != want {
					t.Errorf("%s: %d calls wait in slot %d, want %d", item, got, slot, want)
				}
			}
		}
		if l.Network == "tcp" {
			if got, want := set.Waiting()[0].Length, 3; got != want {
				t.Errorf("%s: %d wait, want %d", item, got, want)
			}
		}
		// A worker has it, ends, and the next gets the same queue.
		run(t, "worker", nil, nil, set.Files(2), nil)
		set.Steer([]int{0})
		if _, err := set.Relisten(); err != nil || set.Queue(2) == 0 {
			t.Errorf("%s: the queue is lost after its worker has ended: %v", item, err)
		}
		for range 3 {
			take(t, l, 2)
		}
		if got := set.Queue(2); got != 0 {
			t.Errorf("%s: %d wait in the queue that is served", item, got)
		}
	}
}

// await waits until a slot's queue has something.
func await(t *testing.T, l Listener, slot int) {
	t.Helper()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.group.fds[slot]), Events: unix.POLLIN}}, 10_000); n != 1 {
		t.Fatalf("nothing came to slot %d: %v", slot, err)
	}
}

// An address in use is an error, also where the other would share it.
func TestSlotsInUse(t *testing.T) {
	for _, item := range usable(families...) {
		first := openSlots(t, 2, item)
		l := first.All()[0]
		again := "port " + l.Address
		if l.Network == "udp" {
			again = strings.Replace(again, fmt.Sprint(":", l.at.Port()), fmt.Sprint(":u", l.at.Port()), 1)
		}
		before := openFiles(t)
		for _, try := range []func() (*Set, error){
			func() (*Set, error) { return tryOpenSlots(2, again) },
			func() (*Set, error) { return tryOpen(again) },
		} {
			if set, err := try(); !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("%s was opened twice: %v, %v", item, set, err)
			}
		}
		if left := leftOpen(t, before); len(left) > 0 {
			t.Errorf("%s: it left open files %v", item, left)
		}
		first.Close()
		if _, err := tryOpenSlots(2, again); err != nil {
			t.Errorf("%s: %v after Close", item, err)
		}
	}
}

// Two that start together, both of which have bound and do not listen yet.
func TestSlotsRace(t *testing.T) {
	fd, at, err := bindInet("tcp", netip.MustParseAddrPort("127.0.0.1:0"), false, false)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	openSlots(t, 2, "port "+at.String())
	if err := unix.Listen(fd, 1); err != unix.EADDRINUSE {
		t.Errorf("the other one listens: %v, want EADDRINUSE", err)
	}
}

func TestGrow(t *testing.T) {
	for _, item := range usable(families...) {
		set := openSlots(t, 2, item, "path "+filepath.Join(t.TempDir(), "s"))
		l := set.All()[0]
		if set.Files(2)[l.Number] != set.Files(0)[l.Number] {
			t.Error("slot 2 does not share the socket of slot 0 before Grow")
		}
		if err := set.Grow(4); err != nil {
			t.Fatal(err)
		}
		if set.Files(3)[l.Number] == set.Files(1)[l.Number] {
			t.Error("slot 3 has no socket of its own")
		}
		if got := arrivals(t, l, 100); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("%s: calls came to %v before there was a worker, want 0 and 1", item, got)
		}
		if l.Network == "tcp" {
			shutDown(t, l, 1)
			set.Relisten()
			if got := arrivals(t, l, 100); !slices.Equal(got, []int{0, 1}) {
				t.Errorf("%s: one was mended, calls came to %v, want 0 and 1", item, got)
			}
		}
		if set.Steer(nil); len(arrivals(t, l, 200)) != 4 {
			t.Errorf("%s: not all of 4 slots were called", item)
		}
		if err := set.Grow(1); err != nil || len(l.group.fds) != 4 {
			t.Errorf("Grow(1): %v, %d sockets; want the 4 there were", err, len(l.group.fds))
		}
	}
	if err := open(t, families[0]).Grow(4); err != nil {
		t.Errorf("Grow without reuse-port: %v", err)
	}
}

func TestManySlots(t *testing.T) {
	const slots = 150 // more than the kernel has room for at first (INIT_SOCKS)
	for _, item := range usable(families...) {
		before := openFiles(t)
		set := openSlots(t, slots, item)
		l := set.All()[0]
		var even []int
		for slot := 0; slot < slots; slot += 2 {
			even = append(even, slot)
		}
		for _, chosen := range [][]int{even, {149}, {0}, {77, 140}} {
			if err := set.Steer(chosen); err != nil {
				t.Fatal(err)
			}
			for _, slot := range arrivals(t, l, 60) {
				if !slices.Contains(chosen, slot) {
					t.Errorf("%s: a call came to slot %d, which is not steered to", item, slot)
				}
			}
		}
		if l.Network == "tcp" {
			shutDown(t, l, 5)
			set.Relisten()
			set.Steer([]int{5})
			if got := arrivals(t, l, 5); !slices.Equal(got, []int{5}) {
				t.Errorf("%s: slot 5 was mended, calls came to %v", item, got)
			}
		}
		set.Close()
		if left := leftOpen(t, before); len(left) > 0 {
			t.Errorf("%s: Close left open files %v", item, left)
		}
	}
}

func TestSlotsLimit(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lower := unix.Rlimit{Cur: 256, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	before := openFiles(t)
	_, err := tryOpenSlots(100, "port 127.0.0.1:0", "port 127.0.0.1:u0", "path "+filepath.Join(t.TempDir(), "s"))
	if err == nil || !strings.Contains(err.Error(), "(--reuse-port): 100 slots with 2 sockets each need a limit of ") {
		t.Errorf("%v, want an error about the limit of open files", err)
	}
	if left := leftOpen(t, before); len(left) > 0 {
		t.Errorf("it left open files %v", left)
	}
	set := openSlots(t, 10, families[0])
	if err := set.Grow(300); err == nil {
		t.Error("grew to 300")
	}
	if got := arrivals(t, set.All()[0], 100); len(got) < 8 {
		t.Errorf("after Grow has failed calls come to %v", got)
	}
	// What it allows, it leaves room for: a worker of each slot can be started.
	run(t, "worker", nil, nil, set.Files(9), nil)
}
