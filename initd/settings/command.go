package settings

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Command is an argv, empty for none.
type Command []string

// Set takes a line for /bin/sh, or a JSON array.
func (c *Command) Set(s string) error {
	switch {
	case s == "":
		*c = nil
		return nil
	case s[0] != '[':
		*c = Command{"/bin/sh", "-c", s}
		return nil
	}
	// Pointers, because null would pass for an empty string; and no bad UTF-8,
	// which would silently become something else.
	var words []*string
	if err := json.Unmarshal([]byte(s), &words); err != nil || !utf8.ValidString(s) || slices.Contains(words, nil) {
		return errors.New("begins with [ but is no JSON array of strings (for the shell's own [, write test)")
	}
	if len(words) == 0 || *words[0] == "" {
		return errors.New("names no program")
	}
	argv := make(Command, len(words))
	for i, word := range words {
		if strings.ContainsRune(*word, 0) {
			return errors.New("has a NUL in it")
		}
		argv[i] = *word
	}
	*c = argv
	return nil
}

func (c Command) String() string {
	if len(c) == 0 {
		return ""
	}
	if len(c) == 3 && c[0] == "/bin/sh" && c[1] == "-c" {
		if line := c[2]; line != "" && line[0] != '[' && line == strings.TrimSpace(line) {
			return line
		}
	}
	array, _ := json.Marshal(c) // strings cannot fail
	return string(array)
}

func (c Command) Type() string { return `a line for /bin/sh, or a JSON array of strings` }

func (c Command) words() []string { return c }

// Output is where output goes: appended to a file, or to the standard input of
// a command. The zero Output is none.
type Output struct {
	File    string   // as given, maybe relative
	Command []string // argv
}

// IsZero reports whether it is none.
func (o Output) IsZero() bool { return o.File == "" && o.Command == nil }

// Set takes a path or | command.
func (o *Output) Set(s string) error {
	line, piped := strings.CutPrefix(s, "|")
	if !piped {
		*o = Output{File: s}
		return nil
	}
	var c Command
	if err := c.Set(strings.TrimSpace(line)); err != nil {
		return err
	}
	if c == nil {
		return errors.New("names no command after the |")
	}
	*o = Output{Command: c}
	return nil
}

func (o Output) String() string {
	if o.Command != nil {
		return "| " + Command(o.Command).String()
	}
	return o.File
}

func (o Output) Type() string { return "a path, or | and " + Command(nil).Type() }
