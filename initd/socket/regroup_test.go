package socket

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A listener that was shut down is mended, and steering knows its new place.
func TestRelistenSlot(t *testing.T) {
	for _, item := range usable(families[0], families[1], "port 0") {
		for slot := range 4 {
			set := openSlots(t, 4, item)
			l := set.All()[0]
			set.Steer([]int{slot})
			shutDown(t, l, slot)
			mended, err := set.Relisten()
			if err != nil || !slices.Equal(mended, []Mended{{Key: l.Key, Slot: slot}}) {
				t.Fatalf("%s: Relisten() = %v, %v; want slot %d", item, mended, err, slot)
			}
			if port := portOf(t, l.group.fds[slot]); port != int(l.at.Port()) {
				t.Errorf("%s: slot %d listens on port %d again, want %d", item, slot, port, l.at.Port())
			}
			if got := arrivals(t, l, 20); !slices.Equal(got, []int{slot}) {
				t.Errorf("%s: steered to slot %d and mended, calls came to %v", item, slot, got)
			}
			for only := range 4 {
				set.Steer([]int{only})
				if got := arrivals(t, l, 20); !slices.Equal(got, []int{only}) {
					t.Errorf("%s: slot %d mended, calls for slot %d came to %v (places %v)", item, slot, only, got, l.group.places)
				}
			}
			if mended, err := set.Relisten(); len(mended) > 0 || err != nil {
				t.Errorf("Relisten() of a healthy set = %v, %v", mended, err)
			}
			set.Close()
		}
	}
}

// Whatever was shut down, in whatever order, known places are right and nobody
// gets what was steered away from him unless that is not known.
func TestRelistenOrder(t *testing.T) {
	two := usable(families[:2]...)
	for seed := range 30 {
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		set := openSlots(t, 8, two[seed%len(two)])
		l := set.All()[0]
		for round := range 6 {
			gone := random.Perm(8)[:1+random.IntN(8)]
			if round%2 == 0 {
				gone = gone[:1]
			}
			for _, slot := range gone {
				shutDown(t, l, slot)
			}
			steered := random.Perm(8)[:1+random.IntN(8)]
			set.Steer(steered) // before it is known
			if mended, err := set.Relisten(); err != nil || len(mended) != len(gone) {
				t.Fatalf("seed %d: shut down %v, Relisten() = %v, %v", seed, gone, mended, err)
			}
			for place, slot := range l.group.places {
				if slot == unknown {
					continue
				}
				p := program{total: uint32(len(l.group.places)), chosen: []uint32{uint32(place)}}
				p.connection()
				if err := p.attach(l.FD); err != nil {
					t.Fatal(err)
				}
				if got := arrivals(t, l, 2); !slices.Equal(got, []int{slot}) {
					t.Fatalf("seed %d: place %d of %v is that of %v", seed, place, l.group.places, got)
				}
			}
			set.Steer(steered)
			for _, slot := range arrivals(t, l, 40) {
				if !slices.Contains(steered, slot) && !slices.Contains(l.group.lost, slot) {
					t.Fatalf("seed %d: steered to %v, a call came to %d (places %v, lost %v)", seed, steered, slot, l.group.places, l.group.lost)
				}
			}
		}
		if len(set.listeners) == 0 || len(l.group.places) != 8 {
			t.Fatalf("places %v", l.group.places)
		}
		set.Close()
	}
}

func TestLeave(t *testing.T) {
	const u = unknown
	for _, c := range []struct {
		dead         []int
		places, lost []int
	}{
		{nil, []int{0, 1, 2, 3, 4}, nil},
		{[]int{4}, []int{0, 1, 2, 3}, nil},
		{[]int{1}, []int{0, 4, 2, 3}, nil},
		{[]int{3, 4}, []int{0, 1, 2}, nil},
		{[]int{1, 4}, []int{0, 3, 2}, nil},
		{[]int{0, 1}, []int{u, u, 2}, []int{3, 4}},
		{[]int{0, 1, 3}, []int{u, u}, []int{2, 4}},
		{[]int{0, 1, 2, 3, 4}, []int{}, nil},
	} {
		g := group{places: []int{0, 1, 2, 3, 4}}
		if g.remove(c.dead); !slices.Equal(g.places, c.places) || !slices.Equal(slices.Sorted(slices.Values(g.lost)), c.lost) {
			t.Errorf("after %v: places %v, lost %v; want %v, %v", c.dead, g.places, g.lost, c.places, c.lost)
		}
	}
}
