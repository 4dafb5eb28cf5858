package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"server-starter/initd/control"
)

// story is what a swap that fails once looks like to one who looks every 10 s.
func story() (statuses []*control.Status) {
	start := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	generation := func(n int, state string, began, ready int) control.Generation {
		g := control.Generation{Number: n, State: state, Began: at(began)}
		if ready >= 0 {
			g.Ready = pointer(at(ready))
		}
		return g
	}
	failedSwap := control.Swap{Generation: 2, Trigger: "control", Began: at(12), Ended: pointer(at(13)), Seconds: 1, Outcome: "failed", Reason: "worker ended after 1s: exit status 1"}
	for i, generations := range [][]control.Generation{
		{generation(1, "starting", 0, -1)},
		{generation(1, "serving", 0, 5)},
		{generation(1, "serving", 0, 5)}, // 2 has come and gone
		{generation(1, "serving", 0, 5), generation(3, "probing", 25, -1)},
		{generation(1, "retiring", 0, 5), generation(3, "serving", 25, 35)},
		{generation(3, "serving", 25, 35)},
	} {
		s := &control.Status{
			Version: "0.1.0", PID: 1, Time: at(i * 10), Started: start,
			Health:      control.Health{Live: true, Ready: i > 0, State: "ready", Generation: 1},
			Pool:        control.Pool{Workers: 4, Rest: 4, Ready: 4, Busy: i % 4, Idle: 4 - i%4},
			Generations: generations,
			Listeners:   []control.Listener{{Key: "8080", Network: "tcp", Queue: i, Backlog: 4096}},
			Counters:    control.Counters{Requests: int64(i * i * 1000)},
		}
		if i >= 4 {
			s.Health.Generation = 3
		}
		if i >= 2 {
			s.Swaps = []control.Swap{failedSwap}
		}
		statuses = append(statuses, s)
	}
	return statuses
}

func TestScreen(t *testing.T) {
	var all strings.Builder
	s := screen{width: 74, height: 24}
	for _, status := range story() {
		before := s.view()
		next := s.observe(status)
		if s.view() != before {
			t.Fatal("observing has changed the screen there was")
		}
		s = next
		all.WriteString(s.view() + "\n\n" + strings.Repeat("-", s.width) + "\n")
	}
	s.wrong = errors.New("no initd answers")
	all.WriteString(s.zoom(1).view() + "\n")
	golden(t, "screen.txt", all.String())
}

// TestScreenFits: whatever there is, no line is longer than the screen, nor are
// there more lines.
func TestScreenFits(t *testing.T) {
	many := sample(t, "pool")
	many.Pool.Workers, many.Pool.Ready, many.Pool.Busy, many.Pool.Idle = 150, 150, 100, 50
	for n := range 100 {
		many.Generations = append(many.Generations, control.Generation{Number: 100 + n, State: "retiring", Began: many.Time})
		many.Listeners = append(many.Listeners, many.Listeners[n%3])
	}
	for _, statuses := range [][]*control.Status{{many}, {sample(t, "failed")}, {sample(t, "starting")}, story(), {}, {{}}} {
		s := screen{}
		for _, status := range statuses {
			s = s.observe(status)
		}
		for width := range 200 {
			for _, height := range []int{0, 1, 5, 24, 100} {
				s.width, s.height = width, height
				lines := strings.Split(s.view(), "\n")
				if len(lines) > max(height, 4) {
					t.Fatalf("%d lines on a screen of %d", len(lines), height)
				}
				for _, line := range lines {
					if n := utf8.RuneCountInString(line); n > max(width, 20) {
						t.Fatalf("%d columns on a screen of %d: %s", n, width, line)
					}
				}
			}
		}
	}
}

// TestScreenShowsWhatServes: the serving generation is the first, and is seen on a small terminal, whatever else there is.
func TestScreenShowsWhatServes(t *testing.T) {
	now := story()[3]
	now.Health.Reason = "generation 9 failed: worker ended after 1s: exit status 1"
	for n := range 7 {
		failed := now.Swaps[0]
		failed.Generation = 4 + n
		now.Swaps = append(now.Swaps, failed)
	}
	for listeners := range 12 {
		now.Listeners = nil
		for n := range listeners {
			now.Listeners = append(now.Listeners, control.Listener{Key: fmt.Sprint(8080 + n), Network: "tcp"})
		}
		for height := 12; height < 40; height++ {
			s := screen{width: 74, height: height}.observe(now)
			axis := false
			for line := range strings.Lines(s.view()) {
				if axis {
					if !strings.HasPrefix(line, "1 serving") {
						t.Errorf("%d rows, %d listeners: after the axis comes %q:\n%s", height, listeners, line, s.view())
					}
					break
				}
				axis = strings.HasPrefix(line, "generation  ")
			}
			if !axis {
				t.Errorf("%d rows, %d listeners: no generation is shown:\n%s", height, listeners, s.view())
			}
		}
	}
}
