package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/notify"
)

// began is as near to the first instruction as Go comes.
var began = monotonic()

// playWorker is a worker that writes to stdout when it began, when it was ready and when it was asked to stop. If it
// was handed a listener it serves there, and drains; and if it was given an address, it listens there itself.
func playWorker(args []string) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	var listener net.Listener
	var serving sync.WaitGroup
	var err error
	if len(args) > 0 {
		if listener, err = net.Listen("tcp", args[0]); err != nil {
			return err
		}
		serving.Go(func() { serve(listener, &serving) })
	} else if _, number, handed := strings.Cut(os.Getenv("SERVER_STARTER_PORT"), "="); handed { // address=fd
		fd, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), "listener")
		if listener, err = net.FileListener(file); err != nil {
			return err
		}
		file.Close()
		// The path is for the program that made it to remove.
		if l, ok := listener.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(false)
		}
		serving.Go(func() { serve(listener, &serving) })
	}
	ready := monotonic()
	if err := notify.Send(os.Getenv("NOTIFY_SOCKET"), "READY=1"); err != nil {
		return err
	}
	write(event{"began", os.Getpid(), began}, event{"ready", os.Getpid(), ready})

	// start_server has none for its workers, and a bench that fails kills it.
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	<-term
	write(event{"term", os.Getpid(), monotonic()})
	if listener != nil {
		listener.Close()
	}
	serving.Wait()
	return nil
}

// answer is what a client gets.
const answer = "served\n"

// serve answers every connection that Accept has returned: the others stay in the accept queue, for other workers.
func serve(listener net.Listener, serving *sync.WaitGroup) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return // closed
		}
		serving.Go(func() {
			defer c.Close()
			if _, err := c.Read(make([]byte, 1)); err == nil {
				io.WriteString(c, answer)
			}
		})
	}
}

// An event is something that has happened to a worker.
type event struct {
	what string // began, ready, term
	pid  int
	at   time.Duration // monotonic
}

// write writes events as lines in one piece, pipe(7).
func write(events ...event) {
	var lines []byte
	for _, e := range events {
		lines = fmt.Appendln(lines, e.what, e.pid, int64(e.at))
	}
	os.Stdout.Write(lines)
}

// parse is the reverse.
func parse(line string) (e event, err error) {
	_, err = fmt.Sscan(line, &e.what, &e.pid, (*int64)(&e.at))
	return e, err
}
