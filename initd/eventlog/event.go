package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Event is a line of the log: its fields in their order.
type Event []Field

// Field is a key and its value: a text as it is, anything else as JSON.
type Field struct{ Key, Value string }

// Parse reads a line of the log that is a JSON object.
func Parse(line []byte) (e Event, ok bool) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		text, isText := value.(string)
		if !isText {
			b, _ := json.Marshal(value)
			text = string(b)
		}
		e = append(e, Field{key.(string), text})
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false
	}
	return e, true
}

// Value is that of a key, empty where there is none.
func (e Event) Value(key string) string {
	for _, f := range e {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// Part is what a piece of a line is, for who prints it in colours.
type Part int

const (
	Time  Part = iota
	Level      // one of DEBUG, INFO, WARN and ERROR
	Message
	Facts // what the event is about: key=value
)

// Line is the event for people, without a newline:
//
//	12:00:00.000 INFO  the message  key=value  key="another value"
//
// Nothing in it can control a terminal, whoever wrote it. Paint may put colours
// around each part; nil leaves them as they are.
func (e Event) Line(paint func(part Part, text string) string) string {
	if paint == nil {
		paint = func(_ Part, text string) string { return text }
	}
	at := e.Value("time")
	if moment, err := time.Parse(time.RFC3339Nano, at); err == nil {
		at = moment.Format("15:04:05.000")
	}
	level := fmt.Sprintf("%-5s", Printable(e.Value("level")))
	line := strings.TrimLeft(paint(Time, Printable(at))+" "+paint(Level, level)+" "+paint(Message, Printable(e.Value("msg"))), " ")
	for _, f := range e {
		switch f.Key {
		case "time", "level", "msg", "event":
			continue
		}
		value := Printable(f.Value)
		if value == "" || strings.ContainsAny(value, " \"=") {
			value = strconv.Quote(value)
		}
		line += paint(Facts, "  "+Printable(f.Key)+"="+value)
	}
	return line
}

// Printable is text without what a terminal would obey: some of it was written
// by workers.
func Printable(text string) string { return strings.Map(printable, text) }

// PrintableLines is Printable for a text of several lines.
func PrintableLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return printable(r)
	}, text)
}

func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case unicode.IsPrint(r):
		return r
	}
	return unicode.ReplacementChar
}
