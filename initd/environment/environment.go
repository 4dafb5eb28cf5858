// Package environment is the environment that initd was started with. It is meant for the workers, so no variable in it
// may tune initd's own Go runtime. If one would, the package's init executes the program again, in the same process,
// with the variable renamed.
//
// The runtime obeys these variables until then, for about two milliseconds, and a malformed GOMEMLIMIT makes it exit
// before any code of the program runs. Signals that come in these two milliseconds are kept pending for the new program;
// see package entry.
package environment

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"server-starter/initd/entry"
	"server-starter/initd/launch" // whose init comes first: a stage does not need this one
)

// self is this program, even if its file was replaced or removed: proc_pid_exe(5).
const self = "/proc/self/exe"

func init() {
	unify(initial())
	switch environ := os.Environ(); {
	case slices.ContainsFunc(environ, launch.IsTuning):
		entry.Carry()
		syscall.Exec(self, os.Args, launch.Hide(environ)) // if this fails, initd runs with them
	case slices.ContainsFunc(environ, launch.IsHidden), len(entry.Early()) > 0:
		// Its name may be exe now, but pidof(8) should find it; proc_pid_comm(5).
		os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	}
}

// Environ returns the environment that initd was started with, K=V each, and with what os.Setenv has changed since. If
// a variable was assigned several times, the last value counts, as in a shell.
func Environ() []string { return launch.Reveal(os.Environ()) }

// initial is the environment as execve(2) passed it on: proc_pid_environ(5). Package os keeps only the first assignment
// of each variable. An os.File would start the runtime's poller, which a plain init does not need.
func initial() (environ []string) {
	file, err := syscall.Open("/proc/self/environ", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(file)
	var text []byte
	for n := 1; n > 0; {
		text = slices.Grow(text, 4096)
		n, _ = syscall.Read(file, text[len(text):cap(text)])
		text = text[:len(text)+max(n, 0)]
	}
	for variable := range bytes.SplitSeq(text, []byte{0}) {
		environ = append(environ, string(variable))
	}
	return environ
}

// unify sets each variable that is assigned several times to its last value.
func unify(environ []string) {
	last := make(map[string]string, len(environ))
	for _, variable := range environ {
		name, value, assigned := strings.Cut(variable, "=")
		if !assigned || name == "" {
			continue
		}
		if first, twice := last[name]; twice && first != value {
			os.Setenv(name, value)
		}
		last[name] = value
	}
}
