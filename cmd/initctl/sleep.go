package main

import (
	"time"

	"github.com/spf13/cobra"

	"server-starter/initd/settings"
)

func (t *tool) sleepCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sleep DURATION",
		Short: "Wait for a while, as a preStop hook without a shell",
		Long: `sleep waits for some seconds (10, 1.5) or what has units (500ms, 1m30s). It asks
nobody anything. Where it can be set, initd's stop-delay does the same without a hook.`,
		Example: `  lifecycle: {preStop: {exec: {command: [/initctl, sleep, "5"]}}}`,
		Args:    arguments,
		RunE: func(c *cobra.Command, args []string) error {
			var d time.Duration
			if v := (*settings.Duration)(&d); v.Set(args[0]) != nil {
				return wrongUsage("%q is no duration: expected %s", args[0], v.Type())
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
