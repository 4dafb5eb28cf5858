package reaper

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// alone makes the test the subreaper of what it starts and leaves it without
// children, before and after.
func alone(t *testing.T) {
	t.Helper()
	if err := Subreaper(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		for {
			pids, err := Children()
			if err != nil {
				t.Fatal(err)
			}
			if len(pids) == 0 {
				return
			}
			for _, pid := range pids {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			var status syscall.WaitStatus
			syscall.Wait4(-1, &status, 0, nil)
		}
	}
	end()
	t.Cleanup(end)
}

// child starts a link that lives until the returned latch is opened, and sheds an
// orphan for each byte that the latch is fed before.
func child(t *testing.T, argv0 string) (pid int, l *latch) {
	t.Helper()
	l = newLatch(t)
	pid, err := start(argv0, l.read)
	if err != nil {
		t.Fatal(err)
	}
	return pid, l
}

// A latch is a pipe that children read.
type latch struct{ read, write int }

func newLatch(t *testing.T) *latch {
	t.Helper()
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	l := &latch{p[0], p[1]}
	t.Cleanup(func() { l.open(); syscall.Close(l.read) })
	return l
}

// open closes our end, the only one.
func (l *latch) open() {
	if l.write >= 0 {
		syscall.Close(l.write)
		l.write = -1
	}
}

func (l *latch) feed(t *testing.T) {
	t.Helper()
	if _, err := syscall.Write(l.write, []byte{0}); err != nil {
		t.Fatal(err)
	}
}

// await blocks until the child has changed as the options of waitid(2) say, and
// leaves the news to Drain.
func await(t *testing.T, pid, options int) {
	t.Helper()
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, options|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("waitid %d: %v", pid, err)
		}
	}
}

// drained is one Drain, which may not report anyone twice.
func drained(t *testing.T, options int) (map[int]syscall.WaitStatus, bool) {
	t.Helper()
	exits := map[int]syscall.WaitStatus{}
	children := Drain(options, func(e Exit) {
		if was, twice := exits[e.PID]; twice {
			t.Errorf("%d reported twice: %#x, %#x", e.PID, was, e.Status)
		}
		exits[e.PID] = e.Status
	})
	return exits, children
}

// expect is one Drain that must report just these children, and whether any is left.
func expect(t *testing.T, when string, options int, left bool, pids ...int) {
	t.Helper()
	exits, children := drained(t, options)
	if children != left {
		t.Errorf("%s: children left: %t, want %t", when, children, left)
	}
	for _, pid := range pids {
		if _, ok := exits[pid]; !ok {
			t.Errorf("%s: %d was not reported", when, pid)
		}
		delete(exits, pid)
	}
	for pid, status := range exits {
		t.Errorf("%s: %d was reported with %#x", when, pid, status)
	}
}

func TestEveryExitStatus(t *testing.T) {
	alone(t)
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(null)
	want := map[int]int{}
	for status := range 256 {
		argv0 := string([]byte{byte(status)})
		if status == 0 {
			argv0 = "" // of which the first byte is the NUL at its end
		}
		pid, err := start(argv0, null)
		if err != nil {
			t.Fatal(err)
		}
		want[pid] = status
		await(t, pid, unix.WEXITED)
	}
	exits, children := drained(t, 0)
	if children || len(exits) != len(want) {
		t.Errorf("%d exits, children left: %t; want %d exits and no child", len(exits), children, len(want))
	}
	for pid, status := range want {
		if got := exits[pid]; !got.Exited() || got.ExitStatus() != status {
			t.Errorf("status %d was reported as %#x", status, got)
		}
	}
}

func TestEverySignalDeath(t *testing.T) {
	alone(t)
	var deadly []syscall.Signal
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
			syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		default:
			deadly = append(deadly, sig)
		}
	}
	if link == self { // a Go program catches the others
		deadly = []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM}
	}
	// Under nohup(1) HUP is ignored, by the children too.
	deadly = slices.DeleteFunc(deadly, func(sig syscall.Signal) bool { return signal.Ignored(sig) })
	for _, sig := range deadly {
		pid, _ := child(t, "")
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
		await(t, pid, unix.WEXITED)
		exits, children := drained(t, 0)
		if got := exits[pid]; children || !got.Signaled() || got.Signal() != sig {
			t.Errorf("death by signal %d was reported as %v, children left: %t", int(sig), exits, children)
		}
	}
}

