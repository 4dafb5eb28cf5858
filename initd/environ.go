package initd

import (
	"slices"
	"strings"
)

// environ is an environment under construction. Of two assignments of a name
// the later counts: execve(2) would pass both on, and getenv(3) find the first.
type environ []string

// with is the environment with these assignments, as K=V.
func (e environ) with(assignments ...string) environ {
	out := slices.Clone(e)
	for _, a := range assignments {
		name, _, _ := strings.Cut(a, "=")
		out = append(out.without(name), a)
	}
	return out
}

// without is the environment without these names.
func (e environ) without(names ...string) environ {
	return slices.DeleteFunc(slices.Clone(e), func(a string) bool {
		name, _, _ := strings.Cut(a, "=")
		return slices.Contains(names, name)
	})
}

// value is the value of a name, empty where there is none.
func (e environ) value(name string) string {
	for _, a := range e {
		if n, v, ok := strings.Cut(a, "="); ok && n == name {
			return v
		}
	}
	return ""
}

// has reports whether a name is set.
func (e environ) has(name string) bool {
	return slices.ContainsFunc(e, func(a string) bool { return strings.HasPrefix(a, name+"=") })
}

// names are the names of its variables, sorted.
func (e environ) names() (names []string) {
	for _, a := range e {
		name, _, _ := strings.Cut(a, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
