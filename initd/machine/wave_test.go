package machine

import (
	"slices"
	"testing"
	"time"
)

// TestSquareWave gives a pool a load that comes and goes for three hours: workers
// come and go with it a few times at most, and then no more.
func TestSquareWave(t *testing.T) {
	policy := defaultPolicy()
	policy.Workers, policy.MaxWorkers, policy.MinIdle, policy.MaxIdle = 2, 10, 1, 3
	policy.Survey, policy.Ready = time.Second, Notify
	for _, half := range []time.Duration{5 * time.Second, 14 * time.Second, 16 * time.Second, 40 * time.Second, 2 * time.Minute, 9 * time.Minute} {
		t.Run(half.String(), func(t *testing.T) {
			var (
				m, j   = New(policy), newJudge(policy)
				now    = epoch
				alive  []int // pids
				last   = 1
				shrunk []time.Duration // when it began to
				step   func(Event)
			)
			step = func(e Event) {
				actions := m.Step(now, e)
				if err := j.observe(now, e, actions, m.Deadline()); err != nil {
					t.Fatal(now.Sub(epoch), err)
				}
				if err := j.observeView(m); err != nil {
					t.Fatal(now.Sub(epoch), err)
				}
				for _, a := range actions {
					switch a := a.(type) {
					case Prepare:
						step(Prepared{a.Generation, policy.Timing})
					case Start:
						last++
						alive = append(alive, last)
						step(Forked{a.Generation, a.Slot, last})
						step(Notified{last})
					case Stop:
						alive = slices.DeleteFunc(alive, func(pid int) bool { return pid == a.PID })
						step(Exited{a.PID, Status{Signal: a.Signal}})
					case Survey:
						busy := 0
						if now.Sub(epoch)/half%2 == 0 {
							busy = 8
						}
						now = now.Add(time.Millisecond)
						seen := Surveyed{Queue: max(0, busy-len(alive))}
						for i, pid := range alive {
							seen.Workers = append(seen.Workers, Sample{PID: pid, Activity: map[bool]Activity{true: Busy, false: Idle}[i < busy]})
						}
						step(seen)
					case Resize:
						if n := len(alive); a.Workers < n && (len(shrunk) == 0 || now.Sub(epoch)-shrunk[len(shrunk)-1] > 30*time.Second) {
							shrunk = append(shrunk, now.Sub(epoch))
						}
					}
				}
			}
			step(Begin{})
			for now.Sub(epoch) < 3*time.Hour {
				now = m.Deadline()
				step(Tick{})
			}
			// Patience doubles from 15 s to 10 min in six steps.
			if len(shrunk) > 7 {
				t.Errorf("it has begun to shrink %d times: %v …", len(shrunk), shrunk[:8])
			}
			if m.pool.size < 8 {
				t.Errorf("%d workers are left", m.pool.size)
			}
		})
	}
}
