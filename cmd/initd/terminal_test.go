package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testTerminal runs a shell as the command of a plain init, as `docker run -it` does, and uses job
// control in it as a person would.
func testTerminal(t *testing.T, debian string) {
	terminal := openTerminal(t)
	name := unique()
	cmd := exec.Command("docker", "run", "--interactive", "--tty", "--name", name, "--network", "none",
		"--env", "SERVER_STARTER_RESPAWN=never", "--env", "PS1=$ ", debian, "bash", "--norc", "--noprofile")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal.line, terminal.line, terminal.line
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.line.Close()
	t.Cleanup(func() {
		docker(t, "rm", "--force", name)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the screen:\n%s", terminal.screen)
		}
	})

	const (
		interrupt = "\x03" // Ctrl-C
		suspend   = "\x1a" // Ctrl-Z
	)
	terminal.expect("$ ")

	// What is typed is echoed, so that a word to wait for must not stand in it.
	terminal.enter(`sh -c 'echo start""ed; exec sleep 1000'`)
	terminal.expect("started")
	terminal.press(interrupt)
	terminal.expect("$ ")
	terminal.enter(`echo status=$?`)
	terminal.expect("status=130")
	terminal.expect("$ ")

	// A stopped job gives the terminal back to the shell; fg gives it to the job again.
	terminal.enter(`sh -c 'echo start""ed; exec sed --unbuffered s/ping/pong/'`)
	terminal.expect("started")
	terminal.press(suspend)
	terminal.expect("Stopped")
	terminal.expect("$ ")
	terminal.enter(`jobs | wc -l | sed s/^/jobs=/`)
	terminal.expect("jobs=1")
	terminal.expect("$ ")
	terminal.enter("fg")
	terminal.expect("exec sed --unbuffered s/ping/pong/'")
	terminal.enter("ping")
	terminal.expect("pong")
	terminal.press(interrupt)
	terminal.expect("$ ")
	terminal.enter(`echo status=$?`)
	terminal.expect("status=130")

	terminal.enter("exit 7")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("the shell exited 7, docker run says %v", err)
	}
	for _, complaint := range []string{"cannot set terminal process group", "no job control"} {
		if strings.Contains(terminal.screen.String(), complaint) {
			t.Errorf("the shell complains: %s", complaint)
		}
	}
}

// terminal is a pseudo-terminal, with someone who types and reads at one end.
type terminal struct {
	*testing.T
	person *os.File
	line   *os.File // the other end
	screen *screen
	read   int // how much of the screen has been read
}

func openTerminal(t *testing.T) *terminal {
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(person.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatalf("/dev/ptmx: %v", err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	terminal := &terminal{T: t, person: person, line: line, screen: &screen{changed: make(chan struct{})}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		terminal.screen.ReadFrom(person)
	}()
	t.Cleanup(func() {
		<-done // at the end of the last process that has the other end open
		person.Close()
	})
	return terminal
}

// enter types a line.
func (t *terminal) enter(line string) { t.press(line + "\r") }

// press types something.
func (t *terminal) press(keys string) {
	t.Helper()
	if _, err := t.person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// expect waits until a text stands on the screen, after what was expected before.
func (t *terminal) expect(text string) {
	t.Helper()
	for late := time.After(patience); ; {
		screen, changed := t.screen.since(t.read)
		if i := strings.Index(screen, text); i >= 0 {
			t.read += i + len(text)
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("never on the screen: %q", text)
		}
	}
}

// screen is all that was ever shown.
type screen struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

// ReadFrom shows what comes from a terminal until nobody is left at its other end.
func (s *screen) ReadFrom(person *os.File) {
	for buffer := make([]byte, 4096); ; {
		n, err := person.Read(buffer)
		s.mu.Lock()
		s.text.Write(buffer[:n])
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil { // EIO, as pty(7) has it
			return
		}
	}
}

func (s *screen) since(n int) (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()[n:], s.changed
}

func (s *screen) String() string {
	text, _ := s.since(0)
	return text
}
