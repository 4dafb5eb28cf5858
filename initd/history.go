package initd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/machine"
)

// keptSwaps is how many of the last attempts are remembered.
const keptSwaps = 16

// history is what has become of the attempts, the last of them, and counts of
// what has happened. It is for people and decides nothing.
type history struct {
	swaps    []control.Swap // oldest first
	counters control.Counters
	ends     map[int]end // by generation that is being tried: the last end that nobody had asked for
	last     end         // of all
}

// end is how a worker ended.
type end struct {
	slot   *int            // nil: it is no worker, but the hook that has refused
	status *machine.Status // nil: it has not ended
	lines  func() []string // the last that it has written to stderr; nil: they are not kept
}

func newHistory() *history {
	return &history{ends: map[int]end{}, counters: control.Counters{
		Swaps: map[string]int64{"ready": 0, "failed": 0, "refused": 0, "stopped": 0, "lost": 0},
	}}
}

// begun records that an attempt begins.
func (h *history) begun(now time.Time, a machine.Prepare) {
	h.swaps = append(h.swaps[max(0, len(h.swaps)-keptSwaps+1):], control.Swap{
		Generation: a.Generation, Ticket: a.Ticket, Trigger: a.Trigger.String(), Began: now, Outcome: "pending",
	})
}

// differs records in which variables the environment of an attempt differs from
// that of the generation that serves.
func (h *history) differs(generation int, v *control.Variables) {
	if s := h.swap(generation); s != nil {
		s.Variables = v
	}
}

// ended records the end of a worker that ended by itself.
func (h *history) ended(generation int, e end) {
	h.last = e
	if s := h.swap(generation); s != nil && s.Ended == nil {
		h.ends[generation] = e
	}
}

// late records a worker that lives and has taken too long, where none has ended.
func (h *history) late(generation, slot int, lines func() []string) {
	if _, ended := h.ends[generation]; !ended {
		h.ended(generation, end{slot: &slot, lines: lines})
	}
}

// concluded records the outcome of an attempt.
func (h *history) concluded(now time.Time, o machine.Outcome) {
	s := h.swap(o.Generation)
	if s == nil || o.Result == machine.OutcomeBegun || o.Result == machine.OutcomeSuperseded {
		return
	}
	e, ok := h.ends[o.Generation]
	switch {
	case o.Result == machine.OutcomeLost:
		s.Lost, e, ok = &now, h.last, true
	case s.Ended != nil:
		return
	default:
		s.Ended, s.Seconds = &now, now.Sub(s.Began).Seconds()
	}
	s.Outcome, s.Reason = word(o.Result), o.Reason
	if ok && o.Result != machine.OutcomeReady {
		s.Slot, s.Lines = e.slot, e.lines
		switch {
		case e.status == nil:
		case e.status.Signal != 0:
			s.Signal = e.status.Signal.String()
		default:
			s.ExitStatus = &e.status.Code
		}
	}
	delete(h.ends, o.Generation)
	h.counters.Swaps[s.Outcome]++
	if o.Result == machine.OutcomeReady {
		h.counters.SwapSeconds += s.Seconds
	}
}

// word is the word for a result in answers and in the status: one that is given up
// has failed, as those have that are tried again.
func word(r machine.Result) string {
	if r == machine.OutcomeGivenUp {
		r = machine.OutcomeFailed
	}
	return r.String()
}

// swap finds an attempt by its number; nil: it is no longer remembered.
func (h *history) swap(generation int) *control.Swap {
	i := slices.IndexFunc(h.swaps, func(s control.Swap) bool { return s.Generation == generation })
	if i < 0 {
		return nil
	}
	return &h.swaps[i]
}

// remembers reports whether an attempt of a ticket that was given is remembered,
// or is yet to come.
func (h *history) remembers(ticket int) bool {
	return len(h.swaps) == 0 || h.swaps[0].Ticket <= ticket
}

// counts returns a copy of the counters.
func (h *history) counts() control.Counters {
	c := h.counters
	c.Swaps = maps.Clone(c.Swaps)
	return c
}

// latest returns a copy of the last attempts, the newest first.
func (h *history) latest(now time.Time) []control.Swap {
	swaps := slices.Clone(h.swaps)
	slices.Reverse(swaps)
	for i := range swaps {
		if swaps[i].Ended == nil {
			swaps[i].Seconds = now.Sub(swaps[i].Began).Seconds()
		}
	}
	return swaps
}

// complaint is why the last attempt failed or was refused; empty if it was neither.
func (h *history) complaint() string {
	for _, s := range slices.Backward(h.swaps) {
		if s.Ended != nil && s.Reason != "" {
			outcome := s.Outcome
			if outcome == machine.OutcomeRefused.String() || outcome == machine.OutcomeLost.String() {
				outcome = "was " + outcome // as the log has it
			}
			return fmt.Sprintf("generation %d %s: %s", s.Generation, outcome, s.Reason)
		}
		if s.Ended != nil {
			break
		}
	}
	return ""
}

// difference returns the names of the variables that are not the same in both. What
// differs from generation to generation anyway is left out.
func difference(before, now environ) *control.Variables {
	usual := func(name string) bool { return name == "SERVER_STARTER_GENERATION" || name == "NOTIFY_SOCKET" }
	d := &control.Variables{}
	for _, name := range now.names() {
		switch {
		case usual(name):
		case !before.has(name):
			d.Added = append(d.Added, name)
		case before.value(name) != now.value(name):
			d.Changed = append(d.Changed, name)
		}
	}
	for _, name := range before.names() {
		if !now.has(name) && !usual(name) {
			d.Removed = append(d.Removed, name)
		}
	}
	return d
}
