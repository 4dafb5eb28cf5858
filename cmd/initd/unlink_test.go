package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestPathRemoved: the path of a unix socket that a worker removes when it ends, or anyone else, is there again after
// that, or with the next swap; and it leads to the workers that run.
func TestPathRemoved(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		dir, err := os.MkdirTemp("", "unlink")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		path, controlPath := filepath.Join(dir, "socket"), filepath.Join(dir, "control")
		d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "path="+path, "control-socket="+controlPath)}.start(t)
		remove := func() {
			for _, name := range []string{path, controlPath} {
				if err := os.Remove(name); err != nil {
					t.Error(err)
				}
			}
		}
		restored := func() {
			count := 2
			d.event("two paths are restored", func(e initdtest.Entry) bool {
				if e.Event == "relisten" {
					count--
				}
				return count == 0
			})
			connect(t, controlPath)
		}
		first := s.generation(1).serve()
		first.ready()
		d.is("serving", 1)

		d.swap()
		second := s.generation(2).serve()
		second.ready()
		first.gets(syscall.SIGTERM)
		remove()
		first.tell("exit", "0")
		d.is("gone", 1)
		restored()
		if got, want := greet(t, "unix", path), fmt.Sprint("2 ", second.PID); got != want {
			t.Errorf("%q answers, not %q", got, want)
		}

		remove()
		d.swap()
		third := s.generation(3)
		restored()
		if got, want := greet(t, "unix", path), fmt.Sprint("2 ", second.PID); got != want {
			t.Errorf("%q answers, not %q", got, want)
		}
		third.serve().ready()
		second.gets(syscall.SIGTERM)
		second.tell("exit", "0")
		d.is("gone", 2)
		d.signal(syscall.SIGTERM)
		third.gets(syscall.SIGTERM)
		third.tell("exit", "0")
		d.exits(0)
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("it has left %v", left)
		}
	})
}
