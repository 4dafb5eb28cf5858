package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/settings"
)

func (t *tool) stopCommand() *cobra.Command {
	var name string
	var noWait bool
	var limit time.Duration
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop the workers and initd",
		Long: `stop asks initd to stop, as TERM, INT or QUIT does, and waits until it is gone. A second
stop, with TERM or INT, kills the workers that are left.

Inside the container whose PID 1 it stops, initctl is killed when initd exits.`,
		Example: `  initctl stop
  initctl stop --signal QUIT --timeout 30`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if name != "" {
				if err := checkSignal(name); err != nil {
					return err
				}
			}
			r := control.Request{Request: control.AskStop, Signal: name}
			if noWait {
				_, err := t.ask(c.Context(), r)
				return err
			}
			return t.stop(c.Context(), r, limit)
		},
	}
	c.Flags().StringVar(&name, "signal", "", "stop as on this `signal`: TERM (the default), INT or QUIT")
	c.RegisterFlagCompletionFunc("signal", cobra.FixedCompletions([]string{"TERM", "INT", "QUIT"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until initd is gone")
	c.Flags().Var((*settings.Duration)(&limit), "timeout", "longest `duration` to wait; 0 means no limit")
	c.MarkFlagsMutuallyExclusive("no-wait", "timeout")
	return c
}

// stop waits for the end of a subscription: initd ends it when it ends itself.
func (t *tool) stop(ctx context.Context, r control.Request, limit time.Duration) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	c, err := t.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	progress := t.progress()
	defer progress.end()
	for asked := false; ; {
		for a, err := range c.follow(ctx, control.Request{Request: control.AskSubscribe}) {
			var refused *control.Refusal
			switch {
			case errors.As(err, &refused):
				return err
			case err != nil && errors.Is(ctx.Err(), context.Canceled):
				return failure{statusInterrupted, errors.New("interrupted; " + initdIs("stopping"))}
			case err != nil && ctx.Err() != nil:
				return fmt.Errorf("%s, but is not gone after %s; run initctl stop again to kill the workers that are left", initdIs("stopping"), span(limit))
			case err != nil && !asked:
				return err
			case err == nil && !asked: // now no event can be missed
				if _, err := t.ask(ctx, r); err != nil {
					return err
				}
				asked = true
				progress.waitFor(initdIs("stopping"))
			case err == nil:
				if e, ok := eventlog.Parse(a.Event); ok && e.Value("msg") != "" {
					progress.waitFor(e.Value("msg"))
				}
			}
		}
		// It may have ended the subscription of one who was slow, and be there still.
		again, err := t.connect()
		if err == nil {
			_, err = again.Ask(ctx, control.Request{Request: control.AskHealth})
			if err != nil {
				again.Close()
			}
		}
		if err != nil && ctx.Err() == nil {
			progress.end()
			fmt.Fprintln(t.stdout, initdIs(stateGone))
			return nil
		}
		if err == nil {
			c.Close()
			c = again
		}
	}
}
