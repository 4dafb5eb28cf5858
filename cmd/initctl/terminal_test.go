package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"server-starter/initd/control"
)

// terminal is a pseudo-terminal with someone who types and reads; pty(7).
type terminal struct {
	*testing.T
	person *os.File
	line   *os.File // the other end

	mu      sync.Mutex
	screen  strings.Builder // all that was ever shown
	changed chan struct{}
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatalf("/dev/ptmx: %v", err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{T: t, person: person, line: line, changed: make(chan struct{})}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for buffer := make([]byte, 4096); ; {
			n, err := person.Read(buffer)
			x.mu.Lock()
			x.screen.Write(buffer[:n])
			close(x.changed)
			x.changed = make(chan struct{})
			x.mu.Unlock()
			if err != nil { // EIO, when nobody has the other end open
				return
			}
		}
	}()
	t.Cleanup(func() {
		line.Close()
		<-over
		person.Close()
	})
	return x
}

// shown is all that was, and what is closed when there is more.
func (x *terminal) shown() (string, <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String(), x.changed
}

// expect waits until a text stands on the screen.
func (x *terminal) expect(text string) {
	x.Helper()
	x.expectTimes(1, text)
}

// expectTimes waits until a text has been shown so often.
func (x *terminal) expectTimes(n int, text string) {
	x.Helper()
	for late := time.After(testPatience); ; {
		shown, changed := x.shown()
		if strings.Count(shown, text) >= n {
			return
		}
		select {
		case <-changed:
		case <-late:
			x.Fatalf("never on the screen: %q\nthere is\n%q", text, shown)
		}
	}
}

// start runs initctl on the terminal, with these variables.
func (x *terminal) start(environment map[string]string, args ...string) (ended <-chan int) {
	t := &tool{stdin: x.line, stdout: x.line, stderr: x.line, getenv: func(name string) string { return environment[name] }}
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	status := make(chan int, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		status <- t.run(ctx, args)
	}()
	x.Cleanup(func() {
		cancel()
		<-over
	})
	return status
}

// TestColoursOnATerminal: there are some, unless somebody wants none.
func TestColoursOnATerminal(t *testing.T) {
	f := newFake(t, once(func(control.Request) control.Answer { return control.Answer{Status: sample(t, "failed")} }))
	for _, test := range []struct {
		name        string
		environment map[string]string
		colours     bool
	}{
		{"a terminal", map[string]string{"TERM": "xterm"}, true},
		{"NO_COLOR", map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		{"empty NO_COLOR", map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true},
		{"dumb", map[string]string{"TERM": "dumb"}, false},
		{"no TERM", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := openTerminal(t)
			environment := map[string]string{socketVariable: f.path}
			for name, value := range test.environment {
				environment[name] = value
			}
			if status := <-x.start(environment, "status"); status != 0 {
				t.Fatalf("status %d", status)
			}
			x.expect("TRIGGER")
			x.expect("1h ago\r\n") // the last line
			shown, _ := x.shown()
			if is := strings.Contains(shown, "\x1b["); is != test.colours {
				t.Errorf("colours: %v, want %v:\n%q", is, test.colours, shown)
			}
		})
	}
}

// TestProgress: on a terminal what is waited for stands in one line, which is gone
// in the end.
func TestProgress(t *testing.T) {
	seen := make(chan struct{})
	f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
		if r.Request == control.AskStatus {
			send(control.Answer{Status: sample(t, "pool")})
			return true
		}
		send(control.Answer{Ticket: 7})
		send(control.Answer{Answer: "outcome", Outcome: &control.Outcome{Ticket: 7, Outcome: "begun", Generation: 12}})
		<-seen
		send(control.Answer{Answer: "outcome", Outcome: &control.Outcome{Ticket: 7, Outcome: "ready", Generation: 12, Final: true}})
		return true
	})
	x := openTerminal(t)
	status := x.start(map[string]string{socketVariable: f.path, "TERM": "xterm"}, "restart")
	x.expectTimes(3, "\r\x1b[Kgeneration 12 is starting … ") // it goes on by itself
	close(seen)
	if s := <-status; s != 0 {
		t.Errorf("status %d", s)
	}
	x.expect("\r\x1b[Kgeneration 12 is serving, ready after 1.5s\r\n")
}

func TestTop(t *testing.T) {
	looks := make(chan struct{})
	enough := make(chan struct{})
	f := newFake(t, once(func(control.Request) control.Answer {
		select {
		case looks <- struct{}{}:
		case <-enough:
		}
		return control.Answer{Status: sample(t, "pool")}
	}))
	x := openTerminal(t)
	status := x.start(map[string]string{socketVariable: f.path, "TERM": "xterm"}, "top", "--interval", "0.01")
	<-looks // before there is a screen
	x.expect("12 serving")
	x.expect("3 busy, 1 idle")
	x.expect("queue 12 of 4096")
	for range 3 { // it looks again
		<-looks
	}
	close(enough)
	f.end()
	x.expect("no initd answers")
	x.person.WriteString("q")
	if s := <-status; s != 0 {
		t.Errorf("status %d", s)
	}
	x.expect("\x1b[?1049l") // back to the screen there was
}

// TestKeys: what is typed goes to the screen, or ends it.
func TestKeys(t *testing.T) {
	var m tea.Model = monitor{screen: screen{width: 80, height: 24}.observe(sample(t, "pool"))}
	press := func(key rune) (end bool) {
		var then tea.Cmd
		m, then = m.Update(tea.KeyPressMsg{Code: key, Text: string(key)})
		if then == nil {
			return false
		}
		_, end = then().(tea.QuitMsg)
		return end
	}
	for _, test := range []struct {
		key  rune
		back string
		end  bool
	}{{'+', "-5m", false}, {'+', "-15m", false}, {'-', "-5m", false}, {'-', "-1m", false}, {'-', "-1m", false}, {'x', "-1m", false}, {'q', "-1m", true}} {
		if end := press(test.key); end != test.end || !strings.Contains(m.View().Content, " "+test.back+" ") {
			t.Errorf("after %c, which ends it: %v, no %s in\n%s", test.key, end, test.back, m.View().Content)
		}
	}
}

func TestTopWithoutTerminal(t *testing.T) {
	if r := invoke(t, "", "top"); r.status != 1 || !strings.Contains(r.stderr, "top needs a terminal") {
		t.Errorf("%+v", r)
	}
}
