package machine

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := []struct {
		name           string
		interval, most time.Duration
		want           []time.Duration // after 1, 2, 3 … failures
	}{
		{"doubles up to the bound", s, 30 * s, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		{"zero interval", 0, 300 * ms, []time.Duration{100 * ms, 200 * ms, 300 * ms, 300 * ms}},
		{"bound below the interval", 10 * s, s, []time.Duration{s, s}},
		{"no bound", 8 * time.Hour, 0, []time.Duration{8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := Policy{Interval: test.interval, MaxBackoff: test.most}
			for i, want := range test.want {
				if got := p.backoff(i + 1); got != want {
					t.Errorf("after %d failures: %v, want %v", i+1, got, want)
				}
			}
			if got := p.backoff(1_000_000); got != test.want[len(test.want)-1] {
				t.Errorf("after a million failures: %v", got)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	exits := map[int]int{143: 0, 1: 7}
	tests := []struct {
		status       Status
		text         string
		exit, mapped int
		success      bool
	}{
		{Status{}, "exit_status=0", 0, 0, true},
		{Status{Code: 1}, "exit_status=1", 1, 7, false},
		{Status{Code: 255}, "exit_status=255", 255, 255, false},
		{Status{Signal: TERM}, "signal=TERM", 143, 0, false},
		{Status{Signal: KILL}, "signal=KILL", 137, 137, false},
		{Status{Signal: 64}, "signal=RTMIN+30", 192, 192, false},
	}
	p := Policy{ExitMap: exits}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			if got := test.status.String(); got != test.text {
				t.Errorf("String() = %q", got)
			}
			if got := test.status.ExitStatus(); got != test.exit {
				t.Errorf("ExitStatus() = %d, want %d", got, test.exit)
			}
			if got := p.exitStatus(test.status); got != test.mapped {
				t.Errorf("after exit-map %d, want %d", got, test.mapped)
			}
			if got := test.status.Success(); got != test.success {
				t.Errorf("Success() = %v", got)
			}
		})
	}
}
