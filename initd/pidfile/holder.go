package pidfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// Holder is the process that holds a pid file, as another process sees it.
type Holder struct {
	PID     int
	file    *os.File
	records bool // it has the record lock, from which the attempts are known
	pidfd   int  // pidfd_open(2); -1 before Linux 5.3 and under a seccomp filter of that age
}

// Find finds the process that holds the pid file at path. The error is why there is
// none.
func Find(path string) (*Holder, error) {
	file, err := ownfile.Open(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("pid-file %s: no such file: initd is not running, or uses another pid-file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("pid-file: %w", err)
	}
	h, err := find(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("pid-file %s: %w", path, err)
	}
	return h, nil
}

func find(file *os.File) (*Holder, error) {
	pid, err := read(file)
	if err != nil {
		return nil, err
	}
	h := &Holder{PID: pid, file: file}
	lock, known, _ := process.get(file)
	if _, h.records, _ = numbers.get(file); h.records && known {
		h.PID = int(lock.Pid) // pid is in its own pid namespace, which may be another
	}
	switch {
	case h.records && (h.PID <= 0 || !known && !(ownProc() && holds(pid, file))):
		return nil, fmt.Errorf("the process that holds it (process %d there) is in another pid namespace: run this command inside its container", pid)
	case h.records && !proves(file, h.PID),
		!h.records && pid == os.Getpid(): // we have it open, too
		return nil, stale(pid)
	}
	if h.pidfd, err = unix.PidfdOpen(h.PID, 0); err != nil {
		h.pidfd = -1
	}
	if h.Alive() { // and so, what pidfd refers to is the holder
		return h, nil
	}
	unix.Close(h.pidfd)
	if h.records {
		return nil, fmt.Errorf("process %d has just ended", h.PID)
	}
	return nil, stale(pid)
}

func stale(pid int) error {
	return fmt.Errorf("it is stale: process %d does not hold it, so initd is not running", pid)
}

// read reads the pid in a file.
func read(file *os.File) (int, error) {
	buffer := make([]byte, 32)
	n, err := file.ReadAt(buffer, 0)
	text := strings.TrimSpace(string(buffer[:n]))
	switch {
	case err != nil && err != io.EOF:
		return 0, err
	case text == "":
		return 0, errors.New("it is empty: initd is not running, or is still starting")
	}
	line, _, _ := strings.Cut(text, "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%q is not a pid", line)
	}
	return pid, nil
}

// Alive reports whether the process still holds the file.
func (h *Holder) Alive() bool {
	// A zombie has no files any more, but another user cannot see that.
	poll := []unix.PollFd{{Fd: int32(h.pidfd), Events: unix.POLLIN}} // readable once it has ended
	if n, err := unix.Poll(poll, 0); n > 0 && err == nil {
		return false
	}
	if !h.records {
		return holds(h.PID, h.file)
	}
	_, locked, _ := numbers.get(h.file)
	lock, known, _ := process.get(h.file)
	return locked && (!known || int(lock.Pid) == h.PID) // and not one that has taken it over
}

// Attempts returns what was given to Publish. Ok is false if it is not known: the file
// system has no record locks, or the process is start_server.
func (h *Holder) Attempts() (attempt, unrepeated int, ok bool) {
	attempt, ok = attempts.number(h.file)
	unrepeated, _ = givenUp.number(h.file)
	return attempt, unrepeated, ok
}

// proves reports whether a lock for writing is that of an instance: by its rights to the
// file, or because the process is one of its owner.
func proves(file *os.File, pid int) bool {
	stat, err := status(file)
	return err == nil && (stat.Mode&0o022 == 0 || belongs(pid, stat))
}

// belongs reports whether a process is root's, or that of a file's owner; proc_pid(5).
func belongs(pid int, file unix.Stat_t) bool {
	var stat unix.Stat_t
	return unix.Stat(fmt.Sprintf("/proc/%d", pid), &stat) == nil && (stat.Uid == 0 || stat.Uid == file.Uid)
}

// ownProc reports whether /proc belongs to this pid namespace.
func ownProc() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == strconv.Itoa(os.Getpid())
}

// holds reports whether a process of the file's owner, or root, has the file open, as
// one has that locks it. It is for start_server, which has no record lock.
func holds(pid int, file *os.File) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	if stat, err := status(file); err != nil || !belongs(pid, stat) {
		return false
	}
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrPermission) {
		return true // another user's process: it exists, and no more can be known
	}
	for _, e := range entries {
		if theirs, err := os.Stat(dir + e.Name()); err == nil && os.SameFile(ours, theirs) {
			return true
		}
	}
	return false
}

// Signal sends a signal to the process, and never to one that has got its pid since.
func (h *Holder) Signal(s syscall.Signal) error {
	err := unix.PidfdSendSignal(h.pidfd, s, nil, 0)
	if h.pidfd < 0 {
		err = syscall.Kill(h.PID, s)
	}
	if err != nil {
		return fmt.Errorf("kill %d: %w", h.PID, err)
	}
	return nil
}

// Close releases the descriptors.
func (h *Holder) Close() {
	unix.Close(h.pidfd)
	h.file.Close()
}
