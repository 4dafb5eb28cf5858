package main_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// mode is how initd becomes the process that adopts orphans.
type mode string

const (
	subreaper mode = "subreaper" // by prctl(2)
	pid1      mode = "pid1"      // as process 1 of a namespace with a /proc of its own
	bare      mode = "bare"      // as process 1 of a namespace, directly and with the /proc of another
)

// inBothModes runs a test with initd as PID 1 and without.
func inBothModes(t *testing.T, test func(t *testing.T, as mode)) {
	for _, as := range []mode{subreaper, pid1} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			test(t, as)
		})
	}
}

// attributes are those of a process in that mode. Who is not root makes itself root of a user namespace.
func (m mode) attributes(t *testing.T) *syscall.SysProcAttr {
	// In a group of its own, and never longer here than the tests.
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if m == subreaper {
		return attributes
	}
	attributes.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	if os.Getuid() != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attributes
}

// A run says how to start an initd.
type run struct {
	mode     mode
	given    []string // surroundings, as playGiven knows them
	lonely   bool     // in a network of its own, with no interface up
	as       int      // as this user instead of root
	environ  []string // besides PATH
	program  string   // instead of initd
	args     []string // its arguments: flags and the command
	terminal *initdtest.Terminal
	stdout   *os.File
	stderr   *os.File // instead of the log
}

// flags are arguments of which each setting is one, and a command.
func flags(command []string, settings ...string) (args []string) {
	for _, s := range settings {
		args = append(args, "--"+s)
	}
	return slices.Concat(args, []string{"--"}, command)
}

// plain are the arguments that make initd a plain init of a command.
func plain(command ...string) []string { return flags(command, "respawn=never") }

// daemon is an initd.
type daemon struct {
	*testing.T
	pid    int               // in the namespace of the test
	log    *initdtest.Stream // what it and its workers write to stderr
	ended  chan struct{}
	status syscall.WaitStatus

	forgetful bool // it is start_server, which may have to be reminded of a signal
}

// start starts an initd. It is killed at the end of the test if it has not ended, and of a test that has
// failed the log is shown.
func (r run) start(t *testing.T) *daemon {
	t.Helper()
	argv := append([]string{cmp.Or(r.program, initdBinary(t))}, r.args...)
	if len(r.given) > 0 {
		argv = slices.Concat([]string{self, "given"}, r.given, []string{"--"}, argv)
	}
	if r.mode == pid1 {
		argv = append([]string{self, "namespace"}, argv...)
	}
	d := &daemon{T: t, log: initdtest.NewStream(), ended: make(chan struct{})}
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: r.environment(), Stdout: r.stdout, Stderr: r.stderr, SysProcAttr: r.mode.attributes(t)}
	if r.lonely {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if r.as != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.as), Gid: uint32(r.as)}
	}
	if r.terminal != nil {
		cmd.Stdin, cmd.Stdout = r.terminal.Line, r.terminal.Line
		cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = false, true, true
	}
	var reader, writer *os.File
	if r.stderr == nil {
		var err error
		if reader, writer, err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = writer
	}
	if err := cmd.Start(); os.Getuid() != 0 && r.mode != subreaper && forbidden(err) {
		t.Skipf("needs root or user namespaces, to be PID 1: %v", err)
	} else if err != nil {
		t.Fatalf("%q as %s: %v", argv, r.mode, err)
	}
	d.pid = cmd.Process.Pid
	go func() {
		cmd.Wait()
		d.status = cmd.ProcessState.Sys().(syscall.WaitStatus)
		close(d.ended)
	}()
	if reader != nil {
		writer.Close()
		go func() {
			defer d.log.Close()
			defer reader.Close()
			for buffer := make([]byte, 4096); ; {
				n, err := reader.Read(buffer)
				d.log.Write(buffer[:n])
				if err != nil {
					return
				}
			}
		}()
	}
	t.Cleanup(func() {
		select {
		case <-d.ended:
		default:
			// Those below may be suspended, and would then stay for ever.
			family := descendants(t, d.pid)
			for _, pid := range append([]int{d.pid}, family...) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			<-d.ended
		}
		if t.Failed() {
			t.Logf("initd %q as %s said:\n%s", r.args, r.mode, d.log.Tail())
		}
	})
	return d
}

// forbidden reports whether a namespace cannot be had: clone(2) says so in one way where it is not permitted,
// and in two where the limit of user namespaces is 0.
func forbidden(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EUSERS)
}

// searchPath is where the programs of the tests are.
const searchPath = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

// environment is small and known. The race detector would have each puppet linger for a second, and PID 1
// would make its control socket in the file system that all tests share.
func (r run) environment() []string {
	environ := []string{"PATH=" + searchPath, "GORACE=atexit_sleep_ms=0"}
	if r.mode != subreaper {
		environ = append(environ, "SERVER_STARTER_CONTROL_SOCKET=none")
	}
	if len(r.environ) > 0 && strings.HasPrefix(r.environ[0], "PATH=") {
		environ = environ[1:]
	}
	return append(environ, r.environ...)
}

