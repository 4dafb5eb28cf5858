package machine

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var (
	schedules = flag.Int("schedules", 20000, "number of schedules that the simulation plays")
	brief     = flag.Bool("brief", false, "of a schedule that fails, print only its seed and why")
	seed      = flag.Uint64("seed", 0, "play this schedule alone and print it (with -v)")
)

// TestSimulation plays schedules: each makes up a policy, a world of workers
// that draw a fate at each start, and what befalls it. Each step is judged; at
// the end faults cease, and what has to come about by then is waited for.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		tape := newTape(*seed)
		w := play(tape)
		t.Logf("seed %d\n%s", *seed, w)
		if w.err != nil {
			t.Errorf("seed %d: %v", *seed, w.err)
		}
		return
	}
	var (
		wait   sync.WaitGroup
		mutex  sync.Mutex
		seen   = newCoverage()
		failed *tape
		at     uint64
	)
	workers := uint64(runtime.GOMAXPROCS(0))
	for i := range workers {
		wait.Go(func() {
			mine := newCoverage()
			for s := 1 + i; s <= uint64(*schedules); s += workers {
				tape := newTape(s)
				w := play(tape)
				mine.add(w.seen)
				mutex.Lock()
				if w.err != nil && (failed == nil || s < at) {
					failed, at = tape, s
				}
				stop := failed != nil
				mutex.Unlock()
				if stop {
					break
				}
			}
			mutex.Lock()
			seen.add(mine)
			mutex.Unlock()
		})
	}
	wait.Wait()
	if failed != nil {
		t.Fatalf("seed %d: %s", at, failed.story())
	}
	if missing := seen.missing(); len(missing) > 0 && *schedules >= 20000 {
		t.Errorf("never reached:\n  %s", strings.Join(missing, "\n  "))
	}
	if testing.Verbose() {
		t.Logf("%d schedules, %d steps\n%s", *schedules, seen.steps, seen)
	}
}
