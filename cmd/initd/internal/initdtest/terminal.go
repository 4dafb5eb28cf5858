package initdtest

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal, with someone who types and reads at one end.
type Terminal struct {
	*testing.T
	Person *os.File
	Line   *os.File // the other end
	Screen *Screen
	read   int // how much of the screen has been read
}

// OpenTerminal opens one. It stays until nobody is left at its other end.
func OpenTerminal(t *testing.T) *Terminal {
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
	terminal := &Terminal{T: t, Person: person, Line: line, Screen: &Screen{changed: make(chan struct{})}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		terminal.Screen.ReadFrom(person)
	}()
	t.Cleanup(func() {
		line.Close() // if the test has ended before it could
		<-done       // at the end of the last process that has the other end open
		person.Close()
	})
	return terminal
}

// Enter types a line.
func (t *Terminal) Enter(line string) { t.Press(line + "\r") }

// Press types something.
func (t *Terminal) Press(keys string) {
	t.Helper()
	if _, err := t.Person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// Expect waits until a text stands on the screen, after what was expected before.
func (t *Terminal) Expect(text string) {
	t.Helper()
	for late := time.After(Patience); ; {
		screen, changed := t.Screen.since(t.read)
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

// Screen is all that was ever shown.
type Screen struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

// ReadFrom shows what comes from a terminal until nobody is left at its other end.
func (s *Screen) ReadFrom(person *os.File) {
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

func (s *Screen) since(n int) (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()[n:], s.changed
}

func (s *Screen) String() string {
	text, _ := s.since(0)
	return text
}
