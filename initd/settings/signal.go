package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Real-time signals as the C library numbers them, signal(7): it keeps the
// kernel's first two for its threads, so nobody can mean those.
const (
	rtmin = 34
	rtmax = 64
)

// signal is one by name or number.
type signal syscall.Signal

func (g *signal) Set(s string) error {
	n, err := ParseSignal(s)
	if err == nil {
		*g = signal(n)
	}
	return err
}
func (g *signal) String() string { return signalName(syscall.Signal(*g)) }
func (g *signal) Type() string   { return signalForm }

// gone is a signal for a worker whose client has gone, or none.
type gone syscall.Signal

func (g *gone) Set(s string) error {
	n, err := signal(0), error(nil)
	if s != "" {
		err = n.Set(s)
	}
	switch {
	case err != nil:
		return err
	case syscall.Signal(n) == syscall.SIGSTOP:
		return errors.New("STOP would suspend the worker for ever")
	}
	*g = gone(n)
	return nil
}
func (g *gone) String() string { return signalName(syscall.Signal(*g)) }
func (g *gone) Type() string   { return signalForm }

const signalForm = "a signal (TERM, SIGTERM, 15, RTMIN+1)"

// ParseSignal reads a signal's name, with or without SIG, or its number.
func ParseSignal(s string) (syscall.Signal, error) {
	if s == "" {
		return 0, errEmpty
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		if n < 1 || n > rtmax || n > 31 && n < rtmin {
			return 0, fmt.Errorf("there is no signal %s", s)
		}
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := realtime(name); n != 0 {
		return n, nil
	}
	switch name { // other names of the same, signal(7)
	case "CLD":
		name = "CHLD"
	case "IOT":
		name = "ABRT"
	case "POLL":
		name = "IO"
	}
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%q is no signal", s)
}

// realtime is 0 for what is no RTMIN, RTMIN+n, RTMAX-n or RTMAX.
func realtime(name string) syscall.Signal {
	for _, from := range []struct {
		name, sign string
		n, step    int
	}{{"RTMIN", "+", rtmin, 1}, {"RTMAX", "-", rtmax, -1}} {
		rest, ok := strings.CutPrefix(name, from.name)
		if !ok {
			continue
		}
		if rest == "" {
			return syscall.Signal(from.n)
		}
		if digits, ok := strings.CutPrefix(rest, from.sign); ok {
			if n, err := number(digits, 10, rtmax-rtmin); err == nil {
				return syscall.Signal(from.n + from.step*n)
			}
		}
	}
	return 0
}

// signalName is empty for 0.
func signalName(n syscall.Signal) string {
	switch {
	case n == rtmin:
		return "RTMIN"
	case n > rtmin:
		return "RTMIN+" + strconv.Itoa(int(n)-rtmin)
	}
	return strings.TrimPrefix(unix.SignalName(n), "SIG")
}

// Reopen stands in a signal map for no signal, but for opening the log files
// anew.
const Reopen syscall.Signal = -1

const reopen = "REOPEN"

// signalMap has a signal only once on the left.
type signalMap map[syscall.Signal]syscall.Signal

func (m *signalMap) Set(s string) error {
	if s == "" {
		return nil
	}
	left, right, err := pair(s)
	if err != nil {
		return err
	}
	from, err := ParseSignal(left)
	if err != nil {
		return err
	}
	var to syscall.Signal
	switch {
	case right == "0":
	case strings.EqualFold(right, reopen):
		to = Reopen
	default:
		if to, err = ParseSignal(right); err != nil {
			return err
		}
	}
	switch from {
	case syscall.SIGKILL, syscall.SIGSTOP:
		return fmt.Errorf("%s cannot be caught", signalName(from))
	case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGURG, syscall.SIGPROF, 34:
		return fmt.Errorf("%s is initd's own", signalName(from))
	}
	if _, ok := (*m)[from]; ok {
		return fmt.Errorf("%s is mapped twice", signalName(from))
	}
	if *m == nil {
		*m = make(signalMap)
	}
	(*m)[from] = to
	return nil
}

func (m *signalMap) String() string { return strings.Join(m.words(), ";") }
func (m *signalMap) Type() string {
	return "SIGNAL:SIGNAL, SIGNAL:0 to drop it, or SIGNAL:REOPEN, several separated by semicolons"
}
func (m *signalMap) clear() { *m = nil }
func (m *signalMap) words() (words []string) {
	for _, from := range slices.Sorted(maps.Keys(*m)) {
		to := "0"
		switch n := (*m)[from]; n {
		case 0:
		case Reopen:
			to = reopen
		default:
			to = signalName(n)
		}
		words = append(words, signalName(from)+":"+to)
	}
	return words
}

// exitMap has a status only once on the left.
type exitMap map[int]int

func (m *exitMap) Set(s string) error {
	if s == "" {
		return nil
	}
	left, right, err := pair(s)
	if err != nil {
		return err
	}
	from, err := number(left, 10, 255)
	if err != nil {
		return fmt.Errorf("%q is no exit status", left)
	}
	to, err := number(right, 10, 255)
	if err != nil {
		return fmt.Errorf("%q is no exit status", right)
	}
	if _, ok := (*m)[from]; ok {
		return fmt.Errorf("%d is mapped twice", from)
	}
	if *m == nil {
		*m = make(exitMap)
	}
	(*m)[from] = to
	return nil
}

func (m *exitMap) String() string { return strings.Join(m.words(), ";") }
func (m *exitMap) Type() string {
	return "STATUS:STATUS, each 0 to 255, several separated by semicolons"
}
func (m *exitMap) clear() { *m = nil }
func (m *exitMap) words() (words []string) {
	for _, from := range slices.Sorted(maps.Keys(*m)) {
		words = append(words, fmt.Sprintf("%d:%d", from, (*m)[from]))
	}
	return words
}

func pair(s string) (left, right string, err error) {
	left, right, ok := strings.Cut(s, ":")
	if !ok {
		return "", "", errors.New("has no colon")
	}
	return strings.TrimSpace(left), strings.TrimSpace(right), nil
}
