package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"server-starter/initd/control"
	"server-starter/initd/processes"
)

// threads is how many more threads initctl may need than it starts with.
const threads = 2

func main() {
	if err := processes.Check(threads); err != nil {
		fmt.Fprintln(os.Stderr, "initctl: "+err.Error())
		os.Exit(statusFailed)
	}
	t := &tool{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv,
		places: control.Places,
	}
	// Before all else is set up: probes ask often, and want to be answered at once.
	if status, done := t.probe(os.Args[1:]); done {
		os.Exit(status)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(t.run(ctx, os.Args[1:]))
}
