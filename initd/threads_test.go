package initd

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// The reserved threads are enough for a plain init, however many processors there are: no more are started for
// goroutines that wake each other while others are blocked in the kernel.
func TestReserveThreads(t *testing.T) {
	if err := reserveThreads(true, 0); err != nil {
		t.Fatal(err)
	}
	stacks := make([]byte, 1<<20)
	if text := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(text, "reserveThreads.") {
		t.Errorf("a reserved thread is not free yet:\n%s", text)
	}
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("the runtime may want a thread for each of %d processors", n)
	}
	before := threads(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	var all sync.WaitGroup
	for range 2 { // the log, and the receiver of signals
		all.Go(func() { unix.Read(pipe[0], make([]byte, 1)) })
	}
	var balls [16]chan bool
	for i := range balls {
		balls[i] = make(chan bool)
	}
	for i := range balls {
		all.Go(func() {
			for range 1000 {
				balls[(i+1)%len(balls)] <- true
			}
		})
		all.Go(func() {
			for range 1000 {
				<-balls[i]
			}
		})
	}
	unix.Close(pipe[1])
	all.Wait()
	if after := threads(t); after > before {
		t.Errorf("there are %d threads, %d before", after, before)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
