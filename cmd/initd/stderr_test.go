package main_test

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBrokenStderr: nobody reads the log any more, or nobody reads it just now. Neither ends or holds up
// anything.
func TestBrokenStderr(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		stderr func(t *testing.T) *os.File
	}{
		{"Closed", func(t *testing.T) *os.File {
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			reader.Close()
			return writer
		}},
		{"Blocked", func(t *testing.T) *os.File {
			var pipe [2]int
			if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(pipe[0]) })
			for err := error(nil); err == nil; {
				_, err = unix.Write(pipe[1], make([]byte, 4096))
			}
			for err := error(nil); err == nil; {
				_, err = unix.Write(pipe[1], make([]byte, 1))
			}
			if err := unix.SetNonblock(pipe[1], false); err != nil {
				t.Fatal(err)
			}
			return os.NewFile(uintptr(pipe[1]), "blocked")
		}},
		{"Full", func(t *testing.T) *os.File {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip(err)
			}
			return full
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				stderr := test.stderr(t)
				defer stderr.Close()
				s := newStage(t)
				d := run{mode: as, stderr: stderr, args: flags(s.puppet(), "ready=notify", "port=127.0.0.1:0", "log-level=debug")}.start(t)
				old := s.generation(1).serve()
				old.ready()
				for number := 2; number <= 15; number++ { // more lines than any queue should hold
					d.swap()
					next := s.generation(number).serve()
					next.ready()
					old.gets(syscall.SIGTERM)
					old.ends()
					old = next
				}
				port, _ := old.Value("SERVER_STARTER_PORT")
				if got, want := greet(t, "tcp", port[:len(port)-len("=3")]), fmt.Sprint("15 ", old.PID); got != want {
					t.Errorf("%q answers, not %q", got, want)
				}
				d.stop()
			})
		})
	}
}

// TestManyLines: what is logged in one turn is written, however much it is.
func TestManyLines(t *testing.T) {
	t.Parallel()
	const listeners = 400
	s := newStage(t)
	settings := append(slices.Repeat([]string{"port=127.0.0.1:0"}, listeners), "ready=notify")
	d := run{mode: subreaper, args: flags(s.puppet(), settings...)}.start(t)
	s.generation(1).ready()
	d.is("serving", 1)
	n := 0
	for _, e := range d.entries() {
		if e.Event == "listen" {
			n++
		}
	}
	if n != listeners {
		t.Errorf("%d of %d lines about listeners were written", n, listeners)
	}
	d.stop()
}
