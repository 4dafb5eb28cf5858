package output

import (
	"fmt"
	"strings"
	"time"
)

// Destination is where output goes: to the end of a file, or to the standard input
// of a command. The zero Destination is none.
type Destination struct {
	File    string   // an absolute path
	Command []string // argv
}

// IsZero reports whether it is none.
func (d Destination) IsZero() bool { return d.File == "" && d.Command == nil }

func (d Destination) key() string {
	if d.Command != nil {
		return "|" + strings.Join(d.Command, "\x00")
	}
	return d.File
}

// LogOptions are where the logs go and who writes to them.
type LogOptions struct {
	Log    Destination // log-file: initd's log, and the workers' stdout and stderr
	Access Destination // access-log: the workers' stdout
	Error  Destination // error-log: the workers' stderr

	// Daemon means that stdout and stderr are of no use: where there is only an error
	// log, initd's log and the workers' stdout go to it, too.
	Daemon bool

	UID   int               // of the workers
	Start func(func())      // starts a goroutine
	Warn  func(text string) // a file cannot be written, or can be again; called by other goroutines
}

// Logs are where output goes. A nil *Logs is none: everything stays on the stdout
// and stderr that initd was started with.
type Logs struct {
	own            int    // descriptor for initd's log
	path           string // the file that it leads to; empty: none, or a command
	stdout, stderr int    // descriptors for the workers
	warn           func(text string)
	start          func(func())
	uid            int
	files          []*File
	commands       []logCommand
	relay          *Relay // nil: what workers write to stderr does not pass through initd
}

// logCommand is a command that reads what goes to a pipe.
type logCommand struct {
	*Pipe
	argv []string
}

// LogError is why a log file cannot be opened.
type LogError struct {
	Setting string // log-file, access-log or error-log
	Err     error
}

func (e *LogError) Error() string { return e.Setting + ": " + e.Err.Error() }
func (e *LogError) Unwrap() error { return e.Err }

// OpenLogs opens the files, and the pipes to the commands, which the caller has to
// start. Two logs with the same destination share it.
func OpenLogs(o LogOptions) (*Logs, error) {
	l := &Logs{own: 2, stdout: 1, stderr: 2, warn: o.Warn, start: o.Start, uid: o.UID}
	shared := map[string]*Pipe{}
	// write is the descriptor by which a log is written.
	write := func(setting string, d Destination) (fd int, err error) {
		pipe := shared[d.key()]
		if pipe == nil {
			if pipe, err = l.open(setting, d); err != nil {
				return -1, err
			}
			shared[d.key()] = pipe
		}
		return pipe.Write, nil
	}
	for _, log := range []struct {
		setting string
		Destination
		use func(fd int)
	}{
		{"log-file", o.Log, func(fd int) { l.own, l.stdout, l.stderr, l.path = fd, fd, fd, o.Log.File }},
		{"error-log", o.Error, func(fd int) {
			if l.stderr = fd; o.Daemon && o.Log.IsZero() { // there is no other place
				l.own, l.stdout, l.path = fd, fd, o.Error.File
			}
		}},
		{"access-log", o.Access, func(fd int) { l.stdout = fd }},
	} {
		if log.IsZero() {
			continue
		}
		fd, err := write(log.setting, log.Destination)
		if err != nil {
			return nil, err
		}
		log.use(fd)
	}
	return l, nil
}

func (l *Logs) open(setting string, d Destination) (*Pipe, error) {
	if d.Command != nil {
		pipe, err := NewPipe(l.uid)
		if err != nil {
			return nil, err
		}
		l.commands = append(l.commands, logCommand{pipe, d.Command})
		return pipe, nil
	}
	file, err := OpenFile(d.File, l.uid, l.start, func(err error) {
		if err != nil {
			l.warn(fmt.Sprintf("%s: %v; output is lost until it can be written again", setting, err))
		} else {
			l.warn(setting + " can be written again")
		}
	})
	if err != nil {
		return nil, &LogError{setting, err}
	}
	l.files = append(l.files, file)
	return file.Pipe, nil
}

// Own is the descriptor for initd's own log.
func (l *Logs) Own() int {
	if l == nil {
		return 2
	}
	return l.own
}

// Path is the file that Own leads to, empty where it is none.
func (l *Logs) Path() string {
	if l == nil {
		return ""
	}
	return l.path
}

// Workers are the descriptors for the workers' stdout and stderr.
func (l *Logs) Workers() (stdout, stderr int) {
	if l == nil {
		return 1, 2
	}
	return l.stdout, l.stderr
}

// Commands is how many log commands there are; they are numbered from 0.
func (l *Logs) Commands() int {
	if l == nil {
		return 0
	}
	return len(l.commands)
}

// Command is the log command of a number, and the descriptor of its stdin.
func (l *Logs) Command(number int) (argv []string, stdin int) {
	return l.commands[number].argv, l.commands[number].Read
}

// Blocking is how many of its goroutines may be in a system call that blocks at
// one time.
func (l *Logs) Blocking() (n int) {
	if l == nil {
		return 0
	}
	if n = len(l.files); l.relay != nil {
		n++ // one at a time passes on what workers write
	}
	return n
}

// OpenRelay lets what workers write to stderr pass through initd, which keeps so
// many of the last lines of each. It is not for a nil *Logs.
func (l *Logs) OpenRelay(lines int) { l.relay = NewRelay(l.stderr, lines, l.uid, l.start) }

// Tail returns a stderr for a worker that is to be started, nil where there is no
// relay.
func (l *Logs) Tail() (*Tail, error) {
	if l == nil || l.relay == nil {
		return nil, nil
	}
	return l.relay.Open()
}

// Reopen has the log files opened anew. One that cannot be opened stays as it is,
// with a warning.
func (l *Logs) Reopen() {
	if l == nil {
		return
	}
	for _, file := range l.files {
		file.Reopen(func(err error) {
			if err != nil {
				l.warn("cannot reopen a log file, so the old one is still used: " + err.Error())
			}
		})
	}
}

// Closing is what Close needs of its caller.
type Closing struct {
	// Flush writes what is left of initd's own log, to which nothing is added any
	// more.
	Flush func()

	// Wait waits until the log commands have ended, for at most the time given, and
	// returns the numbers of those that still run.
	Wait func(time.Duration) (running map[int]bool)

	// Remaining is given what no log command will read any more.
	Remaining func([]byte)
}

// Close lets the logs take what was written, once no worker writes any more. Each
// part leads to the next: what the relay has to initd's stderr or a log, initd's
// own log to a file or a command. Log commands come to the end of their input. It
// takes no longer than the limit, but that the relay and each file get a second at
// least: what hangs may be another.
func (l *Logs) Close(limit time.Duration, c Closing) {
	if l == nil {
		c.Flush()
		return
	}
	until := time.Now().Add(limit)
	if l.relay != nil {
		l.relay.Close(time.Second) // as stderr, to which it leads, is given
	}
	c.Flush()
	for _, file := range l.files {
		file.Close(max(time.Until(until), time.Second))
	}
	if len(l.commands) == 0 {
		return
	}
	for _, command := range l.commands {
		command.CloseWrite()
	}
	running := c.Wait(time.Until(until))
	for number, command := range l.commands {
		// One that still runs, because a process that was left alone holds the
		// pipe, or because it is slow, can read the remainder without initd.
		if !running[number] {
			command.Remaining(c.Remaining)
		}
	}
}
