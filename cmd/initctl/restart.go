package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"server-starter/initd/control"
	"server-starter/initd/settings"
)

func (t *tool) restartCommand() *cobra.Command {
	var p waiting
	var noWait bool
	c := &cobra.Command{
		Use:     "restart",
		Aliases: []string{"swap"},
		Short:   "Swap: start a new generation, and stop the old one when it is ready",
		Long: `restart asks initd for a swap and waits for its outcome. After a failed attempt the old
generation goes on serving and initd tries again, whether or not restart is still
waiting. A swap that succeeded has failed after all if its generation soon loses its
last worker: await says then that it was lost, as status does.

Exit status:
  0   the new generation is serving
  1   no outcome within --timeout, or initd refused the request
  3   the first attempt failed (without --keep-trying), or the swap was refused, given
      up, or stopped because initd is stopping
  4   the swap was superseded by a newer one
  5   no initd answers, or it exited in the meantime`,
		Example: `  initctl restart
  initctl restart --keep-trying --timeout 5m
  ticket=$(initctl restart --no-wait) && initctl await "$ticket"`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if !noWait {
				return t.follow(c.Context(), control.Request{Request: control.AskSwap, Wait: true}, p)
			}
			a, err := t.ask(c.Context(), control.Request{Request: control.AskSwap})
			if err == nil {
				fmt.Fprintln(t.stdout, a.Ticket)
			}
			return err
		},
	}
	p.flags(c.Flags())
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait; print the ticket of the swap, for await")
	c.MarkFlagsMutuallyExclusive("no-wait", "keep-trying")
	c.MarkFlagsMutuallyExclusive("no-wait", "timeout")
	return c
}

func (t *tool) awaitCommand() *cobra.Command {
	var p waiting
	c := &cobra.Command{
		Use:   "await TICKET",
		Short: "Wait for the outcome of a swap requested earlier",
		Long: `await waits for the outcome of a swap requested with restart --no-wait, which prints
the ticket. Its exit statuses are those of restart. initd keeps the outcomes of the
most recent swaps only.`,
		Example: `  initctl await 7`,
		Args:    arguments,
		RunE: func(c *cobra.Command, args []string) error {
			ticket, err := strconv.Atoi(args[0])
			if err != nil || ticket < 1 {
				return wrongUsage("invalid ticket %q: expected a number of 1 or more, as printed by restart --no-wait", args[0])
			}
			return t.follow(c.Context(), control.Request{Request: control.AskAwait, Ticket: ticket}, p)
		},
	}
	p.flags(c.Flags())
	return c
}

// waiting is for how long somebody waits for a swap.
type waiting struct {
	keepTrying bool
	limit      time.Duration // 0: none
}

func (p *waiting) flags(set *pflag.FlagSet) {
	set.BoolVar(&p.keepTrying, "keep-trying", false, "keep waiting after a failed attempt, while initd tries again")
	set.Var((*settings.Duration)(&p.limit), "timeout", "longest `duration` to wait; 0 means no limit")
}

// follow waits for the outcome of a swap, and shows what happens meanwhile.
func (t *tool) follow(ctx context.Context, r control.Request, p waiting) error {
	ticket := r.Ticket
	if p.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.limit)
		defer cancel()
	}
	c, err := t.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	progress := t.progress()
	defer progress.end()
	progress.waitFor("waiting for initd to answer")
	for a, err := range c.follow(ctx, r) {
		switch {
		case err != nil && errors.Is(ctx.Err(), context.Canceled):
			return failure{statusInterrupted, fmt.Errorf("interrupted%s", continues(ticket))}
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("no outcome within %s%s", span(p.limit), continues(ticket))
		case err != nil:
			return err
		case a.Outcome == nil:
			if ticket = a.Ticket; r.Request == control.AskAwait {
				progress.waitFor(fmt.Sprintf("waiting for the outcome of swap %d", ticket) + t.pause(ctx)) // which may be known already
			} else {
				progress.waitFor(swapIs(ticket, stateWaiting) + t.pause(ctx))
			}
			continue
		}
		switch o := a.Outcome; o.Outcome {
		case "begun":
			progress.waitFor(generationIs(o.Generation, o.Outcome))
		case "ready":
			progress.end()
			fmt.Fprintln(t.stdout, t.success(ctx, o))
			return nil
		case "superseded":
			return failure{statusSuperseded, fmt.Errorf("%s by swap %d, which is newer%s", swapIs(o.Ticket, o.Outcome), o.By, later(o.By))}
		default:
			text := t.reason(ctx, o)
			if !o.Final && !p.keepTrying {
				text += later(o.Ticket)
			}
			if o.Final || !p.keepTrying {
				return failure{statusSwapFailed, errors.New(text)}
			}
			progress.note("initctl: " + text)
			progress.waitFor(swapIs(o.Ticket, stateWaiting) + ": " + tryingAgain(seconds(o.Next)))
		}
	}
	return &lostInitd{path: c.path}
}

