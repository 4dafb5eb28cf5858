package settings

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

const synopsis = "initd [flags] [--] command [argument ...]"

const head = `Usage: ` + synopsis + `

initd binds the listeners, starts the command with them, and is the init of its
container. On HUP it starts the command anew, waits until that is ready, and
only then stops the old one: no connection is lost.

Flags end at the first word that is not one, or at --.

Examples:
  initd --port=8080 -- ./server
  SERVER_STARTER_PORT='8080;8443' initd --ready=notify ./server
  initd --respawn=never -- make test

Settings. A flag beats its variable, the variable beats the default. In a
variable the items of a list are separated by ; or a newline; a flag is
repeated. A duration is in seconds (10, 1.5) or has units (500ms, 1m30s). An
empty variable counts as unset.

`

const tail = `  --help, -h         print this
  --version, -v      print the version
  --show-config      print each setting, and where it came from

Asked of an initd that runs, found by its pid-file (a script's exit status is 0
when it is done, else 1 with the reason):
  --restart          swap, and wait until the new generation alone is left;
                     needs pid-file and status-file
  --stop             stop, and wait until it has gone; needs pid-file

Signals to initd:
  HUP                swap: start a new generation, then stop the old one
  TERM, INT, QUIT    stop: workers get signal-on-term, TERM, or QUIT;
                     TERM or INT once more kills those that are left
  TTIN, TTOU         one worker more, one worker fewer
  others             go to the workers as they are, signal-map may change them
  KILL               cannot be caught: workers get the death-signal
With --respawn=never HUP, TERM, INT and QUIT too go to the command.

Exit status:
  0                  stopped as asked; a request is done
  1                  a request, or the start of --daemonize, has failed
  64                 wrong usage or settings, nothing was started
  70                 a defect in initd
  125                initd could not set itself up (port in use, no such user)
  126, 127           the command cannot be executed, is not found
  other              the command's own, 128+n if signal n ended it
`

// Usage is the text of --help.
func Usage() string {
	var b strings.Builder
	b.WriteString(head)
	for _, r := range Table() {
		fmt.Fprintf(&b, "  %-24s %s\n", r.Flag(), r.Variable())
		meaning := r.Meaning
		if r.Default != "" {
			meaning += " Default: " + r.Default + "."
		}
		if r.Bare {
			meaning += " Also read from " + r.word + "."
		}
		wrap(&b, meaning)
	}
	b.WriteString("\n")
	b.WriteString(tail)
	return b.String()
}

// wrap writes words in lines of at most 79 characters, indented.
func wrap(b *strings.Builder, words string) {
	const indent = "     "
	line := indent
	for word := range strings.FieldsSeq(words) {
		if len(line)+1+len(word) > 79 {
			b.WriteString(line + "\n")
			line = indent
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// Value is what a setting is, and where that came from.
type Value struct {
	Name   string
	Values []string // its items; none: it is not set
	Source string   // a variable, a flag, or default
}

// InForce are the values of all settings, in the order of --help.
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

// show is the text of --show-config: name, value, # source. A value is as many
// words as it has items, quoted as in Go where one could be misread, or - for
// none.
func (s *Settings) show() string {
	var b strings.Builder
	for _, v := range s.InForce() {
		line(&b, v.Name, v.Values, v.Source)
	}
	if len(s.Command) > 0 {
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
