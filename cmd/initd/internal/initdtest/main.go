package initdtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guarded is set for the process that runs the tests.
const guarded = "INITD_TEST_GUARDED"

// Main is TestMain of a package. It runs the tests, at most so many at a time unless -parallel is given: they do
// little but wait. It does that in a process of its own, below one that sees to it that nothing is left of them, also
// if they are interrupted, take too long or crash. It returns the exit status.
func Main(run func() int, parallel int) int {
	if os.Getenv(guarded) == "" {
		status, err := guard()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return status
	}
	os.Unsetenv(guarded)
	unix.CloseOnExec(guardian)
	orders.sent = true
	// What dies here of a QUIT or a SEGV leaves no core file.
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", strconv.Itoa(max(parallel, runtime.GOMAXPROCS(0))))
	}
	return run()
}

// guardian is the descriptor by which the tests reach the process above them.
const guardian = 3

// order is what the guardian is sent: a command that will have to be run, or the number of one that has been.
type order struct {
	Number  int64
	Command []string `json:",omitempty"`
}

// guard runs the tests and ends whatever they have not ended.
func guard() (status int, err error) {
	runtime.LockOSThread() // the death signal is of the thread that forks; prctl(2)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("prctl PR_SET_CHILD_SUBREAPER: %w", err)
	}
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	tests, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), guarded+"=1"),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, writer},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	writer.Close()
	if err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			syscall.Kill(tests.Pid, s.(syscall.Signal))
		}
	}()
	left := make(chan []order, 1)
	go func() { left <- outstanding(reader) }()

	var ended syscall.WaitStatus
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		} else if err != nil {
			return 0, fmt.Errorf("wait4: %w", err)
		}
		if pid == tests.Pid {
			ended = ws
			break
		}
	}
	killDescendants()
	for _, o := range slices.Backward(<-left) {
		_, err := Try(o.Command[0], o.Command[1:]...)
		if err != nil && !strings.Contains(err.Error(), "No such") && !strings.Contains(err.Error(), "already in progress") {
			fmt.Fprintln(os.Stderr, err) // it has not gone by itself meanwhile
		}
	}
	if ended.Signaled() {
		return 128 + int(ended.Signal()), nil
	}
	return ended.ExitStatus(), nil
}

// outstanding are the orders that have not been carried out when the tests end.
func outstanding(r io.Reader) (all []order) {
	for orders := json.NewDecoder(r); ; {
		var o order
		if orders.Decode(&o) != nil {
			return all
		}
		if o.Command == nil {
			all = slices.DeleteFunc(all, func(other order) bool { return other.Number == o.Number })
		} else {
			all = append(all, o)
		}
	}
}

// killDescendants kills all children until there are none: those of a child that has ended are next.
func killDescendants() {
	for late := time.Now().Add(Patience); time.Now().Before(late); {
		files, _ := filepath.Glob("/proc/self/task/*/children") // proc_tid_children(5)
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for word := range strings.FieldsSeq(string(text)) {
				pid, _ := strconv.Atoi(word)
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
			return
		}
	}
}
