package socket

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSteer(t *testing.T) {
	for _, item := range usable(families...) {
		set := openSlots(t, 7, item)
		l := set.All()[0]
		for _, slots := range [][]int{{0}, {6}, {3}, {0, 1, 2}, {1, 3, 5}, {0, 2, 4, 6}, {0, 1, 5, 6}, {5, 6}, {0, 1, 2, 3, 4, 5, 6}, nil} {
			if err := set.Steer(slots); err != nil || set.unsteered != nil {
				t.Fatalf("%s: Steer(%v): %v", item, slots, err)
			}
			want := slots
			if want == nil {
				want = []int{0, 1, 2, 3, 4, 5, 6}
			}
			if got := arrivals(t, l, 200); !slices.Equal(got, want) {
				t.Errorf("%s: steered to %v, calls came to %v", item, want, got)
			}
		}
	}
}

// Datagrams of one source come to one slot, and go to another only if that slot
// is left out.
func TestSteerFlows(t *testing.T) {
	for _, item := range usable(families[2:]...) {
		set := openSlots(t, 5, item)
		l := set.All()[0]
		var clients []net.Conn
		for range 60 {
			clients = append(clients, call(t, l))
			answer(t, l)
		}
		where := func() (slots []int) {
			for _, c := range clients {
				c.Write([]byte("x"))
				slots = append(slots, answer(t, l))
			}
			return slots
		}
		before := where()
		if after := where(); !slices.Equal(before, after) {
			t.Errorf("%s: flows came to %v, then to %v", item, before, after)
		}
		set.Steer([]int{0, 2, 3, 4})
		without := where()
		moved := make(map[int]bool)
		for i, slot := range without {
			if slot == 1 || before[i] != 1 && slot != before[i] {
				t.Errorf("%s: a flow of slot %d came to %d when slot 1 was left out", item, before[i], slot)
			}
			if before[i] == 1 {
				moved[slot] = true
			}
		}
		if len(moved) < 2 {
			t.Errorf("%s: the flows of slot 1 all went to %v", item, moved)
		}
		if again := where(); !slices.Equal(without, again) {
			t.Errorf("%s: flows came to %v, then to %v", item, without, again)
		}
		if set.Steer(nil); !slices.Equal(where(), before) {
			t.Errorf("%s: not all flows came back with slot 1", item)
		}
		for _, c := range clients {
			c.Close()
		}
	}
}

// What is steered is the group, not a socket that has left it.
func TestSteerBeforeRelisten(t *testing.T) {
	set := openSlots(t, 4, families[0])
	l := set.All()[0]
	shutDown(t, l, 0)
	set.Steer([]int{2}) // whose place is the same
	if got := arrivals(t, l, 20); !slices.Equal(got, []int{2}) {
		t.Errorf("calls came to %v, want 2", got)
	}
	for slot := range 4 {
		unix.Shutdown(l.group.fds[slot], unix.SHUT_RDWR)
	}
	set.Steer([]int{2})
	if mended, err := set.Relisten(); len(mended) != 4 || err != nil {
		t.Fatalf("Relisten() = %v, %v; want all 4", mended, err)
	}
	if got := arrivals(t, l, 20); !slices.Equal(got, []int{2}) || set.Steer(nil) != nil || set.unsteered != nil {
		t.Errorf("calls came to %v, want 2; %v", got, set.Notes())
	}
	l.group.remove([]int{0, 1, 2, 3})
	if err := set.Steer([]int{2}); err != nil || set.unsteered != nil {
		t.Errorf("with no socket in the group: %v", err)
	}
}

// What is not known is used only if it does not matter, or nothing else is left.
func TestChosen(t *testing.T) {
	g := group{fds: make([]int, 5), places: []int{unknown, unknown, 2, 0}, lost: []int{3, 4}} // 1 is dead
	for _, c := range []struct {
		slots []int
		want  []uint32
	}{
		{nil, []uint32{0, 1, 2, 3}},
		{[]int{0}, []uint32{3}},
		{[]int{0, 3}, []uint32{3}},
		{[]int{0, 3, 4}, []uint32{0, 1, 3}},
		{[]int{3}, []uint32{0, 1}},
		{[]int{1}, []uint32{0, 1, 2, 3}},
		{[]int{5}, []uint32{3}}, // shares the socket of 0
	} {
		if got := g.chosen(c.slots); !slices.Equal(got, c.want) {
			t.Errorf("for slots %v places %v, want %v", c.slots, got, c.want)
		}
	}
}

// Where no program can be attached, that is said once and the kernel chooses.
func TestSteerRefused(t *testing.T) {
	set := openSlots(t, 3, families[0])
	l := set.All()[0]
	good := l.group.fds
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	l.group.fds = []int{int(null.Fd())}
	err = set.Steer([]int{1})
	if !errors.Is(err, unix.ENOTSOCK) || set.unsteered == nil || len(set.Notes()) != 1 {
		t.Errorf("Steer: %v, notes %q; want ENOTSOCK", err, set.Notes())
	}
	if err := set.Steer([]int{1}); err != nil || set.unsteered == nil {
		t.Errorf("said again: %v", err)
	}
	l.group.fds = good
	if err := set.Steer([]int{1}); err != nil || set.unsteered != nil || len(set.Notes()) > 0 {
		t.Errorf("Steer: %v, notes %q", err, set.Notes())
	}
	if got := arrivals(t, l, 20); !slices.Equal(got, []int{1}) {
		t.Errorf("calls came to %v, want 1", got)
	}
}

// The same without privilege.
func TestSteerUnprivileged(t *testing.T) {
	needRoot(t)
	r := runInitd(t, []string{"reuse-port 2", "port 127.0.0.1:0", "port 127.0.0.1:u0"}, nil, []uintptr{0, 1, 2},
		&syscall.Credential{Uid: 65534, Gid: 65534})
	if r.Error != "" || len(r.Listeners) != 2 {
		t.Errorf("%+v", r)
	}
}
