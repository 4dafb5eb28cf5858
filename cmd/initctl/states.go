package main

import (
	"fmt"
	"strings"

	"server-starter/initd/control"
)

// A state is how all commands name what something is in.
type state struct {
	word     string // by itself, as in a table
	sentence string // after what it is the state of, as in initd's log: "generation 2" + " " + sentence
	colour   colour
}

// states are all there are: by the protocol's values, and by those below, which only
// initctl has. The same value means the same whatever it is the state of.
var states = map[string]state{
	// Of initd. "ready" is also a worker's, and a swap's whose generation became so.
	"not-ready": {"not ready", "is not ready", red},
	"ready":     {"ready", "is ready", green},
	"reloading": {"reloading", "is reloading", yellow},
	"stopping":  {"stopping", "is stopping", blue}, // also a worker's

	// Of a generation.
	"preparing": {"preparing", "is preparing", yellow},
	"checking":  {"checking", "is waiting for hook-before-swap", yellow},
	"starting":  {"starting", "is starting", yellow},
	"probing":   {"probing", "is being probed", yellow},
	"trial":     {"trial", "is on trial", yellow},
	"serving":   {"serving", "is serving", green},
	"partial":   {"partial", "is serving in some slots only", yellow},
	"retiring":  {"retiring", "is retiring", blue},
	"failed":    {"failed", "failed", red}, // also a swap's
	stateGone:   {"gone", "is gone", dim},  // also initd's

	// Of a worker.
	"forking":   {"forking", "is forking", yellow},
	"executing": {"executing", "is executing", yellow},
	"running":   {"running", "is running", green},
	"suspended": {"suspended", "is suspended", red},
	"ending":    {"ending", "is ending", blue},
	"killed":    {"killed", "was killed", red},

	// Of a swap. While it is starting its generation may be in any state before serving.
	stateWaiting: {"waiting", "is waiting", yellow},
	"pending":    {"starting", "is starting", yellow},
	"begun":      {"starting", "is starting", yellow},
	"refused":    {"refused", "was refused", red},
	stateGivenUp: {"given up", "was given up", red},
	"superseded": {"superseded", "was superseded", blue},
	"stopped":    {"stopped", "was stopped", blue},
	"lost":       {"lost", "was lost", red}, // it had been ready
}

const (
	stateGone    = "gone"
	stateWaiting = "waiting"  // asked for, and no attempt is under way
	stateGivenUp = "given-up" // the last attempt failed
)

// stateOf is the state with this value. A newer initd may have others, docs/CONTROL.md:
// they are named as they are.
func stateOf(value string) state {
	if s, ok := states[value]; ok || value == "" {
		return s
	}
	value = printable(value)
	return state{value, "is " + value, yellow}
}

// initdIs is the sentence on initd's state.
func initdIs(value string) string { return "initd " + stateOf(value).sentence }

// generationIs is the sentence on the state of a generation.
func generationIs(number int, value string) string {
	return fmt.Sprintf("generation %d %s", number, stateOf(value).sentence)
}

// swapIs is the sentence on the state of a swap.
func swapIs(ticket int, value string) string {
	return fmt.Sprintf("swap %d %s", ticket, stateOf(value).sentence)
}

// healthOf is initd's state, and which generation is serving; without the word of the
// state where that has been said.
func healthOf(h *control.Health, said string) string {
	var parts []string
	for _, part := range []string{stateOf(h.State).word, whoServes(h)} {
		if part != "" && part != said {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// reasonOf is why initd is not ready, or why the last attempt failed; empty where
// healthOf has it already.
func reasonOf(h *control.Health) string {
	if h.State == "stopping" || h.Reason == whoServes(h) {
		return ""
	}
	return printable(h.Reason)
}

// whoServes is which generation is serving; empty where that does not matter.
func whoServes(h *control.Health) string {
	switch {
	case h.Generation > 0:
		return generationIs(h.Generation, "serving")
	case h.State == "stopping":
		return ""
	case h.Started:
		return "no generation is serving"
	}
	return "no generation has been ready yet"
}

// tryingAgain is what becomes of a swap whose last attempt failed.
func tryingAgain(in string) string { return "trying again in " + in }