// signal sends a signal to initd.
func (d *daemon) signal(s syscall.Signal) {
	d.Helper()
	if err := syscall.Kill(d.pid, s); err != nil {
		d.Fatalf("kill initd: %v", err)
	}
	if d.forgetful {
		d.remind(s)
	}
}

// remind wakes start_server if it has missed a signal: one that comes between its last look and its
// wait(2) is seen with the next one, for Perl defers signals; perlipc(1). A further TERM changes nothing
// for it, and ALRM means nothing. Of two it looks at the lower first, and drops the other.
func (d *daemon) remind(s syscall.Signal) {
	if s != syscall.SIGTERM {
		s = syscall.SIGALRM
	}
	reminder := time.AfterFunc(10*time.Second, func() {
		select {
		case <-d.ended:
		default:
			syscall.Kill(d.pid, s)
		}
	})
	d.Cleanup(func() { reminder.Stop() })
}

// swap asks for a swap.
func (d *daemon) swap() {
	d.Helper()
	d.signal(syscall.SIGHUP)
}

// wait waits for initd's end and returns its exit status, 128+n if a signal killed it.
func (d *daemon) wait() int {
	d.Helper()
	select {
	case <-d.ended:
	case <-time.After(initdtest.Patience):
		d.Fatal("initd has not ended")
	}
	if d.status.Signaled() {
		return 128 + int(d.status.Signal())
	}
	return d.status.ExitStatus()
}

// exits waits for initd's end, which has to be with that status.
func (d *daemon) exits(want int) {
	d.Helper()
	if got := d.wait(); got != want {
		d.Errorf("initd's exit status is %d, not %d", got, want)
	}
}

// stop stops initd, and fails the test if its exit status is not 0.
func (d *daemon) stop() {
	d.Helper()
	d.signal(syscall.SIGTERM)
	d.exits(0)
}

// event waits until initd has logged an event that matches.
func (d *daemon) event(what string, match func(initdtest.Entry) bool) (found initdtest.Entry) {
	d.Helper()
	d.log.Await(d.T, what, func(line string) bool {
		found = initdtest.Entry{}
		return json.Unmarshal([]byte(line), &found) == nil && match(found)
	})
	return found
}

// is waits until a generation has come to a state.
func (d *daemon) is(state string, generation int) initdtest.Entry {
	d.Helper()
	return d.event(fmt.Sprintf("generation %d is %s", generation, state), func(e initdtest.Entry) bool {
		return e.Event == state && e.Generation == generation
	})
}

// says waits for a line with a text.
func (d *daemon) says(text string) string {
	d.Helper()
	return d.log.Await(d.T, text, func(line string) bool { return strings.Contains(line, text) })
}

// entries are what initd has logged so far.
func (d *daemon) entries() (all []initdtest.Entry) {
	lines, _, _ := d.log.After(0)
	for _, line := range lines {
		var e initdtest.Entry
		if json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// output waits until nobody can write to stderr any more, and returns all that was written.
func (d *daemon) output() string {
	d.Helper()
	late := time.After(initdtest.Patience)
	for {
		lines, closed, changed := d.log.After(0)
		if closed {
			return strings.Join(lines, "\n")
		}
		select {
		case <-changed:
		case <-late:
			d.Fatal("someone still holds stderr")
		}
	}
}

// address waits until initd listens, and returns where.
func (d *daemon) address(key string) string {
	d.Helper()
	var found struct{ Event, Key, Address string }
	d.log.Await(d.T, "it listens on "+key, func(line string) bool {
		return json.Unmarshal([]byte(line), &found) == nil && found.Event == "listen" && strings.Contains(line, key)
	})
	return found.Address
}

// eventually waits for what the kernel tells nobody of: it is asked again and again.
func eventually(t *testing.T, what string, answer func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for late := time.After(initdtest.Patience); !answer(); {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("never came true: %s", what)
		}
	}
}

// children are those of a process, in any state; proc_tid_children(5).
func children(t *testing.T, parent int) (all []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(text)) {
			pid, _ := strconv.Atoi(word)
			all = append(all, pid)
		}
	}
	return all
}

// descendants are the children, their children, and so on.
func descendants(t *testing.T, parent int) (all []int) {
	t.Helper()
	for _, child := range children(t, parent) {
		all = append(append(all, child), descendants(t, child)...)
	}
	return all
}

// state is that of a process: R, S, T, Z; empty if there is none.
func state(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	var s string
	fmt.Sscan(string(line[strings.LastIndexByte(string(line), ')')+1:]), &s)
	return s
}

// textPipe returns the writing end of a pipe, and a function that returns all that came out of it, once
// nobody can write any more.
func textPipe(t *testing.T) (*os.File, func() string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return writer, func() string {
		t.Helper()
		writer.Close()
		reader.SetReadDeadline(time.Now().Add(initdtest.Patience))
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}
