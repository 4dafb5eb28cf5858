package main

import "io"

// A colour is an attribute of text on a terminal; ECMA-48, SGR. The zero colour
// is the terminal's own.
type colour string

const (
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	blue   colour = "34"
)

// A palette paints, or does not.
type palette bool

func (p palette) paint(c colour, text string) string {
	if !p || c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[m"
}

// palette has colours on a terminal that knows them, unless somebody wants none;
// no-color.org.
func (t *tool) palette(w io.Writer) palette {
	return palette(isTerminal(w) && !t.dumb() && t.getenv("NO_COLOR") == "")
}

// dumb reports whether a terminal can do no more than print one line after the
// other; term(7).
func (t *tool) dumb() bool {
	term := t.getenv("TERM")
	return term == "" || term == "dumb"
}
