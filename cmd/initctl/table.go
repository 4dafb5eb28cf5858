package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A cell is text in a colour.
type cell struct {
	text   string
	colour colour
}

func plain(text string) cell { return cell{text: text} }

// A table has columns as wide as need be, two spaces apart. A row of one cell
// that begins with a space is a remark, and has the whole line.
type table struct {
	head []string // a column whose name begins with a space is flush right
	rows [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, clean(cells)) }
func (t *table) remark(text string, c colour) {
	t.rows = append(t.rows, clean([]cell{{" " + text, c}}))
}

// clean leaves nothing in the cells that a terminal would obey.
func clean(cells []cell) []cell {
	for i := range cells {
		cells[i].text = printable(cells[i].text)
	}
	return cells
}

func isRemark(row []cell) bool { return len(row) == 1 && strings.HasPrefix(row[0].text, " ") }

func (t *table) write(w io.Writer, p palette) {
	head := make([]cell, len(t.head))
	widths := make([]int, len(t.head))
	for i, name := range t.head {
		head[i] = cell{strings.TrimSpace(name), dim}
	}
	rows := append([][]cell{head}, t.rows...)
	for _, row := range rows {
		if isRemark(row) {
			continue
		}
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line, gap strings.Builder
		for i, c := range row {
			if isRemark(row) {
				line.WriteString(" " + p.paint(c.colour, c.text))
				break
			}
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			if strings.HasPrefix(t.head[i], " ") {
				gap.WriteString(space)
				space = ""
			}
			if c.text != "" { // what is empty at the end of a line leaves no spaces there
				line.WriteString(gap.String() + p.paint(c.colour, c.text))
				gap.Reset()
			}
			gap.WriteString(space + "  ")
		}
		fmt.Fprintln(w, line.String())
	}
}
