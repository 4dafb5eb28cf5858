package initd

import (
	"os"
	"syscall"
	"time"

	"server-starter/initd/daemon"
	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/output"
)

// journal is initd's log, and the standard error that initd was started with where
// that is another place.
type journal struct {
	log        *eventlog.Log
	transcript bool             // log every step of the machine
	lines      *eventlog.Writer // of the log
	stderr     *eventlog.Writer // of the original standard error; the same where the log goes there
	parent     *daemon.Parent   // the process that waits until initd is in the background; nil: none. Once released it has taken the original standard error along
	notes      []string         // of what set-up found, a sentence each
}

// logGrace is what log commands and file systems get to take the last lines.
const logGrace = 5 * time.Second

// warnOfLogs logs what concerns the logs themselves, and writes it to the original
// standard error, too.
func (j *journal) warnOfLogs(kind eventlog.Kind, text string, attrs ...any) {
	j.log.Warn(kind, text, attrs...)
	j.complain(text)
}

// complain writes a line to the original standard error, where the log is
// elsewhere and somebody may still read it.
func (j *journal) complain(text string) {
	if j.stderr != j.lines && !j.parent.Released() {
		j.stderr.Write([]byte("initd: " + eventlog.Printable(text) + "\n"))
	}
}

// logNotes writes notes to the log, a line each.
func (j *journal) logNotes(notes []string) {
	for _, note := range notes {
		j.log.Warn(eventlog.Note, note)
	}
}

// closeJournal closes the log, and waits until what was written has arrived.
func (l *loop) closeJournal() {
	l.logs.Close(logGrace, output.Closing{
		Flush: func() {
			if l.lines != l.stderr {
				l.lines.Close(logGrace)
			}
		},
		Wait:      l.awaitLogCommands,
		Remaining: func(text []byte) { l.stderr.Write(text) },
	})
	l.stderr.Close(time.Second)
}

// openTail gives a command a stderr that passes through initd, where the last
// lines are to be kept.
func (l *loop) openTail(c *launch.Command) *output.Tail {
	tail, err := l.logs.Tail()
	if err != nil {
		l.log.Warn(eventlog.Note, "cannot keep the last lines of a process's stderr: "+err.Error())
	}
	if tail != nil {
		c.Files[2] = uintptr(tail.Write)
	}
	return tail
}

// terminationLog appends to the file from which Kubernetes reads why a container
// ended. Where nobody made the file, nobody reads it. What the program wrote there
// itself stays.
func terminationLog(text string) {
	if f, err := os.OpenFile("/dev/termination-log", os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0); err == nil {
		f.WriteString(text)
		f.Close()
	}
}
