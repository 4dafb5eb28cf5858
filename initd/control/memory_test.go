package control

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMemory(t *testing.T) {
	var m Memory
	now := time.Now()
	gone := 1 << 22 // above any pid
	complete := func(now time.Time) *Status {
		s := &Status{Time: now, Generations: []Generation{
			{Workers: []Worker{{PID: os.Getppid()}, {PID: gone}}},
			{},
			{Workers: []Worker{{PID: os.Getpid()}}},
		}}
		m.Complete(s)
		return s
	}
	s := complete(now)
	of := func(s *Status) [3]int64 {
		return [3]int64{s.Generations[0].Workers[0].Memory, s.Generations[0].Workers[1].Memory, s.Generations[2].Workers[0].Memory}
	}
	if got := of(s); s.Memory < 1<<20 || got[0] <= 0 || got[1] != 0 || got[2] != s.Memory {
		t.Errorf("initd has %d bytes, workers %d", s.Memory, got)
	}

	const more = 32 << 20
	block, err := unix.Mmap(-1, 0, more, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(block)
	for at := 0; at < more; at += os.Getpagesize() {
		block[at] = 1
	}
	if again := complete(now.Add(time.Second - 1)); again.Memory != s.Memory {
		t.Errorf("it is measured again within a second: %d bytes and then %d", s.Memory, again.Memory)
	}
	if later := complete(now.Add(time.Second)); later.Memory < s.Memory+more/2 {
		t.Errorf("a second later it has %d bytes, and had %d", later.Memory, s.Memory)
	}
}

// The last lines of a worker are asked for beside the loop, when they are sent.
func TestLines(t *testing.T) {
	in := start(t)
	in.answer = func(c Call) {
		c.Answer(Answer{Status: &Status{Swaps: []Swap{{}, {Lines: func() []string { return []string{"last"} }}}}})
	}
	a := in.connect().ask(`{"request":"status"}`)
	if got := a.Status.Swaps; len(got) != 2 || len(got[0].Stderr) != 0 || len(got[1].Stderr) != 1 || got[1].Stderr[0] != "last" {
		t.Errorf("%+v", got)
	}
}
