package socket

import (
	"context"
	"errors"
	"testing"
)

// A look-up that nobody waits for any more is given up, and nothing is bound.
func TestLookupGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	spec, err := ParsePort("host.invalid:80")
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open([]Spec{spec}, Options{UID: -1, GID: -1, Context: ctx})
	if set != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", set, err)
	}
}
