// Hello is an example worker: an HTTP server that answers with its generation and pid.
//
// It shows the three things a worker owes to the program that starts it:
//
//   - it serves on the listeners it was handed and binds none itself;
//   - it says READY=1 when it serves, so that its predecessor may go;
//   - at TERM it takes no new connection and finishes those it has.
//
// Started by hand, with no listener to inherit, it listens on port 8080.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// drain is how long requests that are under way at TERM may still take.
const drain = 10 * time.Second

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	// First of all, so that no early TERM is missed.
	term, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	listeners, err := inherited()
	if err != nil {
		return err
	}
	if len(listeners) == 0 {
		l, err := net.Listen("tcp", ":8080")
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}

	generation := cmp.Or(os.Getenv("SERVER_STARTER_GENERATION"), "0")
	answer := fmt.Sprintf("generation %s, pid %d", generation, os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, answer) })
	var open sync.WaitGroup
	server := &http.Server{Handler: mux, ReadHeaderTimeout: drain, ConnState: count(&open)}

	served := make(chan error, len(listeners))
	for _, l := range listeners {
		log.Printf("%s: serving %s", answer, l.Addr())
		go func() { served <- server.Serve(l) }()
	}
	if err := notify("READY=1"); err != nil {
		log.Print(err)
	}

	select {
	case err := <-served:
		return err
	case <-term.Done():
	}
	// This closes the process's own copies of the listeners. The sockets, with the connections that
	// wait in them, stay with whoever else holds them.
	for _, l := range listeners {
		l.Close()
	}
	for range listeners {
		<-served // from here on no connection is added
	}
	// Not Shutdown: that hangs up on whoever connected before it and asks after it; go.dev/issue/75591.
	server.SetKeepAlivesEnabled(false)
	drained := make(chan struct{})
	go func() {
		open.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		log.Printf("%s: drained", answer)
		return nil
	case <-time.After(drain):
		return fmt.Errorf("requests were still under way after %v", drain)
	}
}

// count keeps the number of open connections.
func count(open *sync.WaitGroup) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Done()
		}
	}
}

// inherited returns the listeners this process was started with: those that SERVER_STARTER_PORT
// names, as key=fd joined by semicolons, else those of sd_listen_fds(3), else none.
func inherited() ([]net.Listener, error) {
	var fds []uint64
	if ports := os.Getenv("SERVER_STARTER_PORT"); ports != "" {
		for pair := range strings.SplitSeq(ports, ";") {
			// A key may hold an equals sign (a path does), a number never.
			number := pair[strings.LastIndexByte(pair, '=')+1:]
			fd, err := strconv.ParseUint(number, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("SERVER_STARTER_PORT=%q: %q is not key=fd", ports, pair)
			}
			fds = append(fds, fd)
		}
	} else if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		// sd_listen_fds(3): the descriptors start at 3 and are meant for LISTEN_PID alone.
		n, err := strconv.ParseUint(os.Getenv("LISTEN_FDS"), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("LISTEN_FDS: %w", err)
		}
		for i := range n {
			fds = append(fds, 3+i)
		}
	}

	var listeners []net.Listener
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "listener")
		l, err := net.FileListener(f) // a duplicate, and close-on-exec
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("inherit fd %d: %w", fd, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// notify tells state to the socket that NOTIFY_SOCKET names, if any: sd_notify(3).
func notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	c, err := net.Dial("unixgram", address) // a leading @ is an abstract socket here too
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
