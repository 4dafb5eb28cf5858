package reaper

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestChildren(t *testing.T) {
	alone(t)
	lists := []struct {
		source string
		list   func() ([]int, error)
	}{
		{"Children", Children},
		{"/proc/self/task/*/children", func() ([]int, error) { return listed(os.Getpid()) }},
		{"/proc/*/stat", func() ([]int, error) { return scanned(os.Getpid()) }},
	}
	same := func(when string, want ...int) {
		t.Helper()
		slices.Sort(want)
		for _, l := range lists {
			got, err := l.list()
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %s: %d pids, %v; want %d:%s", when, l.source, len(got), err, len(want), difference(got, want))
			}
		}
	}

	same("nobody")
	// So many that their list takes more than one read.
	var all []int
	closed := newLatch(t)
	for range 150 {
		pid, err := start("", closed.read)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pid)
	}
	same("150 started", all...)

	ended := all[0]
	syscall.Kill(ended, syscall.SIGKILL)
	await(t, ended, unix.WEXITED)
	same("one ended, not reaped", all...)
	Drain(0, func(Exit) {})
	all = all[1:]
	same("one reaped", all...)

	parent, l := child(t, "")
	l.feed(t)
	await(t, parent, unix.WEXITED)
	Drain(0, func(Exit) {})
	pids, err := Children()
	if err != nil {
		t.Fatal(err)
	}
	// Who is new now that the parent was reaped is its orphan.
	orphans := slices.DeleteFunc(pids, func(pid int) bool { return slices.Contains(all, pid) })
	if len(orphans) != 1 || orphans[0] == parent {
		t.Fatalf("orphans %v of %d, want one", orphans, parent)
	}
	same("one adopted", append(all, orphans...)...)
}

// difference tells what a list of many lacks and has too much.
func difference(got, want []int) (text string) {
	for _, pid := range got {
		if !slices.Contains(want, pid) {
			text += fmt.Sprintf(" +%d", pid)
		}
	}
	for _, pid := range want {
		if !slices.Contains(got, pid) {
			text += fmt.Sprintf(" -%d", pid)
		}
	}
	return text
}

// Children are of the process, whichever of its threads forked them.
func TestChildrenOfThreads(t *testing.T) {
	alone(t)
	const threads = 4
	l := newLatch(t)
	started, done := make(chan int), make(chan struct{})
	defer close(done)
	for range threads {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			pid, err := start("", l.read)
			if err != nil {
				t.Error(err)
			}
			started <- pid
			<-done
		}()
	}
	var want []int
	for range threads {
		want = append(want, <-started)
	}
	slices.Sort(want)
	if got, err := Children(); err != nil || !slices.Equal(got, want) {
		t.Errorf("children: %v, %v; want %v", got, err, want)
	}
}

func TestChildrenInStrangeProc(t *testing.T) {
	alone(t)
	pid, err := play("stranger", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	if errors.Is(err, syscall.EPERM) {
		t.Skip("a pid namespace needs root: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, pid, unix.WEXITED)
	exits, _ := drained(t, 0)
	if got := exits[pid]; !got.Exited() || got.ExitStatus() != 0 {
		t.Errorf("no error where /proc belongs to another pid namespace (%#x)", got)
	}
}
