package initd

import (
	"testing"
	"time"

	"server-starter/initd/proc"
)

func TestLookAtStuckProcess(t *testing.T) {
	l := newLooks(newInbox().start)
	l.limit = time.Minute
	stuck, back := make(chan struct{}), make(chan struct{})
	wait := func(*proc.Reader) (int, error) {
		<-stuck
		defer close(back)
		return 1, nil
	}
	see := func(*proc.Reader) (int, error) { return 2, nil }
	for range 1000 { // each is free for the next
		if found, err := look(l, see); found != 2 || err != nil {
			t.Fatalf("look() = %d, %v, want 2", found, err)
		}
	}
	l.limit = time.Millisecond
	if found, err := look(l, wait); err != errStuck {
		t.Fatalf("look() at a stuck process = %d, %v, want %v", found, err, errStuck)
	}
	if found, err := look(l, see); err != errStuck {
		t.Errorf("look() after that = %d, %v, want %v", found, err, errStuck)
	}
	l.limit = time.Minute
	close(stuck)
	<-back
	l.inner <- struct{}{} // it has come back
	<-l.inner
	if found, err := look(l, see); found != 2 || err != nil {
		t.Errorf("look() in the end = %d, %v, want 2", found, err)
	}
}