// continues is what becomes of a swap that is no longer waited for; without a ticket
// initd may not know of it.
func continues(ticket int) string {
	if ticket == 0 {
		return ""
	}
	return ", but the swap continues" + later(ticket)
}

// later is how to learn of the outcome of a ticket after all.
func later(ticket int) string {
	return fmt.Sprintf("\nTo wait for its outcome, run initctl await %d.", ticket)
}

// pause is the back-off that has to pass first, if there is one.
func (t *tool) pause(ctx context.Context) string {
	a, err := t.ask(ctx, control.Request{Request: control.AskStatus})
	if err != nil || a.Status == nil || a.Status.NextAttempt == nil {
		return ""
	}
	return ": the last attempt failed, " + tryingAgain(span(a.Status.NextAttempt.Sub(a.Status.Time)))
}

// success is the line printed for a swap that has succeeded.
func (t *tool) success(ctx context.Context, o *control.Outcome) string {
	text := generationIs(o.Generation, "serving")
	if _, swap := t.swap(ctx, o); swap != nil {
		text += ", " + stateOf(o.Outcome).word + " after " + seconds(swap.Seconds)
	}
	if o.ReadyBy != "" {
		text += " (" + o.ReadyBy + ")"
	}
	return text
}

// reason is why a swap failed, was refused or stopped, and what happens now.
func (t *tool) reason(ctx context.Context, o *control.Outcome) string {
	var b strings.Builder
	if o.Generation > 0 {
		b.WriteString(generationIs(o.Generation, o.Outcome))
	} else {
		b.WriteString(swapIs(o.Ticket, o.Outcome))
	}
	if o.Reason != "" {
		b.WriteString(": " + printable(o.Reason))
	} else if o.Outcome == "stopped" {
		b.WriteString(": " + initdIs("stopping"))
	}
	status, swap := t.swap(ctx, o)
	if swap != nil {
		for _, line := range details(*swap) {
			b.WriteString("\n  " + line)
		}
	}
	var now []string
	if status != nil && status.Health.Generation > 0 && o.Outcome != "stopped" {
		now = append(now, generationIs(status.Health.Generation, "serving"))
	}
	if o.Outcome == "failed" && o.Final {
		now = append(now, swapIs(o.Ticket, stateGivenUp))
	} else if o.Outcome == "failed" {
		now = append(now, swapIs(o.Ticket, o.Outcome)+", "+tryingAgain(seconds(o.Next)))
	}
	if len(now) > 0 {
		b.WriteString("\n" + strings.Join(now, "; "))
	}
	return b.String()
}

// swap is what initd knows of the attempt that an outcome is about; nil where it
// cannot be asked any more.
func (t *tool) swap(ctx context.Context, o *control.Outcome) (*control.Status, *control.Swap) {
	a, err := t.ask(ctx, control.Request{Request: control.AskStatus})
	if err != nil || a.Status == nil {
		return nil, nil
	}
	for _, s := range a.Status.Swaps {
		if s.Generation == o.Generation && o.Generation > 0 {
			return a.Status, &s
		}
	}
	return a.Status, nil
}
