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
	os.Exit(t.run(interruptible(syscall.SIGINT, syscall.SIGTERM), os.Args[1:]))
}

// An interruption is the cause of a context that a signal has ended.
type interruption struct{ signal os.Signal }

func (interruption) Error() string { return "interrupted" }
func (interruption) Unwrap() error { return context.Canceled }

// interruptible returns a context that the first of these signals ends.
func interruptible(signals ...os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	go func() { cancel(interruption{<-received}) }()
	return ctx
}
