package main_test

import (
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/control"
)

// TestFlapping: a server that becomes ready and fails a moment later, again and again. Each
// wait is longer than the one before, health says so and since when, the swap has failed
// after all, and at max-failures initd ends with the worker's status.
func TestFlapping(t *testing.T) {
	t.Parallel()
	const interval = 300 * time.Millisecond
	s := steer(t, "ready=notify", "interval=0.3", "max-failures=5")
	first := s.generation(1)
	first.ready()
	s.is("serving", 1)
	s.swap()
	p := s.generation(2)
	p.ready()
	first.gets(syscall.SIGTERM)
	first.ends()
	var since time.Time
	for losses := 1; losses <= 4; losses++ {
		s.is("serving", losses+1)
		s.stable(losses + 1)
		p.tell("exit", "7")
		s.is("lost", losses+1)
		h := *s.ask(control.Request{Request: control.AskHealth}).Health
		switch {
		case losses == 1 && h.Flapping != nil:
			t.Errorf("flapping after one loss: %+v", *h.Flapping)
		case losses == 2:
			since = s.event("it is flapping", func(e initdtest.Entry) bool { return e.Event == "flapping" }).Time
			fallthrough
		case losses > 2:
			if f := h.Flapping; f == nil || f.Losses != losses || f.Last != "exit status 7" || f.Since.Sub(since).Abs() > time.Second || h.Reason == "" || !h.Live {
				t.Errorf("after %d losses: %+v, %+v", losses, h, h.Flapping)
			}
		}
		p = s.generation(losses + 2)
		wait := s.when("starting", losses+2).Sub(s.when("lost", losses+1))
		if least := interval << max(losses-2, 0) * 3 / 4; losses > 1 && wait < least {
			t.Errorf("after %d losses the next start came in %v, which is less than %v", losses, wait, least)
		}
		p.ready()
	}
	s.is("serving", 6)
	lost := 0
	for _, swap := range s.ask(control.Request{Request: control.AskStatus}).Status.Swaps {
		if swap.Outcome == "lost" && swap.ExitStatus != nil && *swap.ExitStatus == 7 {
			lost++
		}
	}
	if lost != 4 {
		t.Errorf("%d swaps are lost, not 4", lost)
	}
	var last string
	for a, err := range connect(t, s.path).Follow(limited(t), control.Request{Request: control.AskAwait, Ticket: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Outcome != nil {
			if last = a.Outcome.Outcome; a.Outcome.Final {
				break
			}
		}
	}
	if last != "lost" {
		t.Errorf("the outcome of the swap that was asked for is %q", last)
	}
	p.tell("exit", "7")
	s.exits(7)
}

// TestTrialOfAServerThatFails: what kill-old-delay is for. The old generation stands by, and
// goes on serving when the new one ends soon after it was ready.
func TestTrialOfAServerThatFails(t *testing.T) {
	t.Parallel()
	d, s, first := serving(t, subreaper, "kill-old-delay=1000", "max-failures=1")
	d.swap()
	second := s.generation(2)
	second.ready()
	d.is("trial", 2)
	eventually(t, "it has been ready for its interval", func() bool { return time.Since(d.when("trial", 2)) > 150*time.Millisecond })
	second.tell("exit", "7")
	d.is("failed", 2)
	first.lives()
	d.answers(first)
	d.stop()
}
