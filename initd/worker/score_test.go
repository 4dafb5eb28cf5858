package worker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/initd/scoreboard"
	"server-starter/initd/worker"
)

// scored is this process as a worker with a row of a board.
type scored struct {
	testing.TB
	*scoreboard.Board
	row int
}

func newBoard(t testing.TB, path string) *scored {
	t.Helper()
	b, err := scoreboard.Create(path, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	b.Claim(1, 0) // so that the row is not the first
	row, err := b.Claim(7, 2)
	if err != nil {
		t.Fatal(err)
	}
	b.Assign(row, os.Getpid())
	return &scored{t, b, row}
}

// join makes the test the worker of a row.
func join(t testing.TB, path string) *scored {
	t.Helper()
	s := newBoard(t, path)
	fd, err := unix.FcntlInt(uintptr(s.FD()), unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SERVER_STARTER_SCOREBOARD", strconv.Itoa(fd))
	t.Setenv("SERVER_STARTER_SCOREBOARD_ROW", strconv.Itoa(s.row))
	worker.Rejoin()
	t.Cleanup(func() {
		os.Unsetenv("SERVER_STARTER_SCOREBOARD")
		worker.Rejoin()
	})
	return s
}

// is checks what the row says.
func (s *scored) is(state scoreboard.State, inFlight, requests int) {
	s.Helper()
	r, ok := s.Read(s.row)
	if !ok || r.State != state || r.InFlight != inFlight || r.Requests != requests {
		s.Errorf("the row has %+v, %v, not %v with %d in flight and %d finished", r, ok, state, inFlight, requests)
	}
}

// becomes waits for it.
func (s *scored) becomes(state scoreboard.State, inFlight, requests int) {
	s.Helper()
	for deadline := time.Now().Add(late); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if r, ok := s.Read(s.row); ok && r.State == state && r.InFlight == inFlight && r.Requests == requests {
			return
		}
	}
	s.is(state, inFlight, requests)
}

func TestBusyAndIdle(t *testing.T) {
	s := join(t, "")
	s.is(scoreboard.Absent, 0, 0)
	worker.Idle() // it takes part
	s.is(scoreboard.Idle, 0, 0)
	worker.Idle()
	s.is(scoreboard.Idle, 0, 0)
	worker.Busy()
	s.is(scoreboard.Busy, 1, 0)
	done := worker.Request()
	s.is(scoreboard.Busy, 2, 0)
	worker.Idle()
	s.is(scoreboard.Busy, 1, 1)
	for begun := time.Now(); time.Since(begun) < 2*time.Millisecond; {
	}
	if r, _ := s.Read(s.row); r.For < time.Millisecond || r.For > r.Age || r.Busy != 0 {
		t.Errorf("busy for 2 ms: %+v", r)
	}
	done()
	s.is(scoreboard.Idle, 0, 2)
	if r, _ := s.Read(s.row); r.Busy < 2*time.Millisecond || r.Busy > r.Age || r.PID != os.Getpid() || r.Generation != 7 || r.Slot != 2 {
		t.Errorf("after that: %+v", r)
	}
	other, _ := s.Read(0)
	if other.State != scoreboard.Absent || other.Requests != 0 {
		t.Errorf("another's row: %+v", other)
	}
}

// Requests before the first Idle count, too.
func TestBusyAtFirst(t *testing.T) {
	s := join(t, "")
	worker.Request()()
	s.is(scoreboard.Idle, 0, 1)
}

func TestManyGoroutines(t *testing.T) {
	s := join(t, "")
	const goroutines, each = 32, 20_000
	var all sync.WaitGroup
	var ended atomic.Bool
	for range goroutines {
		all.Go(func() {
			for i := range each {
				done := worker.Request()
				if i%8 == 0 {
					runtime.Gosched()
				}
				done()
			}
		})
	}
	go func() { all.Wait(); ended.Store(true) }()
	last := 0
	for !ended.Load() {
		r, ok := s.Read(s.row)
		if !ok || r.InFlight > goroutines || r.Requests < last || r.Requests > goroutines*each {
			t.Fatalf("%+v after %d requests", r, last)
		}
		last = r.Requests
		runtime.Gosched()
	}
	s.is(scoreboard.Idle, 0, goroutines*each)
}

// Without a row nothing is told, and nothing breaks.
func TestNoScoreboard(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	os.WriteFile(other, make([]byte, 4096), 0o600)
	file, err := os.OpenFile(other, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := newBoard(t, "")
	for _, test := range []struct{ board, row string }{
		{"", ""}, {"7", ""}, {"x", "0"}, {"-1", "0"}, {"99999", "0"}, {"0", "0"},
		{fmt.Sprint(file.Fd()), "0"},
		{fmt.Sprint(must(unix.FcntlInt(uintptr(b.FD()), unix.F_DUPFD_CLOEXEC, 10))), "4"},
	} {
		t.Setenv("SERVER_STARTER_SCOREBOARD", test.board)
		t.Setenv("SERVER_STARTER_SCOREBOARD_ROW", test.row)
		worker.Rejoin()
		worker.Request()()
	}
	os.Unsetenv("SERVER_STARTER_SCOREBOARD")
	worker.Rejoin()
	if text, err := os.ReadFile(other); err != nil || strings.Trim(string(text), "\x00") != "" {
		t.Error("a file that is no scoreboard was written to")
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("a file that is no scoreboard was closed: %v", err)
	}
}

// A scoreboard that someone cuts off ends no worker.
func TestCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board")
	s := join(t, path)
	worker.Busy()
	s.is(scoreboard.Busy, 1, 0)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	worker.Idle()
	worker.Request()()
	if _, ok := s.Read(s.row); ok {
		t.Error("initd still reads it")
	}
	if row, err := s.Claim(8, 0); err == nil {
		t.Errorf("row %d can be claimed", row)
	}
}

// playScore takes its row over and tells what is left of it for a program that it starts.
func playScore() int {
	worker.Idle()
	child := exec.Command("/proc/self/exe", "boards")
	child.Stdout = os.Stdout
	if child.Run() != nil {
		return 1
	}
	return playBoards()
}

// playBoards tells which of its files and variables are of a scoreboard.
func playBoards() int {
	found := []string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + entry.Name()); strings.Contains(target, "scoreboard") {
			found = append(found, target)
		}
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "SERVER_STARTER_SCOREBOARD") {
			found = append(found, variable)
		}
	}
	json.NewEncoder(os.Stdout).Encode(found)
	return 0
}

