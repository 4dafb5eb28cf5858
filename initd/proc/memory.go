package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Resident is what a process has in memory, in bytes, including what it shares with
// others (proc_pid_statm(5)). Anyone may read it. The kernel counts by thread
// and may be some pages behind.
func (r *Reader) Resident(pid int) (int64, error) {
	line, err := r.read(path(pid, "statm"))
	if err != nil {
		return 0, err
	}
	pages, err := second(line)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path(pid, "statm"), err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// Proportional is what a process has in memory, in bytes, where a page that several
// share is divided among them: Pss of /proc/PID/smaps_rollup (proc_pid_smaps(5)).
// The kernel looks at each page for it, some milliseconds to a gigabyte.
func (r *Reader) Proportional(pid int) (size int64, err error) {
	name := path(pid, "smaps_rollup")
	var text []byte
	err = r.AsOwner(pid, func() (err error) {
		text, err = r.read(name)
		return err
	})
	if err != nil {
		return 0, unsupported(pid, err)
	}
	// A zombie, or a task of the kernel, has no memory and an empty file.
	if len(text) == 0 {
		return 0, &fs.PathError{Op: "read", Path: name, Err: unix.ESRCH}
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("Pss:")) {
			kilobytes, err := second(line)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", name, err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, fmt.Errorf("read %s: %w", name, errors.New("it has no Pss"))
}

// second is the second field of a line.
func second(line []byte) (int64, error) {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return 0, fmt.Errorf("%.200q has no second field", line)
	}
	return strconv.ParseInt(string(fields[1]), 10, 48)
}
