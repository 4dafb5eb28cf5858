package initd

import (
	"fmt"
	"strconv"
	"strings"
)

// relisten mends what a worker that called shutdown(2) has done to all.
func (in *instance) relisten() {
	mended, err := in.sockets.Relisten()
	in.relistened += int64(len(mended))
	for _, m := range mended {
		text := "a worker had shut down the listener " + m.Key + " for everyone; it listens again"
		if m.Slot >= 0 {
			text = fmt.Sprintf("a worker had shut down the listener %s of slot %d; it listens again", m.Key, m.Slot)
		}
		if m.Replaced {
			text += " as a new socket, which workers that run already do not have: a swap (HUP) gives it to them"
		}
		in.log.Warn(text, "event", "relisten", "key", m.Key)
	}
	if err != nil {
		in.log.Error(err.Error(), "event", "relisten")
	}
}

// hint guesses, from the listeners, why a program does not come up.
func (in *instance) hint() string {
	for _, q := range in.sockets.Waiting() {
		if q.Length > 0 && q.Network != "udp" {
			return fmt.Sprintf("%d connections wait on %s and nobody accepts them: does the program take the socket it is handed?", q.Length, q.Key)
		}
	}
	if in.sockets.Len() > 0 {
		return "a program that binds the port itself fails with EADDRINUSE, for initd holds it: let it take the inherited socket"
	}
	return ""
}

// steer sends new connections to the sockets of these slots alone, "0,1,3".
func (in *instance) steer(slots string) {
	var numbers []int
	for text := range strings.SplitSeq(slots, ",") {
		if n, err := strconv.Atoi(text); err == nil {
			numbers = append(numbers, n)
		}
	}
	if err := in.sockets.Steer(numbers); err != nil {
		in.log.Warn(err.Error(), "event", "steer")
	}
}

// widen makes the sockets of a slot that there has not been before.
func (in *instance) widen(slot int) {
	if err := in.sockets.Grow(slot + 1); err != nil {
		in.log.Error(err.Error(), "event", "listen", "slot", slot)
	}
}
