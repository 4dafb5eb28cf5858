package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"server-starter/cmd/initctl/internal/doctor"
	"server-starter/initd/addresses"
	"server-starter/initd/settings"
)

func (t *tool) checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [--initd PATH] [settings] [--] command [argument ...]",
		Short: "Check whether a server supports hot swaps, and recommend settings",
		Long: `check runs a server under a separate initd for some seconds, swaps it once under a
light load, stops it, and reports what it found. If the server does not support hot
swaps as configured, check tries other settings.

The settings are those of initd, as flags or variables: see initd --help=all. The
check does not use the real ports and sockets, but the server really runs: whatever
files it writes are written.

check uses the initd in the same directory as initctl, or else the one in PATH.

Exit status:
  0    the server is ready for hot swaps
  1    the server is not ready for hot swaps
  125  the check could not be carried out`,
		Example: `  initctl check --port=8080 -- ./server
  SERVER_STARTER_PORT=8080 initctl check --ready=notify ./server
  docker run --rm --entrypoint /initctl -e SERVER_STARTER_PORT=8080 my-image check /app/server`,
		DisableFlagParsing:    true, // package settings does it
		DisableFlagsInUseLine: true,
	}
	c.RunE = func(c *cobra.Command, args []string) error { return t.check(c, args) }
	c.Flags().String("initd", "", "`path` of the initd to run the server with") // for the help alone
	return c
}

func (t *tool) check(c *cobra.Command, args []string) error {
	path, args, err := takeInitd(args)
	if err != nil {
		return err
	}
	s, err := settings.Load(args)
	where, err := addresses.Parse(s, err)
	switch {
	case err != nil:
		return failure{statusUsage, err}
	case s.Answer != "" && slices.ContainsFunc(args[:len(args)-len(s.Command)], isHelp):
		return c.Help()
	case s.Answer != "":
		fmt.Fprint(t.stdout, s.Answer)
		return nil
	case s.Request != settings.None:
		return wrongUsage("check does not support --%s", s.Request)
	}
	if path, err = findInitd(path); err != nil {
		return failure{doctor.Failed, fmt.Errorf("check: %w", err)}
	}
	x := doctor.Examination{Settings: s, Listeners: where.Workers, Initd: path}
	status, err := x.Run(c.Context())
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err == nil && status == doctor.Fit:
		return nil
	case err == nil:
		err = errors.New("") // the report has it all
	}
	return failure{status, err}
}

func isHelp(arg string) bool { return arg == "-h" || strings.HasPrefix(arg, "--help") }

// takeInitd takes the flag --initd out of the arguments, which is no setting. It
// has to stand before the command, whose own it may be elsewhere.
func takeInitd(args []string) (path string, rest []string, err error) {
	const flag = "--initd"
	i := slices.IndexFunc(args, func(arg string) bool { return arg == flag || strings.HasPrefix(arg, flag+"=") })
	if i < 0 {
		return "", args, nil
	}
	_, path, assigned := strings.Cut(args[i], "=")
	end := i + 1
	if !assigned && end < len(args) {
		path, end = args[end], end+1
	}
	rest = slices.Concat(args[:i], args[end:])
	if s, _ := settings.Load(rest); i > len(rest)-len(s.Command) {
		return "", args, nil
	}
	if path == "" {
		return "", nil, wrongUsage("--initd: the path of an initd is missing")
	}
	return path, rest, nil
}

// findInitd finds the initd at a path, or where there is none beside this program,
// and else in PATH.
func findInitd(path string) (string, error) {
	if path != "" {
		if err := unix.Access(path, unix.X_OK); err != nil {
			return "", fmt.Errorf("--initd=%s: %w", path, err)
		}
		return filepath.Abs(path)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), "initd")
	if unix.Access(beside, unix.X_OK) == nil {
		return beside, nil
	}
	if path, err := exec.LookPath("initd"); err == nil {
		return filepath.Abs(path)
	}
	return "", fmt.Errorf("initd not found: it is neither at %s nor in PATH; copy it there, or pass its path with --initd", beside)
}
