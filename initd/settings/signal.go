package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"server-starter/initd/machine"
)

// A Signal is one by name or number, 0 for none.
type Signal machine.Signal

func (g *Signal) Set(s string) error {
	n, err := ParseSignal(s)
	if err == nil {
		*g = Signal(n)
	}
	return err
}
func (g Signal) String() string {
	if g == 0 {
		return ""
	}
	return machine.Signal(g).String()
}
func (g Signal) Type() string { return "a signal (TERM, SIGTERM, 15, RTMIN+1)" }

// An OptionalSignal may be empty, and is for a process that goes on.
type OptionalSignal Signal

func (g *OptionalSignal) Set(s string) error {
	var n Signal
	if s != "" {
		if err := n.Set(s); err != nil {
			return err
		}
	}
	if machine.Signal(n) == machine.STOP {
		return errors.New("STOP would suspend the worker for ever")
	}
	*g = OptionalSignal(n)
	return nil
}
func (g OptionalSignal) String() string { return Signal(g).String() }
func (g OptionalSignal) Type() string   { return Signal(g).Type() }

// ParseSignal reads a signal's name, with or without SIG, or its number. Nobody
// can mean 32 and 33, which the C library keeps for its threads, signal(7).
func ParseSignal(s string) (machine.Signal, error) {
	if s == "" {
		return 0, errEmpty
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		if n < 1 || n > uint64(machine.RTMAX) || n > uint64(machine.SYS) && n < uint64(machine.RTMIN) {
			return 0, fmt.Errorf("there is no signal %s", s)
		}
		return machine.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	// Other names of the same, signal(7).
	name = cmp.Or(map[string]string{"CLD": "CHLD", "IOT": "ABRT", "POLL": "IO", "RTMIN": "RTMIN+0", "RTMAX": "RTMAX-0"}[name], name)
	for n := machine.Signal(1); n <= machine.SYS; n++ {
		if name == n.String() {
			return n, nil
		}
	}
	var n machine.Signal
	if digits, ok := strings.CutPrefix(name, "RTMIN+"); ok && number(&n, digits, 10, 0, machine.RTMAX-machine.RTMIN) == nil {
		return machine.RTMIN + n, nil
	}
	if digits, ok := strings.CutPrefix(name, "RTMAX-"); ok && number(&n, digits, 10, 0, machine.RTMAX-machine.RTMIN) == nil {
		return machine.RTMAX - n, nil
	}
	return 0, fmt.Errorf("%q is no signal", s)
}

// A SignalMap has a signal only once on the left. 0 on the right drops it,
// machine.REOPEN opens the log files anew.
type SignalMap map[machine.Signal]machine.Signal

func (m *SignalMap) Decode(text string) error { return errors.Join(parse(m, text, false)...) }
func (m *SignalMap) Set(s string) error {
	return addPair(m, s, func(s string) (machine.Signal, error) {
		n, err := ParseSignal(s)
		switch n {
		case machine.KILL, machine.STOP:
			return 0, fmt.Errorf("%v cannot be caught", n)
		case machine.CHLD, machine.PIPE, machine.XFSZ, machine.URG, machine.PROF, machine.RTMIN:
			return 0, fmt.Errorf("%v is initd's own", n)
		}
		return n, err
	}, func(s string) (machine.Signal, error) {
		switch {
		case s == "0":
			return 0, nil
		case strings.EqualFold(s, machine.REOPEN.String()):
			return machine.REOPEN, nil
		}
		return ParseSignal(s)
	})
}
func (m SignalMap) String() string { return strings.Join(m.words(), ";") }
func (m SignalMap) Type() string {
	return "SIGNAL:SIGNAL, SIGNAL:0 to drop it, or SIGNAL:REOPEN, several separated by semicolons"
}
func (m SignalMap) words() []string { return pairs(m) }

// An ExitMap has a status, 0 to 255, only once on the left.
type ExitMap map[int]int

func (m *ExitMap) Decode(text string) error { return errors.Join(parse(m, text, false)...) }
func (m *ExitMap) Set(s string) error {
	status := func(s string) (n int, err error) {
		if number(&n, s, 10, 0, 255) != nil {
			return 0, fmt.Errorf("%q is no exit status", s)
		}
		return n, nil
	}
	return addPair(m, s, status, status)
}
func (m ExitMap) String() string { return strings.Join(m.words(), ";") }
func (m ExitMap) Type() string {
	return "STATUS:STATUS, each 0 to 255, several separated by semicolons"
}
func (m ExitMap) words() []string { return pairs(m) }

// addPair adds what "from:to" says to a map, or nothing of an empty text.
func addPair[M ~map[K]K, K ~int](m *M, s string, parseFrom, parseTo func(string) (K, error)) error {
	if s == "" {
		return nil
	}
	left, right, ok := strings.Cut(s, ":")
	if !ok {
		return errors.New("has no colon")
	}
	from, err := parseFrom(strings.TrimSpace(left))
	if err != nil {
		return err
	}
	to, err := parseTo(strings.TrimSpace(right))
	if err != nil {
		return err
	}
	if _, ok := (*m)[from]; ok {
		return fmt.Errorf("%v is mapped twice", from)
	}
	if *m == nil {
		*m = make(M)
	}
	(*m)[from] = to
	return nil
}

func pairs[M ~map[K]K, K ~int](m M) (words []string) {
	for _, from := range slices.Sorted(maps.Keys(m)) {
		words = append(words, fmt.Sprintf("%v:%v", from, m[from]))
	}
	return words
}
