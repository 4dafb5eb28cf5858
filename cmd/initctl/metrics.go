package main

import (
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
			return metrics.Write(t.stdout, a.Status)
		},
	}
}
