package main

import (
	"time"

	"github.com/spf13/cobra"

	"server-starter/initd/settings"
)

func (t *tool) sleepCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sleep DURATION",
		Short: "Sleep, as a preStop hook without a shell",
		Long: `sleep waits for DURATION: seconds (10, 1.5), or numbers with units (500ms, 1m30s). It
does not contact initd. initd's setting stop-delay does the same without a hook.`,
		Example: `  lifecycle: {preStop: {exec: {command: [/initctl, sleep, "5"]}}}`,
		Args:    arguments,
		RunE: func(c *cobra.Command, args []string) error {
			var d time.Duration
			if v := (*settings.Duration)(&d); v.Set(args[0]) != nil {
				return wrongUsage("invalid duration %q: expected %s", args[0], v.Type())
			}
			select {
			case <-time.After(d):
				return nil
			case <-c.Context().Done():
				return c.Context().Err()
			}
		},
	}
}
