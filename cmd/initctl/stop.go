package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
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

Inside the container that it stops, initctl returns when initd is about to exit.`,
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
//
// In its own container initd ends initctl, too: with TERM, as every process that the workers leave, or as PID 1 by its
// exit; pid_namespaces(7). It publishes that before, and waits until nobody is subscribed. So TERM is no interruption
// then, and the connection stays open until initctl has exited.
func (t *tool) stop(ctx context.Context, r control.Request, limit time.Duration) (err error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	exiting := make(chan struct{}) // closed when initd has published that it exits
	following, cancel := untilTold(ctx, exiting)
	defer cancel()
	c, err := t.connect()
	if err != nil {
		return err
	}
	progress := t.progress()
	defer func() {
		progress.end()
		if t.open = c; err != nil {
			c.Close()
		}
	}()
	for asked, told := false, false; ; {
		var ended error
		for a, err := range c.follow(following, control.Request{Request: control.AskSubscribe}) {
			if ended = err; err == nil && !asked { // now no event can be missed
				if _, ended = t.ask(following, r); ended == nil {
					asked = true
					progress.waitFor(initdIs("stopping"))
				}
			}
			if ended != nil {
				break
			}
			e, _ := eventlog.Parse(a.Event)
			if msg := e.Value("msg"); msg != "" {
				progress.waitFor(msg)
			}
			if isExit(e) && !told {
				told = true
				close(exiting)
			}
		}
		var lost *lostInitd
		switch interrupted := ctx.Err(); {
		case told && following.Err() != nil:
			return t.print(progress, initdIs("stopping"))
		case told:
			return t.print(progress, initdIs(stateGone))
		case asked && errors.As(ended, &lost):
			// It may have ended the subscription of one who was slow, and be there still.
		case errors.Is(interrupted, context.DeadlineExceeded):
			return fmt.Errorf("%s, but is not gone after %s; run initctl stop again to kill the workers that are left", initdIs("stopping"), span(limit))
		case asked && interrupted != nil:
			return failure{statusInterrupted, errors.New("interrupted; " + initdIs("stopping"))}
		default:
			return ended
		}
		again, err := t.connect()
		if err == nil {
			if _, err = again.Ask(following, control.Request{Request: control.AskHealth}); err != nil {
				again.Close()
			}
		}
		switch {
		case err == nil:
			c.Close()
			c = again
		case following.Err() == nil:
			return t.print(progress, initdIs(stateGone))
		}
	}
}

// print prints the last line, in place of the progress.
func (t *tool) print(p *progress, line string) error {
	p.end()
	_, err := fmt.Fprintln(t.stdout, line)
	return err
}

// isExit reports whether initd has published by this event that it exits.
func isExit(e eventlog.Event) bool {
	switch e.Value("event") {
	case eventlog.Orphans.String():
		return true
	case eventlog.Exit.String(): // of a worker, where there is a generation
		return e.Value("generation") == ""
	}
	return false
}

// toldWithin is how long an event may take that initd published before it sent TERM.
const toldWithin = 2 * time.Second

// untilTold returns a context that ends with another, but after TERM not before told is closed, or toldWithin has
// passed.
func untilTold(ctx context.Context, told <-chan struct{}) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if cause == (interruption{syscall.SIGTERM}) {
			select {
			case <-told:
			case <-later.Done():
			case <-time.After(toldWithin):
			}
		}
		cancel(cause)
	})
	return later, func() {
		release()
		cancel(nil)
	}
}
