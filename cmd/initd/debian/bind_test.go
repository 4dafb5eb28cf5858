package debian_test

import (
	"flag"
	"testing"

	"server-starter/cmd/initd/internal/recipes"
)

var alone = flag.Int("alone", 1, "how often to stop servers that bind their own port, without initd")

// TestBind follows each recipe for a server that binds its own port.
func TestBind(t *testing.T) { recipes.Swap(t, images(t), recipes.Recipe.Binds) }

// TestAlone logs what such a server loses by its own doing when it is stopped.
func TestAlone(t *testing.T) { recipes.Alone(t, images(t), recipes.Recipe.Binds, *alone) }
