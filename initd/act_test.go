package initd

import (
	"testing"

	"server-starter/initd/machine"
)

// Each state that a transition may report is an event of the same name. There is
// none of a generation that is being prepared: nobody sees anything of it yet.
func TestStatesAreEvents(t *testing.T) {
	for state := machine.Checking; state <= machine.Gone; state++ {
		if got := states[state].String(); got != state.String() {
			t.Errorf("the event of %v is %q", state, got)
		}
	}
}
