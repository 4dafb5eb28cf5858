package eintr

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestRetry(t *testing.T) {
	for _, want := range []error{nil, unix.EIO} {
		calls := 0
		err := Retry(func() error {
			if calls++; calls < 4 {
				return unix.EINTR
			}
			return want
		})
		if err != want || calls != 4 {
			t.Errorf("after %d calls: %v, want %v after 4", calls, err, want)
		}
	}
}
