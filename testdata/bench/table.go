package main

import (
	"fmt"
	"strings"
)

// A row of the table is one thing that was measured.
type row struct {
	what  string
	bar   string // what initd must reach; empty: nothing
	ok    string // whether it did
	cells map[string]string
}

func (r *row) set(program, text string) {
	if r.cells == nil {
		r.cells = make(map[string]string)
	}
	r.cells[program] = text
}

func (r *row) fill(m samples, format string) {
	for name, s := range m {
		r.set(name, s.in(format))
	}
}

func (r *row) verdict(pass bool) {
	r.ok = "**missed**"
	if pass {
		r.ok = "pass"
	}
}

// markdown is the table, with a column for each program.
func markdown(rows []row, programs []program) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	heads, rule := []string{"what", "bar", ""}, []string{"---", "---", "---"}
	for _, p := range programs {
		heads, rule = append(heads, p.name), append(rule, "---")
	}
	line(heads)
	line(rule)
	for _, r := range rows {
		cells := []string{r.what, r.bar, r.ok}
		for _, p := range programs {
			text := r.cells[p.name]
			if p.path == "" {
				text = "not installed"
			}
			cells = append(cells, text)
		}
		line(cells)
	}
	return b.String()
}
