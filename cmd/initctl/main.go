package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"server-starter/initd/control"
)

func main() {
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
