package machine

import "fmt"

// Signal is a signal's number; signal(7). The package names only those that
// initd decides about.
type Signal int

const (
	HUP  Signal = 1
	INT  Signal = 2
	QUIT Signal = 3
	KILL Signal = 9
	PIPE Signal = 13
	TERM Signal = 15
	CHLD Signal = 17
	STOP Signal = 19
	TSTP Signal = 20
	TTIN Signal = 21
	TTOU Signal = 22
	URG  Signal = 23
	XFSZ Signal = 25
	PROF Signal = 27
	SYS  Signal = 31 // the last that has a meaning

	// Real-time signals as the C library numbers them: it keeps the kernel's
	// first two for its threads.
	RTMIN Signal = 34
	RTMAX Signal = 64
)

// REOPEN is what signal-map makes of a signal that is to have the logs opened
// anew. No process can be sent it.
const REOPEN Signal = -1

// names are those of Linux on every architecture that Go runs on but MIPS.
var names = [...]string{
	1: "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1",
	"SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP",
	"TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// String is the signal's name without SIG, or its number.
func (s Signal) String() string {
	switch {
	case s == REOPEN:
		return "REOPEN"
	case 0 < s && int(s) < len(names):
		return names[s]
	case s == RTMIN:
		return "RTMIN"
	case RTMIN < s && s <= RTMAX:
		return fmt.Sprintf("RTMIN+%d", int(s-RTMIN))
	}
	return fmt.Sprint(int(s))
}

// Status is how a process ended: by a signal, or with an exit code.
type Status struct {
	Code   int
	Signal Signal // 0 when it exited
	OOM    bool   // the kernel has killed it, for there was no memory left
}

// Success reports whether the process exited with 0.
func (s Status) Success() bool { return s == Status{} }

// ExitStatus is the status a shell would report: 128+n for signal n.
func (s Status) ExitStatus() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}

// Words is the status in a sentence: "exit status 3" or "signal KILL".
func (s Status) Words() string {
	if s.OOM {
		return "signal KILL (out of memory)"
	}
	if s.Signal != 0 {
		return "signal " + s.Signal.String()
	}
	return fmt.Sprintf("exit status %d", s.Code)
}

func (s Status) String() string {
	if s.OOM {
		return "signal=" + s.Signal.String() + " oom=true"
	}
	if s.Signal != 0 {
		return "signal=" + s.Signal.String()
	}
	return fmt.Sprintf("exit_status=%d", s.Code)
}
