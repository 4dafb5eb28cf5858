package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"server-starter/initd/control"
	"server-starter/initd/settings"
)

func (t *tool) envCommand() *cobra.Command {
	var generation int
	var values, asJSON bool
	c := &cobra.Command{
		Use:   "env",
		Short: "Show the environment of a generation",
		Long: `env prints the names of the variables that the workers of a generation were started
with, except those that differ from worker to worker, such as SERVER_STARTER_WORKER.
Without --generation, it shows the generation that is serving. Values are often
secret: they are shown to root only, with --values.`,
		Example: `  initctl env
  diff <(initctl env --generation 3) <(initctl env)
  initctl env --values`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("generation") && generation < 1 {
				return wrongUsage("invalid generation %d: expected a number of 1 or more", generation)
			}
			a, err := t.ask(c.Context(), control.Request{Request: control.AskEnvironment, Generation: generation, Values: values})
			if err != nil {
				return err
			}
			if a.Environment == nil {
				a.Environment = new(control.Environment)
			}
			if asJSON {
				return t.writeJSON(a.Environment)
			}
			clean := func(text string) string { return text }
			if isTerminal(t.stdout) {
				clean = printable
			}
			for _, v := range a.Environment.Variables {
				line := v.Name
				if v.Value != nil {
					line += "=" + *v.Value
				}
				fmt.Fprintln(t.stdout, clean(line))
			}
			return nil
		},
	}
	c.Flags().IntVar(&generation, "generation", 0, "show the generation with this `number`")
	c.Flags().BoolVar(&values, "values", false, "also show the values (root only)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (t *tool) settingsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "settings",
		Short: "Show the settings in effect and where each one comes from",
		Example: `  initctl settings
  initctl settings --json | jq '.[] | select(.source != "default")'`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := t.ask(c.Context(), control.Request{Request: control.AskSettings})
			if err != nil {
				return err
			}
			if asJSON {
				return t.writeJSON(a.Settings)
			}
			list := &table{head: []string{"SETTING", "VALUE", "SOURCE"}}
			for _, s := range a.Settings {
				tint := dim
				if s.Source != "default" {
					tint = ""
				}
				list.add(plain(s.Name), plain(words(s.Values)), cell{s.Source, tint})
			}
			list.write(t.stdout, t.palette(t.stdout))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// words are values with a space between them, quoted as in Go where one could be
// misread, or - for none.
func words(values []string) string {
	if len(values) == 0 {
		return "-"
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		if quoted[i] = v; v == "" || v == "-" || strings.ContainsAny(v, " \"") || printable(v) != v {
			quoted[i] = strconv.Quote(v)
		}
	}
	return strings.Join(quoted, " ")
}

func (t *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the versions of initctl, initd and the protocol",
		Long: `version prints the version of initctl, and that of the running initd, if there is one.
initctl --version does not contact initd.`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(t.stdout, "initctl %s, protocol %d\n", settings.Version, control.Version)
			a, err := t.ask(c.Context(), control.Request{Request: control.AskStatus})
			if err != nil {
				return err
			}
			fmt.Fprintf(t.stdout, "initd %s, protocol %d\n", printable(a.Status.Version), a.Version)
			return nil
		},
	}
}
