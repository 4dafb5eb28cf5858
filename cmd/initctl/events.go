package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"server-starter/initd/control"
)

func (t *tool) eventsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens",
		Long: `events prints the lines of initd's log from now on, until it is interrupted or initd
ends. One that reads too slowly misses some, and is told how many.`,
		Example: `  initctl events
  initctl events --json | jq 'select(.event == "failed")'`,
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, err := t.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			p := t.palette(t.stdout)
			for a, err := range c.follow(ctx, control.Request{Request: control.AskSubscribe}) {
				if err != nil && ctx.Err() != nil {
					return nil // it has been asked for
				}
				if err != nil {
					return err
				}
				if a.Event == nil {
					continue
				}
				line := string(a.Event)
				if e, ok := readEvent(a.Event); ok && !asJSON {
					line = e.line(p)
				}
				if _, err := fmt.Fprintln(t.stdout, line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print each as a JSON object, as initd's log has it")
	return c
}

// An event is a line of the log: its fields in their order.
type event []field

type field struct{ key, value string }

// readEvent reads a JSON object of plain values.
func readEvent(line []byte) (e event, ok bool) {
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
		e = append(e, field{key.(string), text})
	}
	return e, true
}

func (e event) text(key string) string {
	for _, f := range e {
		if f.key == key {
			return f.value
		}
	}
	return ""
}

// line is the event for people: 12:00:00.000 INFO  the message  key=value …
func (e event) line(p palette) string {
	at := e.text("time")
	if moment, err := time.Parse(time.RFC3339Nano, at); err == nil {
		at = moment.Format("15:04:05.000")
	}
	level := e.text("level")
	tint := map[string]colour{"WARN": yellow, "ERROR": red, "DEBUG": dim}[level]
	line := strings.TrimLeft(fmt.Sprintf("%s %s %s", p.paint(dim, at), p.paint(tint, fmt.Sprintf("%-5s", level)), printable(e.text("msg"))), " ")
	for _, f := range e {
		switch f.key {
		case "time", "level", "msg", "event":
			continue
		}
		value := printable(f.value)
		if value == "" || strings.ContainsAny(value, " \"=") {
			value = strconv.Quote(value)
		}
		line += p.paint(dim, "  "+f.key+"="+value)
	}
	return line
}
