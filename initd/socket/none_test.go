package socket

import (
	"slices"
	"testing"
)

// A nil Set, and one of no listeners, has nothing and does nothing.
func TestNoListeners(t *testing.T) {
	empty, err := Open(nil, Options{ReusePort: true, Slots: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]*Set{"nil": nil, "zero": new(Set), "empty": empty} {
		if set.Len() != 0 || len(set.All()) > 0 || set.Slots() != 0 || set.Queue(1) != 0 || len(set.Waiting()) > 0 || len(set.Notes()) > 0 {
			t.Errorf("%s: %d listeners, %v, %d slots, %d and %v wait, %q", name, set.Len(), set.All(), set.Slots(), set.Queue(1), set.Waiting(), set.Notes())
		}
		if got := set.Files(2); !slices.Equal(got, []uintptr{0, 1, 2}) {
			t.Errorf("%s: files %v", name, got)
		}
		if got := set.Environ([]string{ServerStarter, Systemd, Nginx, PHPFPM, Unicorn, Puma}); !slices.Equal(got, []string{"SERVER_STARTER_PORT="}) {
			t.Errorf("%s: %q", name, got)
		}
		if err := set.Grow(4); err != nil {
			t.Errorf("%s: Grow: %v", name, err)
		}
		if err := set.Steer([]int{0, 2}); err != nil {
			t.Errorf("%s: Steer: %v", name, err)
		}
		if mended, err := set.Relisten(); len(mended) > 0 || err != nil {
			t.Errorf("%s: Relisten: %v, %v", name, mended, err)
		}
		if err := set.Close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}
