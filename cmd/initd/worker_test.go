package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/worker"
)

// playServer is a worker that uses package worker. It answers with its generation.
func playServer() int {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, worker.Generation())
	})}
	// However slow this machine is, a client that goes on sending is not taken for idle.
	if err := worker.Serve(context.Background(), server, worker.IdleGrace(initdtest.Patience)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestKeepAlive: clients that keep their connections, and never send a request twice, have every one of
// them answered, whatever is swapped beneath them.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		const swaps = 30
		path := filepath.Join(t.TempDir(), "socket")
		d := run{mode: as, args: flags([]string{self, "server"}, "ready=notify", "port=127.0.0.1:0", "path="+path)}.start(t)
		d.is("serving", 1)
		crew := &crew{enough: make(chan struct{}), failed: make(chan error, 100)}
		t.Cleanup(crew.stop)
		for network, address := range map[string]string{"tcp": d.address("127.0.0.1"), "unix": path} {
			for range 3 {
				crew.send(network, address)
			}
		}
		for number := 2; number <= 1+swaps; number++ {
			d.swap()
			d.is("serving", number)
			late := time.After(initdtest.Patience)
			for _, latest := range crew.latest {
				for generation := 0; generation < number; {
					select {
					case generation = <-latest:
					case err := <-crew.failed:
						t.Fatalf("generation %d: a request is lost: %v", number, err)
					case <-late:
						t.Fatalf("generation %d does not answer everyone", number)
					}
				}
			}
			d.is("gone", number-1) // for its connections were told to go
		}
		crew.stop()
		select {
		case err := <-crew.failed:
			t.Fatalf("a request is lost: %v", err)
		default:
		}
		answers, connections := crew.answers.Load(), crew.connections.Load()
		t.Logf("%d requests on %d connections in %d swaps", answers, connections, swaps)
		if answers < 2*connections {
			t.Error("no connection was kept")
		}
		d.stop()
	})
}

// A crew is clients that send requests without pause.
type crew struct {
	latest               []chan int // what each is answered, for who wants to know
	failed               chan error
	enough               chan struct{}
	once                 sync.Once
	running              sync.WaitGroup
	answers, connections atomic.Int64
}

func (c *crew) stop() {
	c.once.Do(func() { close(c.enough) })
	c.running.Wait()
}

// send adds a client.
func (c *crew) send(network, address string) {
	latest := make(chan int)
	c.latest = append(c.latest, latest)
	c.running.Go(func() {
		for {
			err := c.talk(network, address, latest)
			if err == nil {
				continue
			}
			if !errors.Is(err, errEnough) {
				c.failed <- err
			}
			return
		}
	})
}

var errEnough = errors.New("enough")

// talk sends requests on one connection until an answer says that it is the last.
func (c *crew) talk(network, address string, latest chan<- int) error {
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	c.connections.Add(1)
	reader := bufio.NewReader(conn)
	for {
		conn.SetDeadline(time.Now().Add(initdtest.Patience))
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		var generation int
		if _, err := fmt.Sscan(string(body), &generation); err != nil {
			return fmt.Errorf("%s: %q", response.Status, body)
		}
		c.answers.Add(1)
		select {
		case latest <- generation:
		case <-c.enough:
			return errEnough
		default: // nobody wants to know
		}
		if response.Close {
			return nil
		}
	}
}
