// Package baseimage_test makes the image of Debian that packages debian and servers test in. That takes minutes where it
// is not there yet; in a package of its own, which comes before them, it uses up none of the time that they may take.
package baseimage_test

import (
	"os"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/cmd/initd/internal/recipes"
)

func TestMain(m *testing.M) { os.Exit(initdtest.Main(m.Run, 1)) }

// TestImage makes the image.
func TestImage(t *testing.T) { recipes.Images(t, nil) }
