package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"server-starter/cmd/initctl/internal/web"
	"server-starter/initd/control"
)

// The variables that name the descriptors which initd has handed down: a socket that
// listens, and one that is connected to initd.
const (
	httpVariable    = "SERVER_STARTER_HTTP_FD"
	controlVariable = "SERVER_STARTER_CONTROL_FD"
)

// hostVariable has the names by which HTTP is served, separated by semicolons.
const hostVariable = "SERVER_STARTER_HTTP_HOST"

func (t *tool) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "serve",
		Short:  "Serve health, metrics and a dashboard over HTTP (initd starts this itself)",
		Hidden: true,
		Args:   arguments,
		RunE:   func(c *cobra.Command, _ []string) error { return t.serve(c.Context()) },
	}
}

// serve is what initd starts beside the workers where http is set.
func (t *tool) serve(ctx context.Context) error {
	if err := web.BeModest(); err != nil { // before all else, for nobody is to trace it
		fmt.Fprintln(t.stderr, "initctl: "+printable(err.Error()))
	}
	listener, err := inherited(t.getenv, httpVariable, net.FileListener)
	if err != nil {
		return err
	}
	conn, err := inherited(t.getenv, controlVariable, net.FileConn)
	if err != nil {
		return err
	}
	ask := control.NewClient(conn).Ask
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go web.Pulse(ctx, listener.Addr().String(), ask)
	names := strings.FieldsFunc(t.getenv(hostVariable), func(r rune) bool { return r == ';' })
	return web.Serve(ctx, listener, names, ask)
}

// inherited opens what was handed down under the number in a variable.
func inherited[T any](getenv func(string) string, variable string, open func(*os.File) (T, error)) (opened T, err error) {
	fd, err := strconv.Atoi(getenv(variable))
	if err != nil || fd < 3 {
		return opened, wrongUsage("%s=%q is not a file descriptor: initd starts serve itself, if its setting http is set", variable, getenv(variable))
	}
	file := os.NewFile(uintptr(fd), variable)
	defer file.Close() // of which the other has a copy
	if opened, err = open(file); err != nil {
		return opened, fmt.Errorf("%s=%d: %w", variable, fd, err)
	}
	return opened, nil
}
