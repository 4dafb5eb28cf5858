package settings

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong with how initd was called.
type Problem struct {
	Setting  string // its name; empty for what is no setting
	Variable string // where it came from: a variable
	Flag     string // or a flag; both empty: neither
	Value    string // as given; empty if it does not matter
	Reason   string // what is wrong
	Expected string // the form, in words; may be empty
	Example  string // to copy; may be empty
}

// Error is a line, and a second one if there is something to expect.
func (p Problem) Error() string {
	text := cmp.Or(p.Variable, p.Flag, p.Setting)
	if p.Value != "" {
		text += "=" + strconv.Quote(p.Value)
	}
	if text != "" {
		text += ": "
	}
	text += p.Reason
	if p.Expected != "" {
		text += "\n      expected " + p.Expected + "; example: " + p.Example
	}
	return text
}

// Problems are all that is wrong, never empty as an error.
type Problems []Problem

// Error has a paragraph of several lines and ends with how to get help.
func (ps Problems) Error() string {
	text := "wrong usage or settings:\n"
	for _, p := range ps {
		text += "  " + p.Error() + "\n"
	}
	return text + "All settings are explained by: initd --help=all"
}

// about reports whether one of the named settings is wrong, and so has another
// value than the user thinks.
func (ps Problems) about(names ...string) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return slices.Contains(names, p.Setting) })
}

// Problem says that value, which the named setting has or has in its list, is
// wrong for that reason. It panics for a name that is no setting's.
func (s *Settings) Problem(name, value string, reason error) Problem {
	r, from := row(name), s.sources[name]
	example := r.tag("example")
	if strings.ContainsAny(example, " ;") {
		example = "'" + example + "'" // for the shell
	}
	return Problem{
		Setting: name, Variable: from.variable, Flag: from.flag,
		Value: value, Reason: reason.Error(), Expected: s.value(r).Type(),
		Example: cmp.Or(from.variable, r.Flag()) + "=" + example,
	}
}

// nearest is the name that is most like the word, or empty if none is.
func nearest(word string, names []string) (near string) {
	best := max(1, len(word)/3) + 1
	for _, name := range names {
		if d := distance(strings.ToLower(word), name); d < best {
			best, near = d, name
		}
	}
	return near
}

// distance is how many letters were put in, left out, mistaken for another or
// swapped with their neighbour (optimal string alignment).
func distance(a, b string) int {
	var before, last, row []int
	for j := range len(b) + 1 {
		row = append(row, j)
	}
	for i := range len(a) {
		before, last, row = last, row, []int{i + 1}
		for j := range len(b) {
			d := last[j]
			if a[i] != b[j] {
				d++
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row = append(row, min(d, last[j+1]+1, row[j]+1))
		}
	}
	return row[len(b)]
}
