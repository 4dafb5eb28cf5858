package machine

import (
	"fmt"
	"testing"
	"time"
)

// start plays a pool from its beginning until all of its workers are ready. Their
// pids begin at 100. After each step it calls each.
func start(policy Policy, each func(*Machine)) (m *Machine, now time.Time) {
	m, now = New(policy), epoch
	step := func(e Event) {
		now = now.Add(time.Millisecond)
		m.Step(now, e)
		each(m)
	}
	step(Begin{})
	step(Prepared{1, policy.Timing})
	for slot := range policy.Workers {
		step(Forked{1, slot, 100 + slot})
	}
	for slot := range policy.Workers {
		step(Executed{100 + slot})
	}
	for slot := range policy.Workers {
		step(Notified{100 + slot})
	}
	return m, now
}

// lookAt is what a shell does after each step that publishes what there is.
func lookAt(m *Machine) {
	m.Outline()
	for range m.Published {
	}
}

// BenchmarkStart150 is a pool of 150 workers from its beginning until all are
// ready, with what is published of them.
func BenchmarkStart150(b *testing.B) {
	const size = 150
	policy := defaultPolicy()
	policy.Workers, policy.Ready, policy.Steer = size, Notify, true
	policy.MaxWorkers, policy.Survey = size, time.Second
	steps := 0
	b.ReportAllocs()
	for b.Loop() {
		m, _ := start(policy, func(m *Machine) {
			lookAt(m)
			steps++
		})
		if !m.Outline().Idle {
			b.Fatal("not all are ready")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "µs/step")
}

// BenchmarkStop is the end of a pool, worker by worker, with what is published of
// them after each. An exit costs what there are workers left: their pids are
// looked up and they are published one by one, and nothing costs more than that.
func BenchmarkStop(b *testing.B) {
	for _, size := range []int{300, 3000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			policy := defaultPolicy()
			policy.Workers, policy.Ready = size, Notify
			for b.Loop() {
				b.StopTimer()
				m, now := start(policy, func(*Machine) {})
				b.StartTimer()
				m.Step(now, Signaled{TERM})
				for slot := range size {
					m.Step(now, Exited{100 + slot, Status{Signal: TERM}})
					lookAt(m)
				}
				if m.workers() > 0 {
					b.Fatal("not all have ended")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size)/float64(size), "ns/exit/worker")
		})
	}
}

// TestViewsAllocateNothing: whoever looks after each step makes no garbage.
func TestViewsAllocateNothing(t *testing.T) {
	policy := defaultPolicy()
	policy.Workers, policy.Ready, policy.Steer = 20, Notify, true
	m, now := start(policy, func(*Machine) {})
	sum := 0
	look := func() {
		if m.Outline().Idle {
			sum++
		}
		for generation, pid := range m.Published {
			sum += generation + pid
		}
	}
	for _, event := range []Event{Tick{}, Signaled{HUP}, Prepared{Generation: 2}, Forked{2, 3, 1000}, Exited{PID: 105}} {
		m.Step(now, event)
		if n := testing.AllocsPerRun(100, look); n != 0 {
			t.Errorf("after %v: %v allocations", event, n)
		}
	}
	if sum == 0 {
		t.Error("there was nothing to be seen")
	}
}
