package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// timeout is how long anything may take before the measurement is given up.
const timeout = 30 * time.Second

// A keeper is a program that runs workers, and the events that these write.
type keeper struct {
	name   string
	cmd    *exec.Cmd
	events chan event
	stderr *os.File // without a name
}

// start starts a program and waits until its worker is ready.
func start(name string, argv []string) (*keeper, error) {
	stderr, err := os.CreateTemp("", "stderr")
	if err != nil {
		return nil, err
	}
	os.Remove(stderr.Name())
	k := &keeper{name: name, cmd: exec.Command(argv[0], argv[1:]...), events: make(chan event, 100), stderr: stderr}
	events, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	k.cmd.Stdout, k.cmd.Stderr = theirs, stderr
	err = k.cmd.Start()
	theirs.Close()
	if err != nil {
		events.Close()
		return nil, err
	}
	go func() {
		defer close(k.events)
		defer events.Close()
		for lines := bufio.NewScanner(events); lines.Scan(); {
			if e, err := parse(lines.Text()); err == nil {
				k.events <- e
			}
		}
	}()
	for {
		e, err := k.next()
		if err != nil {
			k.kill()
			return nil, err
		}
		if e.what == "ready" {
			return k, nil
		}
	}
}

func (k *keeper) pid() int { return k.cmd.Process.Pid }

// next returns the next event.
func (k *keeper) next() (event, error) {
	select {
	case e, open := <-k.events:
		if !open {
			return e, k.failed("ended")
		}
		return e, nil
	case <-time.After(timeout):
		return event{}, k.failed(fmt.Sprint("has no event from a worker for ", timeout))
	}
}

// A swap is when, on the monotonic clock, its steps were.
type swap struct{ asked, began, ready, term time.Duration }

// swap asks for one and waits until the old worker was asked to stop.
func (k *keeper) swap() (swap, error) {
	s := swap{asked: monotonic()}
	if err := k.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return s, err
	}
	// The old worker may well write before the new one does.
	for s.began == 0 || s.ready == 0 || s.term == 0 {
		e, err := k.next()
		if err != nil {
			return s, err
		}
		switch e.what {
		case "began":
			s.began = e.at
		case "ready":
			s.ready = e.at
		case "term":
			s.term = e.at
		}
	}
	return s, nil
}

// stop ends it in order. Nothing may wait for its events.
func (k *keeper) stop() error {
	k.cmd.Process.Signal(syscall.SIGTERM)
	gone := time.AfterFunc(timeout, k.kill)
	defer gone.Stop()
	for range k.events {
	}
	if err := k.cmd.Wait(); err != nil {
		return k.failed(err.Error())
	}
	return k.stderr.Close()
}

// failed is an error with what the program has printed.
func (k *keeper) failed(how string) error {
	return fmt.Errorf("%s %s\n%s", k.name, how, end(k.stderr))
}

// end is what a program has written last.
func end(stderr *os.File) string {
	const most = 4096
	info, err := stderr.Stat()
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.NewSectionReader(stderr, max(info.Size()-most, 0), most))
	return string(text)
}

// kill is for where something has failed. Its workers have a death signal.
func (k *keeper) kill() { k.cmd.Process.Kill() }
