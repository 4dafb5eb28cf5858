package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"server-starter/initd/control"
	"server-starter/initd/settings"
)

// Exit statuses, as the documentation of the package has them.
const (
	statusFailed      = 1
	statusSwapFailed  = 3
	statusSuperseded  = 4
	statusNoInitd     = 5
	statusUsage       = 64
	statusInterrupted = 130 // 128+SIGINT, as a shell has it
)

// A failure is an error with the exit status that it leads to.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

// A tool is initctl and its surroundings.
type tool struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	places         []string  // where the socket is looked for by default
	socket         string    // --control-socket
	open           io.Closer // a connection that the end of initctl closes; nil: none
}

// run carries out a command line, and returns the exit status.
func (t *tool) run(ctx context.Context, args []string) int {
	root := t.command()
	root.SetArgs(args)
	root.SetIn(t.stdin)
	root.SetOut(t.stdout)
	root.SetErr(t.stderr)
	root.InitDefaultCompletionCmd() // which takes the output that is set by then
	if c, _, err := root.Find([]string{"completion", "powershell"}); err == nil {
		c.Parent().RemoveCommand(c) // initctl runs on Linux only
	}
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var f failure
	if !errors.As(err, &f) { // cobra's own: what was typed is no command
		fmt.Fprintf(t.stderr, "initctl: %s\nSee: %s --help\n", printableLines(err.Error()), command.CommandPath())
		return statusUsage
	}
	if text := f.Error(); text != "" {
		fmt.Fprintf(t.stderr, "initctl: %s\n", printableLines(text))
	}
	var none *noInitd
	if errors.As(err, &none) {
		fmt.Fprintln(t.stderr, printableLines(none.hint()))
	}
	return f.status
}

// command is the tree of commands.
func (t *tool) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "initctl",
		Short: "Inspect and control the initd of this container",
		Long: `initctl shows what initd is doing, asks it for swaps and reports their outcomes.

It connects to initd's control socket: the path given with --control-socket, else the
variable SERVER_STARTER_CONTROL_SOCKET, else ` + strings.Join(t.places, " or ") + `.`,
		Example: `  initctl status
  initctl restart && echo the new version is serving
  docker exec app /initctl health`,
		Version:       settings.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) && errors.As(err, new(*strconv.NumError)) { // which names a function of Go
			return fmt.Errorf("invalid argument %q for \"--%s\" flag: not a whole number", invalid.GetValue(), invalid.GetFlag().Name)
		}
		return err
	})
	root.SetVersionTemplate("initctl {{.Version}}\n")
	root.PersistentFlags().StringVar(&t.socket, "control-socket", "", "`path` of initd's control socket")
	root.AddGroup(&cobra.Group{ID: "inspect", Title: "Inspect:"}, &cobra.Group{ID: "control", Title: "Control:"}, &cobra.Group{ID: "containers", Title: "Use in containers:"})
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			if run := c.RunE; run != nil {
				c.RunE = func(c *cobra.Command, args []string) error { return withStatus(run(c, args)) }
			}
			root.AddCommand(c)
		}
	}
	group("inspect", t.statusCommand(), t.topCommand(), t.eventsCommand(), t.envCommand(), t.settingsCommand(), t.metricsCommand(), t.versionCommand())
	group("control", t.restartCommand(), t.awaitCommand(), t.stopCommand(), t.scaleCommand(), t.signalCommand())
	group("containers", t.checkCommand(), t.healthCommand(), t.sleepCommand(), t.installCommand(), t.serveCommand())
	for _, c := range more {
		group("containers", c(root))
	}
	return root
}

// more commands are those that only some builds have.
var more []func(root *cobra.Command) *cobra.Command

// withStatus gives an error of a command its exit status, if it has none yet.
func withStatus(err error) error {
	var f failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	var none *noInitd
	var lost *lostInitd
	switch {
	case errors.As(err, &none), errors.As(err, &lost):
		return failure{statusNoInitd, err}
	case errors.Is(err, context.Canceled):
		return failure{statusInterrupted, err}
	}
	return failure{statusFailed, err}
}

// arguments are as many as a command's usage line has names for. Cobra's own
// checks do not name what is expected.
func arguments(c *cobra.Command, args []string) error {
	if want := len(strings.Fields(c.Use)) - 1; len(args) != want {
		return fmt.Errorf("%s takes %s, not %d; usage: %s", c.Name(), count(want, "argument"), len(args), c.UseLine())
	}
	return nil
}

// wrongUsage is an error in what was typed that cobra cannot find.
func wrongUsage(format string, values ...any) error {
	return failure{statusUsage, fmt.Errorf(format, values...)}
}

// ask asks initd one thing, on a connection for that alone.
func (t *tool) ask(ctx context.Context, r control.Request) (control.Answer, error) {
	c, err := t.connect()
	if err != nil {
		return control.Answer{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("no answer from initd at %s within %s", c.path, span(answerLimit)))
	defer cancel()
	a, err := c.Ask(ctx, r)
	return a, c.explain(ctx, err)
}

// isTerminal reports whether someone sits there; isatty(3).
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
