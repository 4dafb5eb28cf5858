package main

import (
	"fmt"
	"slices"
	"strings"
)

// A row of a table is one thing that was measured.
type row struct {
	what  string
	bar   string // what initd must reach; empty: nothing
	ok    string // whether it did
	cells map[string]string

	samples map[string]sample // by which two initds are compared
	more    bool              // and more is better
}

func (r *row) set(program, text string) {
	if r.cells == nil {
		r.cells = make(map[string]string)
	}
	r.cells[program] = text
}

// compare notes what a program is compared by.
func (r *row) compare(program string, s sample) {
	if r.samples == nil {
		r.samples = make(map[string]sample)
	}
	r.samples[program] = s
}

// fill has the samples for cells, and compares by them.
func (r *row) fill(m samples, format string) {
	for name, s := range m {
		r.set(name, s.in(format))
		r.compare(name, *s)
	}
}

func (r *row) verdict(pass bool) {
	r.ok = "**missed**"
	if pass {
		r.ok = "pass"
	}
}

// A section is a table with its title.
type section struct {
	title string
	rows  []row
}

// markdown is the section with a column for each program of which it has something.
func (s section) markdown(programs []program) string {
	programs = slices.DeleteFunc(slices.Clone(programs), func(p program) bool {
		return !slices.ContainsFunc(s.rows, func(r row) bool { return r.cells[p.name] != "" })
	})
	heads := []string{"what", "bar", ""}
	for _, p := range programs {
		heads = append(heads, p.name)
	}
	var lines [][]string
	for _, r := range s.rows {
		cells := []string{r.what, r.bar, r.ok}
		for _, p := range programs {
			cells = append(cells, r.cells[p.name])
		}
		lines = append(lines, cells)
	}
	return s.table(heads, lines)
}

// table is the section with these columns and lines.
func (s section) table(heads []string, lines [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n", s.title)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads)
	line(slices.Repeat([]string{"---"}, len(heads)))
	for _, cells := range lines {
		line(cells)
	}
	return b.String()
}
