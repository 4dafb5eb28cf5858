package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"server-starter/initd/control"
	"server-starter/initd/settings"
)

// A check is what a probe wants to know.
type check struct {
	live, ready, startup bool
	timeout              time.Duration
}

func (k *check) flags(set *pflag.FlagSet) {
	k.timeout = 5 * time.Second
	set.BoolVar(&k.live, "live", false, "check that initd responds")
	set.BoolVar(&k.ready, "ready", false, "check that a generation is serving and initd is not stopping (the default)")
	set.BoolVar(&k.startup, "startup", false, "check that a generation has been ready since initd was started")
	set.Var((*settings.Duration)(&k.timeout), "timeout", "longest `duration` to wait for an answer")
}

func (t *tool) healthCommand() *cobra.Command {
	var k check
	c := &cobra.Command{
		Use:   "health",
		Short: "Check whether initd is healthy, for HEALTHCHECK and probes",
		Long: `health prints one line. Its exit status is 0 if initd is healthy, and 1 if it is not or
if no initd answers. initd stays ready during a swap, even if the swap fails.`,
		Example: `  HEALTHCHECK CMD ["/initctl", "health"]
  initctl health --live`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if !t.healthy(c.Context(), k) {
				return failure{statusFailed, errors.New("")} // the line has the reason
			}
			return nil
		},
	}
	k.flags(c.Flags())
	c.MarkFlagsMutuallyExclusive("live", "ready", "startup")
	return c
}

// probe answers `initctl health` without the tree of commands, which takes longer
// to build than initd to answer. What is not plain is left to it.
func (t *tool) probe(args []string) (status int, done bool) {
	if len(args) == 0 || args[0] != "health" {
		return 0, false
	}
	var k check
	var socket string
	set := pflag.NewFlagSet("health", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	k.flags(set)
	set.StringVar(&socket, "control-socket", "", "")
	if set.Parse(args[1:]) != nil || set.NArg() > 0 || k.live && k.ready || k.live && k.startup || k.ready && k.startup {
		return 0, false
	}
	t.socket = socket
	if !t.healthy(context.Background(), k) {
		return statusFailed, true
	}
	return 0, true
}

// healthy prints what it finds.
func (t *tool) healthy(ctx context.Context, k check) bool {
	line, good := "", false
	if h, err := t.health(ctx, k.timeout); err != nil {
		line = "not " + k.word() + ": " + err.Error()
	} else {
		line, good = k.judge(h)
	}
	fmt.Fprintln(t.stdout, printable(line))
	return good
}

func (t *tool) health(ctx context.Context, limit time.Duration) (*control.Health, error) {
	c, err := t.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer from initd at %s within %s", c.path, span(limit)))
		defer cancel()
	}
	a, err := c.Ask(ctx, control.Request{Request: control.AskHealth})
	return a.Health, c.explain(ctx, err)
}

// word is what is asked for.
func (k check) word() string {
	switch {
	case k.live:
		return "live"
	case k.startup:
		return "started"
	}
	return "ready"
}

// judge returns the state in one line, and whether it is a healthy one.
func (k check) judge(h *control.Health) (line string, good bool) {
	good = h.Ready
	switch {
	case k.live:
		good = h.Live
	case k.startup:
		good = h.Started
	}
	verdict := k.word()
	if !good {
		verdict = "not " + verdict
	}
	reason := reasonOf(h)
	if h.Generation == 0 && reason != "" { // why none is serving says that none is
		if k.live {
			reason = stateOf(h.State).word + ", " + reason
		}
		return verdict + ": " + reason, good
	}
	said := verdict
	if verdict == "not started" {
		said = "not ready" // which that implies
	}
	if line = verdict + ": " + healthOf(h, said); reason != "" {
		line += "; " + reason
	}
	return line, good
}
