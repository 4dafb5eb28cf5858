package launch

import (
	"slices"
	"strings"
)

// tuning are the variables that tune the runtime of a Go program: package runtime, "Environment Variables". They are
// meant for workers, and not for initd or the stage, which are Go programs as well.
var tuning = []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"}

// hidden is the prefix that takes the effect from these variables.
const hidden = "_INITD_"

// IsTuning reports whether a variable, K=V, tunes the Go runtime.
func IsTuning(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(tuning, name)
}

// IsHidden reports whether a variable is one that Hide has renamed.
func IsHidden(variable string) bool {
	original, is := strings.CutPrefix(variable, hidden)
	return is && IsTuning(original)
}

// Hide renames the variables that tune the Go runtime, for a Go program that hands the environment on by Reveal. The
// order stays.
func Hide(environ []string) []string {
	environ = slices.Clone(environ)
	for i, variable := range environ {
		if IsTuning(variable) {
			environ[i] = hidden + variable
		}
	}
	return environ
}

// Reveal undoes Hide.
func Reveal(environ []string) []string {
	environ = slices.Clone(environ)
	for i, variable := range environ {
		if IsHidden(variable) {
			environ[i] = strings.TrimPrefix(variable, hidden)
		}
	}
	return environ
}