// child is a process with a row, as initd would start it.
func (s *scored) child(t *testing.T, part string) *exec.Cmd {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.FD()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "scoreboard")
	t.Cleanup(func() { file.Close() })
	return play(t, []*os.File{file}, append(os.Environ(), "SERVER_STARTER_SCOREBOARD=3",
		fmt.Sprint("SERVER_STARTER_SCOREBOARD_ROW=", s.row)), part)
}

func TestNothingForGrandchildren(t *testing.T) {
	s := newBoard(t, "")
	out, err := s.child(t, "boards").Output()
	if err != nil || strings.Count(string(out), "memfd:scoreboard") != 1 || strings.Count(string(out), "SERVER_STARTER_SCOREBOARD") != 2 {
		t.Fatalf("a worker that does not use the library has %s, %v", out, err)
	}
	out, err = s.child(t, "score").Output()
	if err != nil || string(out) != "[]\n[]\n" {
		t.Errorf("a child of one that does, and then itself, have %s, %v", out, err)
	}
	s.is(scoreboard.Idle, 0, 0)
}

// playWriter writes to its row until it is killed.
func playWriter() int {
	fmt.Println("writing")
	for {
		worker.Request()()
	}
}

// A worker that is killed while it writes leaves a row that can be read.
func TestKilledWriter(t *testing.T) {
	s := newBoard(t, "")
	for range 20 {
		cmd := s.child(t, "writer")
		stdout, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(stdout).ReadString('\n')
		before, _ := s.Read(s.row)
		for deadline := time.Now().Add(late); ; {
			if r, ok := s.Read(s.row); !ok || r.InFlight > 1 || r.For > r.Age {
				t.Fatalf("%+v, %v", r, ok)
			} else if r.Requests > before.Requests+100 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("it does not write: %+v", r)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		if r, ok := s.Read(s.row); !ok || r.State == scoreboard.Absent || r.InFlight > 1 {
			t.Errorf("after its end: %+v, %v", r, ok)
		}
		s.Release(s.row)
		s.row, _ = s.Claim(8, 2)
		s.is(scoreboard.Absent, 0, 0)
	}
}

// playQuiet writes to its row on a thread that may make no system call but what the Go
// runtime needs for itself.
func playQuiet() int {
	worker.Idle()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := quiet(); err != nil {
			result <- err
			return
		}
		for range 100_000 {
			worker.Request()()
		}
		result <- nil
	}()
	if err := <-result; err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// quiet has the kernel end the process if this thread makes another system call: seccomp(2).
func quiet() error {
	mmap := map[string]uint32{"amd64": 9, "arm64": 222, "arm": 192}[runtime.GOARCH] // it has no name that all have
	allowed := []uint32{mmap, unix.SYS_FUTEX, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_SIGALTSTACK, unix.SYS_NANOSLEEP,
		unix.SYS_SCHED_YIELD, unix.SYS_MADVISE, unix.SYS_MUNMAP, unix.SYS_TGKILL, unix.SYS_GETPID, unix.SYS_GETTID,
		unix.SYS_EPOLL_PWAIT, unix.SYS_CLONE, unix.SYS_MPROTECT, unix.SYS_EXIT, unix.SYS_EXIT_GROUP}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number
	for i, number := range allowed {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(allowed) - i), K: number})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

func TestNoSystemCall(t *testing.T) {
	source, _ := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	if name := strings.TrimSpace(string(source)); !slices.Contains([]string{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"}, name) {
		t.Skipf("the clock %q cannot be read without a system call", name)
	}
	s := newBoard(t, "")
	if out, err := s.child(t, "quiet").Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.is(scoreboard.Idle, 0, 100_000)
}

func TestNoAllocation(t *testing.T) {
	s := join(t, "")
	if n := testing.AllocsPerRun(100, func() { defer worker.Request()() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	s.is(scoreboard.Idle, 0, 101)
}

func BenchmarkRequest(b *testing.B) {
	for _, path := range []string{"", filepath.Join(b.TempDir(), "board")} {
		b.Run(map[bool]string{true: "memory", false: "file"}[path == ""], func(b *testing.B) {
			s := join(b, path)
			b.ReportAllocs()
			for b.Loop() {
				worker.Busy()
				worker.Idle()
			}
			// Two writes to the board each, with the clock read for each.
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2, "ns/write")
			if r, _ := s.Read(s.row); r.Requests == 0 || r.State != scoreboard.Idle {
				b.Errorf("%+v", r)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		join(b, "")
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				worker.Busy()
				worker.Idle()
			}
		})
	})
	b.Run("without", func(b *testing.B) {
		worker.Rejoin()
		for b.Loop() {
			worker.Busy()
			worker.Idle()
		}
	})
}
