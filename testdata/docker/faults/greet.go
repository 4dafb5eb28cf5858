package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"server-starter/initd/worker"
)

// greet is no fault at all: a server that answers which one it is, where there are several.
func greet(args []string) error {
	if len(args) != 1 {
		return errors.New("greet wants a greeting")
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	answer := fmt.Sprintf("%s, generation %d at %s", args[0], worker.Generation(), host)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, answer) })
	return worker.Serve(context.Background(), &http.Server{Handler: handler})
}
