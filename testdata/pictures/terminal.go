package main

import (
	"cmp"
	"fmt"
	"html"
	"os/exec"
	"strconv"
	"strings"
	"unicode/utf8"
)

// columns and rows are the size of the terminal.
const columns, rows = 90, 32

// A terminal is a tmux, by the path of its socket.
type terminal struct{ socket string }

func (t terminal) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-S", t.socket, "-f", "/dev/null", "-u"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// open runs a command line on a screen, which stays when the command has ended.
func (t terminal) open(name, command string) error {
	_, err := t.tmux("new-session", "-d", "-s", name, "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), command+"; exec sleep infinity")
	return err
}

// await waits for what a command signals by `tmux wait-for -S`.
func (t terminal) await(event string) error {
	_, err := t.tmux("wait-for", event)
	return err
}

// screen is what a screen shows, with the attributes of the text as ECMA-48 has them.
func (t terminal) screen(name string) (string, error) {
	return t.tmux("capture-pane", "-e", "-p", "-t", "="+name+":")
}

// The terminal in the picture, in pixels; a character is as wide as that of most monospaced fonts of 14 px.
const (
	cell   = 8.43
	line   = 19
	margin = 16
	bar    = 34 // with the title
)

// inks are the colours by the numbers of SGR. They are the same on light and dark pages, as the terminal is dark on both.
var inks = map[string]string{"31": "#ff7b72", "32": "#56d364", "33": "#e3b341", "34": "#79c0ff"}

const ink, faint, strong = "#d1d7e0", "#8b949e", "#ffffff"

// A pen is what attributes have made of the text that follows them.
type pen struct{ colour, weight string }

// take takes one parameter of SGR. Those of the background are of no interest: all is on the same.
func (p *pen) take(code string) {
	switch code {
	case "", "0":
		*p = pen{}
	case "1":
		p.weight = strong
	case "2":
		p.weight = faint
	case "22":
		p.weight = ""
	case "39":
		p.colour = ""
	}
	if c, is := inks[code]; is {
		p.colour = c
	}
}

func (p *pen) ink() string { return cmp.Or(p.colour, p.weight, ink) }

// shades are the block elements, U+2580 ff., that top uses: how much of the cell is filled from below, and how opaque.
// Fonts have them with gaps or in another width.
var shades = map[rune][2]float64{'░': {1, .3}, '▒': {1, .55}, '█': {1, 1},
	'▁': {1. / 8, 1}, '▂': {2. / 8, 1}, '▃': {3. / 8, 1}, '▄': {4. / 8, 1}, '▅': {5. / 8, 1}, '▆': {6. / 8, 1}, '▇': {7. / 8, 1}}

// draw makes a picture of a screen.
func draw(title, screen string) string {
	lines := strings.Split(strings.TrimRight(screen, "\n "), "\n")
	width, height := 2*margin+columns*cell, float64(bar+len(lines)*line+margin)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-labelledby="title">
<title id="title">What %s prints on a terminal during a swap</title>
<style>text { font: 14px ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; white-space: pre } rect { shape-rendering: crispEdges }</style>
<rect x="0.5" y="0.5" width="%.0f" height="%.0f" rx="9" fill="#161b22" stroke="#3d444d" style="shape-rendering: auto"/>
<circle cx="20" cy="18" r="6" fill="#ff5f57"/><circle cx="40" cy="18" r="6" fill="#febc2e"/><circle cx="60" cy="18" r="6" fill="#28c840"/>
<text x="%.0f" y="23" text-anchor="middle" fill="%s">%s</text>
`, width, height, width, height, title, width-1, height-1, width/2, faint, title)
	var now pen
	for i, text := range lines {
		column := 0
		for text != "" {
			if codes, rest, ok := attributes(text); ok {
				text = rest
				for code := range strings.SplitSeq(codes, ";") {
					now.take(code)
				}
				continue
			}
			run := text
			if end := strings.IndexByte(text, '\x1b'); end >= 0 {
				run = text[:end]
			}
			text = text[len(run):]
			column += write(&b, run, column, i, now.ink())
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// attributes takes a sequence SGR from the beginning of a text.
func attributes(text string) (codes, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, "\x1b[")
	if !ok {
		return "", "", false
	}
	return strings.Cut(text, "m")
}

// write draws text of one colour, and returns how many columns it takes.
func write(b *strings.Builder, text string, column, row int, colour string) int {
	top := float64(bar + row*line)
	x := func(column int) float64 { return margin + float64(column)*cell }
	n := 0
	for text != "" {
		first, size := utf8.DecodeRuneInString(text)
		if shade, is := shades[first]; is {
			length := len(text) - len(strings.TrimLeft(text, string(first)))
			fmt.Fprintf(b, `<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s" opacity="%g"/>`+"\n",
				x(column+n), top+line-2-shade[0]*(line-4), float64(length/size)*cell, shade[0]*(line-4), colour, shade[1])
			n += length / size
			text = text[length:]
			continue
		}
		end := strings.IndexFunc(text, func(r rune) bool { _, is := shades[r]; return is })
		if end < 0 {
			end = len(text)
		}
		words := strings.Trim(text[:end], " ")
		before := len(text[:end]) - len(strings.TrimLeft(text[:end], " "))
		if words != "" {
			length := utf8.RuneCountInString(words)
			fmt.Fprintf(b, `<text x="%.2f" y="%.0f" fill="%s" textLength="%.2f" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
				x(column+n+before), top+14, colour, float64(length)*cell, html.EscapeString(words))
		}
		n += utf8.RuneCountInString(text[:end])
		text = text[end:]
	}
	return n
}
