package accepting

import (
	"fmt"
	"slices"
	"strings"

	"server-starter/initd/machine"
)

// Judge judges what was seen of a worker: whether it waits for all the listeners that are
// wanted, or for any where none is. The text says what it does not do, or why that
// cannot be told; it is the rest of a sentence about the worker.
func (s Seen) Judge(listeners []Listener, wanted []bool) (machine.Sight, string) {
	all := slices.Contains(wanted, true)
	if !all && slices.Contains(s.Waits, true) {
		return machine.Accepting, ""
	}
	var missing []string
	verb := "receive"
	for i, l := range listeners {
		if !s.Waits[i] && (!all || wanted[i]) {
			missing = append(missing, l.Key)
			if !l.Datagrams {
				verb = "accept connections"
			}
		}
	}
	on := " on " + strings.Join(missing, ", ")
	switch {
	case len(missing) == 0 && len(listeners) > 0:
		return machine.Accepting, ""
	case s.Blind != nil:
		return machine.Unknown, fmt.Sprintf("may or may not %s%s: %v", verb, on, s.Blind)
	case s.Runs:
		return machine.Undecided, fmt.Sprintf("was never seen to %s%s, for it is busy", verb, on)
	}
	return machine.NotAccepting, "does not " + verb + on
}

// Wanted are the listeners that some of several workers wait for.
func Wanted(seen []Seen) (wanted []bool) {
	for _, s := range seen {
		for i, waits := range s.Waits {
			if i == len(wanted) {
				wanted = append(wanted, false)
			}
			wanted[i] = wanted[i] || waits
		}
	}
	return wanted
}
