package main

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"

	"server-starter/cmd/initctl/internal/metrics"
	"server-starter/initd/control"
)

func (t *tool) metricsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "Print the metrics in the format of Prometheus",
		Long: `metrics prints what the HTTP endpoint serves at /metrics, for use without that endpoint:
for example by a cron job for node_exporter's textfile collector.`,
		Example: `  initctl metrics | grep initd_generation`,
		Args:    arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := t.ask(c.Context(), control.Request{Request: control.AskStatus})
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := metrics.Write(&text, a.Status); err != nil {
				return err
			}
			_, err = io.WriteString(t.stdout, printableLines(text.String()))
			return err
		},
	}
}
