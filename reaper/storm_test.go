package reaper

import (
	"flag"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

var starts = flag.Int("starts", 0, "starts of TestStorm; 0: as many as take a few seconds")

// The loop of the package comment: it wakes by SIGCHLD, drains, and knows by the
// pid whose exit it is. Beside the children that it starts, whose statuses are
// known, as many orphans again end.
func TestStorm(t *testing.T) {
	alone(t)
	wake := make(chan os.Signal, 1)
	signal.Notify(wake, syscall.SIGCHLD)
	defer signal.Stop(wake)
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(null)

	starts := *starts
	if starts == 0 {
		starts = 10_000
		if link == self {
			starts = 200
		}
	}
	const orphanStatus = 250 // and of nobody else
	live := map[int]int{}    // pid to status
	var exits, orphans, drains, most int
	var longest time.Duration
	var shedders []*latch
	for range 4 {
		pid, l := child(t, string([]byte{orphanStatus}))
		live[pid] = orphanStatus
		shedders = append(shedders, l)
	}
	began := time.Now()
	started := 0
	for children := true; children; {
		// From one start a turn, to many that end together.
		for room := 1 + drains%64; room > 0 && started < starts; room-- {
			status := 1 + started%(orphanStatus-1)
			pid, err := start(string([]byte{byte(status)}), null)
			if err != nil {
				t.Fatal(err)
			}
			if _, recycled := live[pid]; recycled {
				t.Fatalf("start %d: pid %d is alive", started, pid)
			}
			live[pid] = status
			shedders[started%len(shedders)].feed(t)
			started++
		}
		if started == starts {
			for _, l := range shedders {
				l.open()
			}
		}
		select {
		case <-wake:
		case <-time.After(30 * time.Second):
			t.Fatalf("no wake; %d of %d starts, %d exits, %d orphans, alive %v", started, starts, exits, orphans, live)
		}
		before, at := exits+orphans, time.Now()
		children = Drain(0, func(e Exit) {
			want, ours := live[e.PID]
			if ours {
				delete(live, e.PID)
				exits++
			} else {
				want = orphanStatus
				orphans++
			}
			if !e.Status.Exited() || e.Status.ExitStatus() != want {
				t.Errorf("%d, ours %t: %#x, want exit status %d", e.PID, ours, e.Status, want)
			}
		})
		longest = max(longest, time.Since(at))
		most = max(most, exits+orphans-before)
		drains++
	}
	if len(live) != 0 || exits != starts+len(shedders) || orphans != starts {
		t.Errorf("%d exits of %d starts, %d orphans of %d; alive %v",
			exits, starts+len(shedders), orphans, starts, live)
	}
	t.Logf("%d exits and %d orphans in %v: %d drains, the longest %v, at most %d in one",
		exits, orphans, time.Since(began).Round(time.Millisecond), drains, longest, most)
}

// BenchmarkDrain is a wake that finds nothing.
func BenchmarkDrain(b *testing.B) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	pid, err := start("", p[0])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !Drain(0, func(Exit) { b.Error("an exit") }) {
			b.Fatal("no child")
		}
	}
	syscall.Close(p[0])
	syscall.Close(p[1])
	syscall.Wait4(pid, nil, 0, nil)
}
