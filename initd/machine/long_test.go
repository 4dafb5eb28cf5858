package machine

import (
	"strings"
	"testing"
	"time"
)

// A duration may be as long as there are any: what is a multiple of it comes never, and
// not at once.
func TestLongestDurations(t *testing.T) {
	const longest, years = time.Duration(1<<63 - 1), 365 * 24 * time.Hour
	for _, timing := range []Timing{{}, {AutoRestart: true, AutoRestartInterval: longest}} {
		policy := Policy{Workers: 1, Ready: Notify, Interval: time.Second, Debounce: longest, Timing: timing}
		m, now := start(policy, func(*Machine) {})
		now = now.Add(time.Hour)
		m.Step(now, Signaled{HUP})
		m.Step(now, Prepared{2, timing})
		m.Step(now, Forked{2, 0, 200})
		m.Step(now, Executed{200})
		// And the old generation does not end.
		for _, event := range []Event{Notified{200}, Tick{}, Changed{"envdir"}, Tick{}} {
			for _, action := range m.Step(now, event) {
				if strings.HasPrefix(action.String(), "prepare") {
					t.Errorf("%v: %v, long before it is due", event, action)
				}
			}
			now = now.Add(10 * years)
		}
	}
	for _, p := range []Policy{{Interval: 150 * years, MaxBackoff: 200 * years}, {Interval: time.Second, MaxBackoff: longest}} {
		before := time.Duration(0)
		for failures := 1; failures < 100; failures++ {
			wait := p.backoff(failures)
			if wait < before || wait > p.MaxBackoff {
				t.Errorf("the back-off is %v after %d failures, and %v before", wait, failures, before)
			}
			before = wait
		}
	}
}
