package proc

import (
	"bytes"
	"fmt"
	"strconv"
)

// User is the effective user of a process, from /proc/PID/status (proc_pid_status(5)). The owner of /proc/PID is another
// if the process is not dumpable.
func (r *Reader) User(pid int) (uid int, err error) {
	text, err := r.read(path(pid, "status"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 5 && string(fields[0]) == "Uid:" { // real, effective, saved, file system
			return strconv.Atoi(string(fields[2]))
		}
	}
	return 0, fmt.Errorf("read %s: no user", path(pid, "status"))
}
