package settings

import (
	"errors"
	"strings"
)

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
	var c command
	if err := c.Set(strings.TrimSpace(line)); err != nil {
		return err
	}
	if c == nil {
		return errors.New("names no command after the |")
	}
	*o = Output{Command: c}
	return nil
}

func (o *Output) String() string {
	if o.Command != nil {
		return "| " + (*command)(&o.Command).String()
	}
	return o.File
}

// Type says what Set expects.
func (o *Output) Type() string { return "a path, or | and " + (*command)(nil).Type() }
