package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"server-starter/initd/control"
	"server-starter/initd/settings"
)

func (t *tool) scaleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scale WORKERS",
		Short: "Set how many workers the pool has when idle",
		Long: `scale sets the number of workers that TTIN and TTOU change by one. The change lasts
until initd exits; the setting workers is the initial number.`,
		Example: `  initctl scale 8`,
		Args:    arguments,
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return wrongUsage("invalid number of workers %q: expected 1 or more", args[0])
			}
			a, err := t.ask(c.Context(), control.Request{Request: control.AskScale, Workers: n})
			if err != nil {
				return err
			}
			if a.Workers != nil {
				n = *a.Workers
			}
			fmt.Fprintf(t.stdout, "%s when idle\n", count(n, "worker"))
			return nil
		},
	}
}

// checkSignal refuses what is no signal to anybody. What initd takes it decides itself.
func checkSignal(name string) error {
	if _, err := settings.ParseSignal(name); err != nil {
		return wrongUsage("%v; expected TERM, SIGTERM or 15", err)
	}
	return nil
}

func (t *tool) signalCommand() *cobra.Command {
	var generation, slot int
	c := &cobra.Command{
		Use:   "signal SIGNAL",
		Short: "Send a signal to workers",
		Long: `signal sends SIGNAL to the workers themselves, whatever it means to initd: HUP does
not cause a swap, and workers that end on TERM are replaced.`,
		Example: `  initctl signal USR1
  initctl signal QUIT --generation 3
  initctl signal ABRT --slot 2`,
		Args:              arguments,
		ValidArgsFunction: cobra.FixedCompletions([]string{"HUP", "INT", "QUIT", "ABRT", "USR1", "USR2", "TERM", "CONT", "WINCH", "KILL"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkSignal(args[0]); err != nil {
				return err
			}
			r := control.Request{Request: control.AskSignal, Signal: args[0], Generation: generation}
			if c.Flags().Changed("generation") && generation < 1 {
				return wrongUsage("invalid generation %d: expected a number of 1 or more", generation)
			}
			if c.Flags().Changed("slot") {
				if slot < 0 {
					return wrongUsage("invalid slot %d: expected a number of 0 or more", slot)
				}
				r.Slot = &slot
			}
			a, err := t.ask(c.Context(), r)
			if err != nil {
				return err
			}
			n := 0
			if a.Workers != nil {
				n = *a.Workers
			}
			if n == 0 {
				return errors.New("there is no such worker; no signal was sent")
			}
			fmt.Fprintf(t.stdout, "sent %s to %s\n", args[0], count(n, "worker"))
			return nil
		},
	}
	c.Flags().IntVar(&generation, "generation", 0, "only to workers of the generation with this `number`")
	c.Flags().IntVar(&slot, "slot", 0, "only to workers in this `slot`")
	return c
}
