package settings

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const synopsis = "initd [flags] [--] command [argument ...]"

const head = `Usage: ` + synopsis + `

The init of a container: it binds sockets, runs the command as workers on them,
and on HUP replaces them with new ones without losing a connection.

Examples:
  initd --port=8080 -- ./server
  initd --port=8080 --ready=notify --stop-timeout=25 --workers=4 -- ./server
  initd --respawn=never -- make test

`

// Usage is the text of --help: what most people need, on two screens.
func Usage() string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("Settings most people need; --help=all explains all of them. As a variable,\n")
	b.WriteString("--stop-timeout is SERVER_STARTER_STOP_TIMEOUT.\n")
	for _, g := range Groups() {
		title := " " + g.Title + "\n"
		for _, r := range g.Settings {
			if r.Common != "" {
				b.WriteString(title)
				fmt.Fprintf(&b, "  %-22s %s\n", r.Flag()+"="+r.Example, r.Common)
				title = ""
			}
		}
	}
	b.WriteString("\n")
	brief(&b, Commands)
	b.WriteString("Signals:\n")
	brief(&b, Signals)
	b.WriteString("Exit status:\n")
	brief(&b, ExitStatuses)
	return b.String()
}

// brief writes the rows that most people need, a line each.
func brief(b *strings.Builder, rows []Row) {
	for _, r := range rows {
		if r.Brief != "" {
			fmt.Fprintf(b, "  %-22s %s\n", r.Word, r.Brief)
		}
	}
}

// FullUsage is the text of --help=all.
func FullUsage() string {
	var b strings.Builder
	b.WriteString(head)
	for _, paragraph := range Syntax {
		wrap(&b, "", paragraph)
		b.WriteString("\n")
	}
	b.WriteString("Types of values\n")
	list(&b, Types)
	b.WriteString("\n")
	for _, g := range Groups() {
		b.WriteString(g.Title + "\n")
		for _, r := range g.Settings {
			fmt.Fprintf(&b, "  %-24s %s\n", r.Flag(), r.Variable())
			wrap(&b, "      ", r.Meaning+" ("+r.facts()+")")
		}
		b.WriteString("\n")
	}
	for _, table := range []struct {
		title string
		rows  []Row
		notes []string
	}{{"Other flags", Commands, nil}, {"Signals", Signals, SignalNotes}, {"Exit status", ExitStatuses, nil}} {
		b.WriteString(table.title + "\n")
		list(&b, table.rows)
		for _, note := range table.notes {
			wrap(&b, "  ", note)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// list writes rows in full.
func list(b *strings.Builder, rows []Row) {
	for _, r := range rows {
		b.WriteString("  " + r.Word + "\n")
		wrap(b, "      ", r.Meaning)
	}
}

// facts are its type, its default and the variable without prefix, if it has them.
func (r Setting) facts() string {
	facts := r.Kind
	if r.Default != "" {
		facts += "; default " + r.Default
	}
	if r.Bare {
		facts += "; also read from " + r.word
	}
	return facts
}

// wrap writes words in lines of at most 79 characters, indented.
func wrap(b *strings.Builder, indent, words string) {
	line := indent
	for word := range strings.FieldsSeq(words) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > 79 {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

// Value is what a setting is, and where that came from.
type Value struct {
	Name   string
	Values []string // its items; none: it is not set
	Source string   // a variable, a flag, or default
}

// InForce are the values of all settings, in the order of --help=all.
func (s *Settings) InForce() (values []Value) {
	for _, r := range all() {
		if r.isHidden() {
			continue
		}
		items := []string{} // nil is null in JSON
		if v, ok := s.value(r).(interface{ words() []string }); ok {
			items = append(items, v.words()...)
		} else if text := s.value(r).String(); text != "" {
			items = append(items, text)
		}
		values = append(values, Value{r.Name, items, s.sources[r.Name].String()})
	}
	return values
}

// show is the text of --show-config: name, value, # source, below a comment with
// the title of the group. A value is as many words as it has items, quoted as in
// Go where one could be misread, or - for none.
func (s *Settings) show() string {
	var b strings.Builder
	title := ""
	for _, v := range s.InForce() {
		if group := row(v.Name).group.Get("group"); group != title {
			title = group
			fmt.Fprintf(&b, "# %s\n", title)
		}
		line(&b, v.Name, v.Values, v.Source)
	}
	if len(s.Command) > 0 {
		b.WriteString("# Command\n")
		line(&b, "command", s.Command, "arguments")
	}
	return b.String()
}

func line(b *strings.Builder, name string, items []string, from string) {
	var shown []string
	for _, item := range items {
		if item == "-" || item == "" || strings.ContainsFunc(item, special) {
			item = strconv.Quote(item)
		}
		shown = append(shown, item)
	}
	fmt.Fprintf(b, "%-22s %-24s # %s\n", name, cmp.Or(strings.Join(shown, " "), "-"), from)
}

func special(r rune) bool {
	return !strings.ContainsRune("-_./:@%+,=[]", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}
