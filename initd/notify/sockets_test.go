package notify

import (
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func goroutine(f func()) { go f() }

// expectNote waits for a note of a generation with a status text.
func expectNote(t *testing.T, notes <-chan Note, generation int, status string) {
	t.Helper()
	select {
	case n := <-notes:
		if n.Generation != generation || n.Status != status || n.PID != unix.Getpid() {
			t.Errorf("received %+v, want %q of generation %d", n, status, generation)
		}
	case <-time.After(patience):
		t.Fatalf("%q of generation %d was never received", status, generation)
	}
}

func sendTo(t *testing.T, address, state string) {
	t.Helper()
	if err := Send(address, state); err != nil {
		t.Fatal(err)
	}
}

func TestSockets(t *testing.T) {
	notes := make(chan Note)
	s := NewSockets(func(n Note) { notes <- n }, goroutine)
	addresses := map[int]string{}
	for generation := range 3 {
		address, err := s.Open(generation)
		if err != nil {
			t.Fatal(err)
		}
		addresses[generation] = address
		t.Cleanup(func() { s.Close(generation) })
	}
	for _, generation := range []int{2, 0, 1} {
		sendTo(t, addresses[generation], "STATUS=x"+strconv.Itoa(generation))
		expectNote(t, notes, generation, "x"+strconv.Itoa(generation))
	}
	// Those of one generation come in their order, while another's wait.
	sendTo(t, addresses[1], "STATUS=other")
	for i := range 5 {
		sendTo(t, addresses[0], "STATUS="+strconv.Itoa(i))
	}
	var order []string
	for range 6 {
		if n := <-notes; n.Generation == 0 {
			order = append(order, n.Status)
		}
	}
	if !slices.Equal(order, []string{"0", "1", "2", "3", "4"}) {
		t.Errorf("received %q", order)
	}
}

// After Close nothing of a generation is received, and what waited is known to be
// of one that has no socket.
func TestClosedSocket(t *testing.T) {
	before := openFDs(t)
	began, notes := make(chan bool, 9), make(chan Note)
	s := NewSockets(func(n Note) {
		began <- true
		notes <- n
	}, goroutine)
	address, err := s.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	if s.open[1] == nil || s.open[2] != nil {
		t.Error("the wrong one is open")
	}
	sendTo(t, address, "STATUS=one")
	sendTo(t, address, "STATUS=two")
	<-began
	s.Close(1)
	s.Close(1)
	s.Close(7)
	if s.open[1] != nil {
		t.Error("it is still open")
	}
	expectNote(t, notes, 1, "one")
	if err := Send(address, "STATUS=three"); err == nil {
		t.Error("somebody still listens")
	}
	// The number may come again, and has nothing of the first.
	address, err = s.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	sendTo(t, address, "STATUS=four")
	expectNote(t, notes, 1, "four")
	s.Close(1)
	if n := len(began); n != 1 {
		t.Errorf("%d more were received", n)
	}
	for end := time.Now().Add(patience); openFDs(t) > before; runtime.Gosched() { // as those that receive find out
		if time.Now().After(end) {
			t.Fatalf("%d descriptors are open, %d before", openFDs(t), before)
		}
	}
}

func TestNoSockets(t *testing.T) {
	var s *Sockets
	address, err := s.Open(1)
	s.Close(1)
	if address != "" || err != nil {
		t.Errorf("%q, %v", address, err)
	}
}

func TestSupervisor(t *testing.T) {
	nobody := NewSupervisor("", goroutine, nil)
	nobody.Send("READY=1")
	nobody.Close(patience)
	server := listen(t)
	s := NewSupervisor(server.Address(), goroutine, func(err error) { t.Error(err) })
	s.Send("READY=1")
	s.Send("STATUS=end")
	for range 2 {
		s.Close(patience)
	}
	if m := receive(t, server); !m.Ready {
		t.Errorf("received %+v", m)
	}
	if m := receive(t, server); m.Status != "end" {
		t.Errorf("received %+v", m)
	}
	failed := make(chan error, 1)
	NewSupervisor("@"+t.Name(), goroutine, func(err error) { failed <- err }).Send("READY=1")
	if err := <-failed; err == nil {
		t.Error("nobody listens, and that was no error")
	}
}

// A flush ends when all that came before it has been received, even if some of that is
// nothing and others go on sending.
func TestFlush(t *testing.T) {
	var nobody *Sockets
	nobody.Flush()(0)
	received := make(chan Note)
	s := NewSockets(func(n Note) { received <- n }, goroutine)
	for generation := range 2 {
		address, err := s.Open(generation)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(generation) })
		for i := range 5 {
			sendTo(t, address, "STATUS="+strconv.Itoa(i))
			sendTo(t, address, "nothing that is known")
		}
	}
	for round := range 3 {
		flushed := make(chan bool)
		wait := s.Flush()
		go func() {
			wait(patience)
			close(flushed)
		}()
		n := 0
		for waiting := true; waiting; {
			select {
			case <-received:
				n++
			case <-flushed:
				waiting = false
			case <-time.After(patience):
				t.Fatal("the flush does not end")
			}
		}
		if want := map[int]int{0: 10}[round]; n != want {
			t.Errorf("flush %d has received %d, want %d", round, n, want)
		}
	}
	// One that is being closed is not waited for.
	wait := s.Flush()
	s.Close(0)
	s.Close(1)
	wait(patience)
}
