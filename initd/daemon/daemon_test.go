package daemon

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	role     = "DAEMON_TEST_ROLE"
	patience = 30 * time.Second // for what happens at once unless it is broken
	link     = 3                // the descriptor of the socket to the test
)

// The test binary is the parent and the initd that it starts.
func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	if p := Inherited(); p != nil {
		play(p)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	status, err := Start([]string{"some/daemon-test"}, stop)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 99
	}
	os.Exit(status)
}

// facts are what initd finds.
type facts struct {
	PID, Session      int
	Command           string
	Variable, Pointer string // of the environment: this package's, and LISTEN_PID
	Files             map[int]string
	Released          bool
}

func look(p *Parent) facts {
	f := facts{PID: os.Getpid(), Variable: os.Getenv(Variable), Pointer: os.Getenv("LISTEN_PID"), Files: map[int]string{}, Released: p.Released()}
	f.Session, _ = unix.Getsid(0)
	command, _ := os.ReadFile("/proc/self/comm")
	f.Command = strings.TrimSpace(string(command))
	for _, fd := range []int{0, 1, 2, 9} {
		f.Files[fd], _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	return f
}

// play does what the test says, and reports what it finds after each.
func play(p *Parent) {
	socket := os.NewFile(link, "socket")
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	lines := bufio.NewScanner(socket)
	for {
		json.NewEncoder(socket).Encode(look(p))
		if !lines.Scan() {
			os.Exit(98) // the test has ended
		}
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "log":
			p.SetLog(rest)
		case "ready":
			p.Ready()
		case "failed":
			p.Failed(rest)
		case "term":
			<-term
		case "exit":
			status, _ := strconv.Atoi(rest)
			os.Exit(status)
		case "die":
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
}

// parent is a parent that runs, and the socket to the initd it has started.
type parent struct {
	*testing.T
	cmd    *exec.Cmd
	said   *os.File // what it writes to stdout and stderr
	socket net.Conn
	lines  *bufio.Reader
}

func start(t *testing.T, environ ...string) *parent {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	socket, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	socket.SetDeadline(time.Now().Add(patience))
	said, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &parent{T: t, said: said, socket: socket, lines: bufio.NewReader(socket)}
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Env = append(append(os.Environ(), role+"=1", "GORACE=atexit_sleep_ms=0"), environ...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.ExtraFiles = []*os.File{theirs, nil, nil, nil, nil, nil, out} // 9 is the caller's own affair
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	out.Close()
	t.Cleanup(func() {
		socket.Close() // by which initd ends
		said.Close()
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

// finds is what initd has found.
func (p *parent) finds() (f facts) {
	p.Helper()
	line, err := p.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &f)
	}
	if err != nil {
		p.Fatalf("nothing comes from initd: %v", err)
	}
	return f
}

func (p *parent) tell(command string) { fmt.Fprintln(p.socket, command) }

// exits waits for the parent's end.
func (p *parent) exits(status int) {
	p.Helper()
	defer time.AfterFunc(patience, func() { p.cmd.Process.Kill() }).Stop()
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.Errorf("the parent has exited with %d, want %d", got, status)
	}
}

// output is what was written by the parent and initd, once nobody can add to it.
func (p *parent) output() string {
	p.Helper()
	p.said.SetReadDeadline(time.Now().Add(patience))
	var all strings.Builder
	if _, err := bufio.NewReader(p.said).WriteTo(&all); err != nil {
		p.Errorf("somebody holds the output: %v", err)
	}
	return all.String()
}

func TestReady(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t)
	f := p.finds()
	if f.Session != f.PID || f.PID == p.cmd.Process.Pid || f.Command != "daemon-test" || f.Variable != "" || f.Released {
		t.Errorf("%+v", f)
	}
	// It has the parent's stdout and stderr, and nothing else of what the caller holds.
	if f.Files[0] != "/dev/null" || !strings.HasPrefix(f.Files[1], "pipe:") || f.Files[2] != f.Files[1] || f.Files[9] == f.Files[1] {
		t.Errorf("files %v", f.Files)
	}
	p.tell("log " + log)
	p.finds()
	p.tell("ready")
	if f := p.finds(); !f.Released || f.Files[1] != "/dev/null" || f.Files[2] != log {
		t.Errorf("%+v", f)
	}
	p.exits(0)
	if text := p.output(); text != "" {
		t.Errorf("output %q", text)
	}
	p.tell("failed later") // changes nothing
	if f := p.finds(); !f.Released || f.Files[2] != log {
		t.Errorf("%+v", f)
	}
}

func TestFailed(t *testing.T) {
	p := start(t)
	f := p.finds()
	p.tell("failed generation 1 failed: exit status 3")
	if f := p.finds(); !f.Released || f.Files[1] != "/dev/null" || f.Files[2] != "/dev/null" {
		t.Errorf("%+v", f)
	}
	p.exits(1)
	want := fmt.Sprintf("initd: generation 1 failed: exit status 3; initd keeps trying as process %d\n", f.PID)
	if text := p.output(); text != want {
		t.Errorf("output %q, want %q", text, want)
	}
}

// The end of initd before it is ready is the parent's.
func TestEnded(t *testing.T) {
	for command, status := range map[string]int{"exit 0": 0, "exit 125": 125, "die": 128 + 9} {
		p := start(t)
		p.finds()
		p.tell(command)
		p.exits(status)
	}
}

// A signal to stop is passed on, and that initd has ended well for it is not that
// it is ready.
func TestStopped(t *testing.T) {
	for command, status := range map[string]int{"exit 0": 128 + 15, "exit 3": 3} {
		p := start(t)
		p.finds()
		p.cmd.Process.Signal(syscall.SIGTERM)
		p.tell("term")
		p.finds()
		p.tell(command)
		p.exits(status)
	}
}

// What a service manager has handed to the parent is for initd.
func TestListenPID(t *testing.T) {
	p := start(t, "LISTEN_PID=1")
	if f := p.finds(); f.Pointer != "1" {
		t.Errorf("LISTEN_PID=%s was somebody else's", f.Pointer)
	}
	// A shell's pid is that of the program it executes.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	ours := os.NewFile(uintptr(pair[0]), "socket")
	defer ours.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0"`, exe)
	c.Env, c.ExtraFiles = append(os.Environ(), role+"=1"), []*os.File{theirs}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	defer time.AfterFunc(patience, func() { c.Process.Kill() }).Stop()
	var f facts
	if err := json.NewDecoder(ours).Decode(&f); err != nil || f.Pointer != strconv.Itoa(f.PID) {
		t.Errorf("%+v, %v", f, err)
	}
	fmt.Fprintln(ours, "exit 7")
	c.Wait()
	if status := c.ProcessState.ExitCode(); status != 7 {
		t.Errorf("the parent has exited with %d", status)
	}
}

func TestNoParent(t *testing.T) {
	for _, value := range []string{"", "x", "0", "1000000"} {
		t.Setenv(Variable, value)
		if p := Inherited(); p != nil {
			t.Errorf("%s=%s: %+v", Variable, value, p)
		}
		if _, there := os.LookupEnv(Variable); there {
			t.Error("the variable is still there")
		}
	}
	var p *Parent
	p.SetLog("/log")
	p.Ready()
	p.Failed("x")
	if p.Released() {
		t.Error("nobody was released")
	}
}
