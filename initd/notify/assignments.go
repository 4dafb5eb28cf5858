package notify

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxExtend is the longest extension; nothing takes longer, and a time.Duration ends
// at 292 years.
const maxExtend = 365 * 24 * time.Hour

// MaxStatus is the length in bytes at which a status text is cut.
const MaxStatus = 512

// Assignments are the well-known assignments of one datagram. The zero value
// is a datagram without any of them.
type Assignments struct {
	Ready           bool // READY=1: the start, or a reload, is complete
	Reloading       bool // RELOADING=1: READY=1 will follow
	Stopping        bool // STOPPING=1: it has begun to end
	Watchdog        bool // WATCHDOG=1: it is still alive
	WatchdogTrigger bool // WATCHDOG=trigger: it asks to be treated as if WATCHDOG=1 had not come in time

	Extend  time.Duration // EXTEND_TIMEOUT_USEC=: how much longer its start or its end may take; 0: not asked for
	MainPID int           // MAINPID=: the process that it hands over to; 0: not named

	HasStatus bool   // there was a STATUS=, maybe an empty one, which clears an earlier text
	Status    string // its text: UTF-8, fit for one line of a log, at most MaxStatus bytes
}

// Parse reads a datagram as sd_notify(3) describes it. Assignments that it does
// not know are ignored; of several STATUS= the first counts, as in systemd.
func Parse(datagram []byte) Assignments {
	var a Assignments
	// C programs send the string's final NUL along now and then.
	datagram = bytes.TrimRight(datagram, "\x00")
	for line := range bytes.SplitSeq(datagram, []byte("\n")) {
		switch string(line) {
		case "READY=1":
			a.Ready = true
		case "RELOADING=1":
			a.Reloading = true
		case "STOPPING=1":
			a.Stopping = true
		case "WATCHDOG=1":
			a.Watchdog = true
		case "WATCHDOG=trigger":
			a.WatchdogTrigger = true
		default:
			name, text, found := bytes.Cut(line, []byte("="))
			if !found {
				continue
			}
			switch string(name) {
			case "STATUS":
				if !a.HasStatus {
					a.HasStatus, a.Status = true, printable(text)
				}
			case "EXTEND_TIMEOUT_USEC":
				if usec, err := strconv.ParseUint(string(text), 10, 64); err == nil {
					a.Extend = time.Duration(min(usec, uint64(maxExtend.Microseconds()))) * time.Microsecond
				}
			case "MAINPID":
				if pid, err := strconv.ParseInt(string(text), 10, 32); err == nil && pid > 0 {
					a.MainPID = int(pid)
				}
			}
		}
	}
	return a
}

// printable makes text safe to show: a worker must not be able to draw on the
// operator's terminal or to forge a line of the log.
func printable(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) { // a byte that is no UTF-8 comes as U+FFFD
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > MaxStatus {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
