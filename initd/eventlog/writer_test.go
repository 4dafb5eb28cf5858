package eventlog

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func goroutine(f func()) { go f() }

func TestLogNeverBlocks(t *testing.T) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(pipe[1], goroutine)
	line := bytes.Repeat([]byte("x"), 1000)
	for range 10000 { // far more than pipe and queue hold; nobody reads
		w.Write(line)
	}
	if w.Dropped() == 0 {
		t.Error("nothing was dropped, so nothing was blocked")
	}
	w.Close(time.Millisecond)
	// The pipe is emptied, and what was lost is logged.
	seen := make(chan bool)
	go func() {
		var all []byte
		buffer := make([]byte, 1<<16)
		for !bytes.Contains(all, []byte("dropped")) {
			n, err := syscall.Read(pipe[0], buffer)
			if n <= 0 || err != nil {
				break
			}
			all = append(all, buffer[:n]...)
		}
		seen <- bytes.Contains(all, []byte("dropped"))
	}()
	select {
	case ok := <-seen:
		if !ok {
			t.Error("the loss was not logged")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the writer did not go on")
	}
	syscall.Close(pipe[0])
	<-w.done
	syscall.Close(pipe[1])
}

// What was written is there after Close, in its order, and what comes later is not.
func TestClose(t *testing.T) {
	r, file, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := NewWriter(int(file.Fd()), goroutine)
	for _, json := range []bool{true, false} {
		New(w, json, slog.LevelInfo).Info(Note, "one")
	}
	w.Write([]byte("two\n"))
	w.Close(time.Minute)
	w.Write([]byte("three\n"))
	file.Close()
	text, err := io.ReadAll(r)
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) != 4 || !strings.HasSuffix(lines[0], `"msg":"one","event":"note"}`) || !strings.HasSuffix(lines[1], " INFO  one") || lines[2] != "two" {
		t.Errorf("%q, %v", lines, err)
	}
	if n := w.Dropped(); n != 0 {
		t.Errorf("%d were dropped", n)
	}
}

// A descriptor that is broken is as good as one that takes everything.
func TestBroken(t *testing.T) {
	w := NewWriter(1<<20, goroutine)
	for range 3 {
		w.Write([]byte("one\n"))
	}
	w.Close(time.Minute)
	select {
	case <-w.done:
	default:
		t.Error("the writer has not ended")
	}
}

// However many lines come at once, each is written as long as they fit in memory, and
// however slowly they are read.
func TestManyLinesAtOnce(t *testing.T) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(pipe[1], goroutine)
	const lines = 10_000
	for i := range lines {
		fmt.Fprintf(w, "%0200d\n", i)
	}
	got := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(os.NewFile(uintptr(pipe[0]), "log"))
		got <- text
	}()
	w.Close(time.Minute)
	syscall.Close(pipe[1])
	text := <-got
	if n := bytes.Count(text, newline); n != lines || w.Dropped() != 0 {
		t.Fatalf("%d of %d lines were written, %d dropped", n, lines, w.Dropped())
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(text, newline), newline) {
		if want := fmt.Sprintf("%0200d", i); string(line) != want {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

var newline = []byte("\n")
