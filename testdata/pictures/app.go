package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"server-starter/initd/worker"
)

// app is the name under which this program is the worker: one that takes a while to start and to answer, and has a
// configuration that can be wrong. cmd/hello is never seen to be busy.
const app = "app"

const warmUp = 2 * time.Second

func serve() error {
	worker.Status("warming up")
	time.Sleep(warmUp)
	if level := os.Getenv("LOG_LEVEL"); level != "info" && level != "debug" {
		return fmt.Errorf("LOG_LEVEL is %q, which is neither info nor debug", level)
	}
	worker.Status("")
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		pause, _ := time.ParseDuration(r.URL.Query().Get("pause"))
		time.Sleep(pause)
		fmt.Fprintln(w, "generation", worker.Generation())
	})
	return worker.Serve(context.Background(), &http.Server{})
}
