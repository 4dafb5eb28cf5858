package launch

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
)

// A Failure is the reason why a program was not executed.
type Failure struct {
	Stage string        // what failed: exec, chdir, setgroups, setresuid, fork/exec …
	Path  string        // the file that it was about, if any
	Errno syscall.Errno // why
	Hint  string        // more about the cause, if it is known
}

func failed(stage, path string, err error) *Failure {
	f := &Failure{Stage: stage, Path: path, Errno: syscall.EINVAL}
	errors.As(err, &f.Errno)
	return f
}

// Error reads `exec /app: permission denied: it is a directory`.
func (f *Failure) Error() string {
	text := f.Stage
	if f.Path != "" {
		text += " " + f.Path
	}
	text += ": " + f.Errno.Error()
	if f.Hint != "" {
		text += ": " + f.Hint
	}
	return text
}

func (f *Failure) Unwrap() error { return f.Errno }

// ExitStatus is that of a shell: 127 if there is no such program, 126 if it cannot be executed; and 125 if something
// failed before that.
func (f *Failure) ExitStatus() int {
	switch {
	case f.Stage != "exec":
		return 125
	case f.Errno == syscall.ENOENT, f.Errno == syscall.ENOTDIR:
		return 127
	default:
		return 126
	}
}

// report is f as it goes over the pipe; no path and no argument can contain a NUL.
func (f *Failure) report() []byte {
	return []byte(strings.Join([]string{strconv.Itoa(int(f.Errno)), f.Stage, f.Path, f.Hint}, "\x00"))
}

// parseFailure reads a report back: nil where there is none.
func parseFailure(report []byte) error {
	fields := strings.Split(string(report), "\x00")
	if len(fields) != 4 {
		return nil
	}
	errno, _ := strconv.Atoi(fields[0])
	return &Failure{Errno: syscall.Errno(errno), Stage: fields[1], Path: fields[2], Hint: fields[3]}
}
