package proc

import (
	"bytes"
)

// Environ returns the values of variables in the environment that a process was
// started with (proc_pid_environ(5)), empty for those that it has not. A process may
// have written something else over it, as one that sets its title does.
func (r *Reader) Environ(pid int, names ...string) (values []string, err error) {
	values = make([]string, len(names))
	err = r.AsOwner(pid, func() error {
		text, err := r.read(path(pid, "environ"))
		if err != nil {
			return err
		}
		for variable := range bytes.SplitSeq(text, []byte{0}) {
			for i, name := range names {
				if value, is := bytes.CutPrefix(variable, []byte(name+"=")); is {
					values[i] = string(value)
				}
			}
		}
		return nil
	})
	return values, err
}
