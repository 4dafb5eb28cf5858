package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"server-starter/initd/worker"
)

// A whole worker. Started by hand it listens on port 8080.
func Example() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "generation %d, pid %d\n", worker.Generation(), os.Getpid())
	})
	server := &http.Server{Addr: ":8080"}
	if err := worker.Serve(context.Background(), server); err != nil {
		log.Fatal(err)
	}
}

// A handler that would go on for ever ends when the worker is told to stop.
func ExampleServe() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	http.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case <-time.After(time.Second):
				fmt.Fprintln(w, "data: still here")
				http.NewResponseController(w).Flush()
			case <-r.Context().Done(): // the client has gone
				return
			case <-ctx.Done(): // the worker has to go
				return
			}
		}
	})
	server := &http.Server{Addr: ":8080"}
	if err := worker.Serve(ctx, server, worker.DrainTimeout(30*time.Second)); err != nil {
		log.Fatal(err)
	}
}

// Two servers, each on a listener of its own.
func ExampleOn() {
	public, err := worker.Listener("8080")
	if err != nil {
		log.Fatal(err)
	}
	admin, err := worker.Listener("/run/app/admin.sock")
	if err != nil {
		log.Fatal(err)
	}
	var servers sync.WaitGroup
	servers.Go(func() {
		if err := worker.Serve(context.Background(), &http.Server{}, worker.On(public)); err != nil {
			log.Print(err)
		}
	})
	servers.Go(func() {
		if err := worker.Serve(context.Background(), &http.Server{}, worker.On(admin)); err != nil {
			log.Print(err)
		}
	})
	servers.Wait()
}

// A server that speaks a protocol of its own drains by itself.
func ExampleListener() {
	term, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	l, err := worker.Listener("localhost:7000")
	if err != nil {
		log.Fatal(err)
	}
	context.AfterFunc(term, func() { l.Close() })
	if err := worker.Ready(); err != nil {
		log.Print(err)
	}
	var conversations sync.WaitGroup
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		} else if err != nil {
			log.Print(err)
			continue
		}
		conversations.Go(func() {
			defer conn.Close()
			io.Copy(conn, conn)
		})
	}
	conversations.Wait()
}

// Whatever there is to serve, with its keys.
func ExampleListeners() {
	listeners, err := worker.Listeners()
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range listeners {
		fmt.Printf("%s is at %v\n", l.Key, l.Addr())
	}
}

// A server for datagrams. The one that is being read when TERM comes is still answered;
// the next one is the successor's.
func ExamplePacketConns() {
	term, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	conns, err := worker.PacketConns()
	if err != nil {
		log.Fatal(err)
	}
	var readers sync.WaitGroup
	for _, c := range conns {
		context.AfterFunc(term, func() { c.SetReadDeadline(time.Now()) })
		readers.Go(func() {
			defer c.Close()
			buffer := make([]byte, 64<<10)
			for {
				n, from, err := c.ReadFrom(buffer)
				if err != nil {
					return
				}
				c.WriteTo(buffer[:n], from)
			}
		})
	}
	worker.Ready()
	readers.Wait()
}

// What takes long is done before the predecessor is let go.
func ExampleReady() {
	if err := worker.Status("filling the cache"); err != nil {
		log.Print(err)
	}
	fill()
	if err := worker.Ready(); err != nil {
		log.Print(err)
	}
}

// A worker that is well says so twice in each interval.
func ExampleWatchdog() {
	if interval := worker.WatchdogInterval(); interval > 0 {
		for range time.Tick(interval / 2) {
			if healthy() {
				worker.Watchdog()
			}
		}
	}
}

func fill() {}

func healthy() bool { return true }
