package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
)

func (t *tool) eventsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "events",
		Short: "Follow initd's log",
		Long: `events prints new lines of initd's log until it is interrupted or initd exits. If the
output is read too slowly, some lines are missed; a line says how many.`,
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
				line := string(eventlog.Escape(a.Event))
				if e, ok := eventlog.Parse(a.Event); ok && !asJSON {
					line = e.Line(eventColours(e, p))
				}
				if _, err := fmt.Fprintln(t.stdout, line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print each line as a JSON object, as in initd's log")
	return c
}

// eventColours are those of the parts of an event's line.
func eventColours(e eventlog.Event, p palette) func(eventlog.Part, string) string {
	level := map[string]colour{"WARN": yellow, "ERROR": red, "DEBUG": dim}[e.Value("level")]
	return func(part eventlog.Part, text string) string {
		return p.paint(map[eventlog.Part]colour{eventlog.Time: dim, eventlog.Level: level, eventlog.Facts: dim}[part], text)
	}
}
