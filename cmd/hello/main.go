// Hello is an example worker: an HTTP server that answers with its generation and pid.
//
// What it owes to the program that starts it, package worker does: it serves on the listeners that it
// was handed, sends READY=1 when it accepts, and at TERM takes no new connection and finishes those it
// has. Started by hand, with no listener to inherit, it listens on port 8080.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"server-starter/initd/worker"
)

// drain is how long requests that are under way at TERM may still take.
const drain = 10 * time.Second

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello: ")
	answer := fmt.Sprintf("generation %d, pid %d", worker.Generation(), os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, answer) })
	server := &http.Server{
		Addr:              ":8080",
		Handler:           mux,
		ReadHeaderTimeout: drain,
		BaseContext: func(l net.Listener) context.Context {
			log.Printf("%s: serving %s", answer, l.Addr())
			return context.Background()
		},
	}
	if err := worker.Serve(context.Background(), server, worker.DrainTimeout(drain)); err != nil {
		log.Fatal(err)
	}
	log.Printf("%s: drained", answer)
}
