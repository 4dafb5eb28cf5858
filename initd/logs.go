package initd

import (
	"fmt"
	"os"
	"time"

	"server-starter/initd/launch"
	"server-starter/initd/output"
	"server-starter/initd/settings"
)

// logs are where output goes.
type logs struct {
	own            int     // the descriptor for initd's log
	path           string  // the file that it leads to; empty: none, or a command
	stdout, stderr uintptr // those for the workers
	files          []*output.File
	commands       []logCommand
}

// logCommand is a command that reads what goes to a pipe.
type logCommand struct {
	*output.Pipe
	argv []string
}

// logGrace is what log commands and file systems get to take the last lines.
const logGrace = 5 * time.Second

// openLogs opens what the settings name. Two that name the same have it together.
func (in *instance) openLogs() (*logs, error) {
	l := &logs{own: 2, stdout: 1, stderr: 2}
	uid := in.workersUID()
	pipes := map[string]*output.Pipe{}
	open := func(name string, o settings.Output) (*output.Pipe, error) {
		if pipe := pipes[o.String()]; pipe != nil {
			return pipe, nil
		}
		if o.Command != nil {
			pipe, err := output.NewPipe(uid)
			if err != nil {
				return nil, err
			}
			l.commands = append(l.commands, logCommand{pipe, o.Command})
			pipes[o.String()] = pipe
			return pipe, nil
		}
		file, err := output.OpenFile(absolute(o.File), uid, in.teller(name, "what is written is lost until then"))
		if err != nil {
			return nil, settingError(name, err)
		}
		l.files = append(l.files, file)
		pipes[o.String()] = file.Pipe
		return file.Pipe, nil
	}
	s := in.settings
	if !s.LogFile.IsZero() {
		pipe, err := open("log-file", s.LogFile)
		if err != nil {
			return nil, err
		}
		l.own, l.stdout, l.stderr, l.path = pipe.Write, uintptr(pipe.Write), uintptr(pipe.Write), absolute(s.LogFile.File)
	}
	if !s.ErrorLog.IsZero() {
		pipe, err := open("error-log", s.ErrorLog)
		if err != nil {
			return nil, err
		}
		l.stderr = uintptr(pipe.Write)
		if bool(s.Daemonize) && s.LogFile.IsZero() { // there is no other place
			l.own, l.stdout, l.path = pipe.Write, l.stderr, absolute(s.ErrorLog.File)
		}
	}
	if !s.AccessLog.IsZero() {
		pipe, err := open("access-log", s.AccessLog)
		if err != nil {
			return nil, err
		}
		l.stdout = uintptr(pipe.Write)
	}
	return l, nil
}

// close lets the logs take what was written, once nobody writes any more.
// Outlive waits for the log commands and tells which of them run still. What
// none of them will take goes to rest.
func (l *logs) close(until time.Time, outlive func(time.Duration) map[int]bool, rest func([]byte)) {
	for _, file := range l.files {
		file.Close(max(time.Until(until), time.Second)) // what hangs may be another
	}
	if len(l.commands) == 0 {
		return
	}
	for _, c := range l.commands {
		c.CloseWrite()
	}
	running := outlive(time.Until(until))
	for number, c := range l.commands {
		// One that runs still, because a process that was left alone holds the
		// pipe, or because it is slow, can take the rest without initd.
		if !running[number] {
			c.Rest(rest)
		}
	}
}

// logger is a command that takes output.
func (in *instance) logger(number int) *launch.Command {
	c := in.logs.commands[number]
	stdout, stderr := uintptr(1), uintptr(2)
	if in.parent != nil {
		stdout, stderr = in.parent.null, in.parent.null // a terminal is to be let go
	}
	return &launch.Command{
		Argv: c.argv, Environ: in.base, Dir: in.start, Umask: -1,
		Files: []uintptr{uintptr(c.Read), stdout, stderr},
	}
}

// openRelay has what workers write to stderr come by initd, where somebody wants to
// see their last lines.
func (in *instance) openRelay() {
	if n := int(in.settings.StderrLines); n > 0 && !in.plain {
		in.relay = output.NewRelay(int(in.logs.stderr), n, in.workersUID())
	}
}

// tail gives a worker a stderr that comes by initd.
func (in *instance) tail(c *launch.Command) *output.Tail {
	if in.relay == nil {
		return nil
	}
	tail, err := in.relay.Open()
	if err != nil {
		in.log.Warn("the last lines of a worker will not be known: "+err.Error(), "event", "note")
		return nil
	}
	c.Files[2] = uintptr(tail.Write)
	return tail
}

// workersUID is the user that workers run as.
func (in *instance) workersUID() int {
	if in.credential != nil {
		return int(in.credential.UID)
	}
	return os.Geteuid()
}

// reopen has the log files opened anew. One that cannot be opened stays as it is.
func (in *instance) reopen() {
	for _, file := range in.logs.files {
		file.Reopen(func(err error) {
			if err != nil {
				in.tell("a log file stays the old one: " + err.Error())
			}
		})
	}
	in.log.Info("opening the log files anew", "event", "reopen")
}

// blocking is the number of goroutines that read or write files, or ask the
// kernel, beside that of the log.
func (in *instance) blocking() int {
	n := len(in.logs.files)
	if in.statusFile != nil {
		n++
	}
	if in.watch != nil {
		n++
	}
	if surveyEvery(in.settings) > 0 {
		n++
	}
	if in.logs.own != 2 {
		n++ // stderr's
	}
	if in.relay != nil {
		n++ // one at a time passes on what workers write
	}
	if in.steered() {
		// One at a time looks into /proc for a status. What the others do does not
		// block, but on a busy machine threads are left in the middle of it.
		n += 3
	}
	return n
}

// teller returns what tells the loop that a file cannot be written, and that it
// can be again.
func (in *instance) teller(name, meanwhile string) func(error) {
	return func(err error) {
		text := name + " can be written again"
		if err != nil {
			text = fmt.Sprintf("%s: %v; %s", name, err, meanwhile)
		}
		in.tell(text)
	}
}

// tell has the loop sound an alarm. It is for goroutines that write files.
func (in *instance) tell(text string) {
	select {
	case in.alarms <- text:
	default: // at the exit nobody listens any more
	}
}

// alarm logs what concerns the logs themselves, and says it on the stderr that
// initd was started with as well, if there is one still.
func (in *instance) alarm(text string, attrs ...any) {
	in.log.Warn(text, attrs...)
	in.plead(text)
}

// plead says on the stderr that initd was started with what is said elsewhere,
// too, where maybe nobody looks.
func (in *instance) plead(text string) {
	if in.logs.own != 2 && !in.parent.released() {
		in.stderr.Write([]byte("initd: " + text + "\n"))
	}
}