// One SIGCHLD may stand for all of them, so one Drain has to take all of them.
func TestEndedTogether(t *testing.T) {
	alone(t)
	l := newLatch(t)
	var pids []int
	for range 100 {
		pid, err := start("", l.read)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	l.open()
	for _, pid := range pids {
		await(t, pid, unix.WEXITED)
	}
	expect(t, "100 together", 0, false, pids...)
}

func TestChildrenLeft(t *testing.T) {
	alone(t)
	expect(t, "never a child", 0, false)

	first, firstLatch := child(t, "")
	expect(t, "one alive", 0, true)
	second, secondLatch := child(t, "")
	firstLatch.open()
	await(t, first, unix.WEXITED)
	expect(t, "one ended, one alive", 0, true, first)
	expect(t, "one alive still", 0, true)
	secondLatch.open()
	await(t, second, unix.WEXITED)
	expect(t, "the last ended", 0, false, second)
	expect(t, "nobody", 0, false)

	third, thirdLatch := child(t, "")
	expect(t, "a new one", 0, true)
	thirdLatch.open()
	await(t, third, unix.WEXITED)
	if !Drain(0, func(Exit) { child(t, "") }) {
		t.Error("replaced while draining: the replacement is not left")
	}
}

func TestOrphans(t *testing.T) {
	alone(t)
	parent, l := child(t, "\x07")
	var orphan int
	for generation := range 3 { // an orphan's orphan comes to us too
		l.feed(t)
		await(t, parent, unix.WEXITED)
		expect(t, fmt.Sprint("an orphan alive, ", generation), 0, true, parent)
		pids, err := Children()
		if err != nil || len(pids) != 1 || pids[0] == parent {
			t.Fatalf("children: %v, %v; want the one orphan of %d", pids, err, parent)
		}
		orphan = pids[0]
		parent = orphan
	}
	l.open()
	await(t, orphan, unix.WEXITED)
	exits, children := drained(t, 0)
	if got := exits[orphan]; len(exits) != 1 || !got.Exited() || got.ExitStatus() != 7 || children {
		t.Errorf("orphan %d: %v, children left: %t; want status 7 and none left", orphan, exits, children)
	}
}

func TestStopped(t *testing.T) {
	alone(t)
	pid, _ := child(t, "")
	stop := func() {
		t.Helper()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		await(t, pid, unix.WSTOPPED)
	}
	resume := func() {
		t.Helper()
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		await(t, pid, unix.WCONTINUED)
	}

	stop()
	expect(t, "stopped, not asked for", 0, true)
	exits, children := drained(t, syscall.WUNTRACED)
	if got := exits[pid]; !got.Stopped() || got.StopSignal() != syscall.SIGSTOP || !children {
		t.Errorf("stopped: %v, children left: %t; want it stopped by SIGSTOP and left", exits, children)
	}
	expect(t, "still stopped", syscall.WUNTRACED, true)
	resume()
	expect(t, "continued, not asked for", syscall.WUNTRACED, true)
	if exits, children = drained(t, syscall.WCONTINUED); !exits[pid].Continued() || !children {
		t.Errorf("continued: %v, children left: %t; want it continued and left", exits, children)
	}
	stop()
	expect(t, "stopped again", syscall.WUNTRACED, true, pid)
	syscall.Kill(pid, syscall.SIGKILL)
	await(t, pid, unix.WEXITED)
	exits, children = drained(t, syscall.WUNTRACED)
	if got := exits[pid]; !got.Signaled() || got.Signal() != syscall.SIGKILL || children {
		t.Errorf("killed while stopped: %v, children left: %t; want SIGKILL and none left", exits, children)
	}
}

func TestUnknownOption(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Drain(1<<20, func(Exit) {})
}

// With SIGCHLD ignored the kernel keeps no status. Who is started so by a careless
// parent must not suffer for it.
func TestIgnoredByParent(t *testing.T) {
	alone(t)
	pid, err := play("ignoring", nil)
	if err != nil {
		t.Fatal(err)
	}
	await(t, pid, unix.WEXITED)
	exits, _ := drained(t, 0)
	if got := exits[pid].ExitStatus(); got != 42 {
		t.Errorf("status %d of a grandchild whose status is 42", got)
	}
}
