package machine

import (
	"testing"
	"time"
)

// BenchmarkStart150 is a pool of 150 workers from its beginning until all are
// ready, with what is published of them.
func BenchmarkStart150(b *testing.B) {
	const size = 150
	policy := defaultPolicy()
	policy.Workers, policy.Ready, policy.Publish, policy.Steer = size, Notify, true, true
	policy.MaxWorkers, policy.Survey = size, time.Second
	steps := 0
	b.ReportAllocs()
	for b.Loop() {
		m, now := New(policy), epoch
		step := func(e Event) {
			now = now.Add(time.Millisecond)
			m.Step(now, e)
			steps++
		}
		step(Begin{})
		step(Prepared{1, policy.Timing})
		for slot := range size {
			step(Forked{1, slot, 100 + slot})
		}
		for slot := range size {
			step(Executed{100 + slot})
		}
		for slot := range size {
			step(Notified{100 + slot})
		}
		if !m.resting {
			b.Fatal("not all are ready")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "µs/step")
}
