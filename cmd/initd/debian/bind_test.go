package debian_test

import (
	"flag"
	"testing"

	"server-starter/cmd/initd/internal/recipes"
)

var alone = flag.Int("alone", 0, "how often to stop servers that bind their own port, without initd")

// TestBind follows each recipe for a server that binds its own port.
func TestBind(t *testing.T) { recipes.Swap(t, images(t), recipes.Recipe.Binds) }

// TestAlone logs what such a server loses by its own doing when it is stopped.
func TestAlone(t *testing.T) {
	if *alone == 0 {
		t.Skip("it measures, and demands nothing: -alone says how often")
	}
	recipes.Alone(t, images(t), recipes.Recipe.Binds, *alone)
}
