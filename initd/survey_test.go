package initd

import (
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// That workers may not be looked into is said of one of them, and not again of
// each that takes its place.
func TestComplaintOnce(t *testing.T) {
	s, warnings := surveyor{said: map[string]bool{}}, make(chan warning, 9)
	for _, path := range []string{"/proc/101/fd", "/proc/102/fd"} {
		s.complain(&fs.PathError{Op: "open", Path: path, Err: unix.EACCES}, warnings)
	}
	s.complain(nil, warnings)
	if n := len(warnings); n != 1 {
		t.Errorf("said %d times", n)
	}
	s.complain(&fs.PathError{Op: "open", Path: "/proc/101/smaps_rollup", Err: unix.ENOMEM}, warnings)
	if n := len(warnings); n != 2 {
		t.Errorf("another thing that is in the way was said %d times", n-1)
	}
}
