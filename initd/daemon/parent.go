package daemon

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// Null is a descriptor of /dev/null for reading and writing, in an initd that
// goes to the background: its stdin.
const Null = 0

// Parent is who waits for initd to go to the background. A nil Parent is none:
// initd stays where it is, and the methods do nothing.
type Parent struct {
	pipe int // descriptor; -1: the parent has been released
	log  int // descriptor of stderr's place once it is released; -1: none
}

// Inherited returns the parent that waits, nil if there is none. It is to be
// called once, before the environment is read by others.
func Inherited() *Parent {
	value, ok := os.LookupEnv(Variable)
	if !ok {
		return nil
	}
	os.Unsetenv(Variable)
	fd, err := strconv.Atoi(value)
	var stat unix.Stat_t
	if err != nil || unix.Fstat(fd, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil // somebody else's variable
	}
	if session, err := unix.Getsid(0); err != nil || session != os.Getpid() {
		return nil
	}
	// It was executed as /proc/self/exe, and pidof(8) is to find it by its name;
	// proc_pid_comm(5).
	os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	// What a service manager has handed down was for the parent, and is for the
	// one that takes its place; sd_listen_fds(3).
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getppid()) {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	return &Parent{pipe: fd, log: -1}
}

// SetLog names a file that has stderr's place once the parent is released: for
// what the Go runtime writes if it ends the program. Without one that is lost. It opens
// the file, which later may hang.
func (p *Parent) SetLog(path string) {
	if p == nil || path == "" {
		return
	}
	if file, err := ownfile.Append(path); err == nil {
		p.log, _ = unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		file.Close()
	}
}

// Ready releases the parent: the first generation is ready. Further calls of it
// and of Failed do nothing.
func (p *Parent) Ready() { p.release(ready) }

// Failed releases the parent with the reason why the first attempt has failed,
// although initd goes on trying.
func (p *Parent) Failed(reason string) { p.release(failed + reason) }

// Released reports whether initd is in the background for good.
func (p *Parent) Released() bool { return p != nil && p.pipe < 0 }

// release lets the parent go, and with it what initd has of its terminal.
func (p *Parent) release(message string) {
	if p == nil || p.Released() {
		return
	}
	syscall.Write(p.pipe, []byte(strings.TrimSpace(message)))
	unix.Close(p.pipe)
	p.pipe = -1
	unix.Dup3(Null, 1, 0)
	unix.Dup3(Null, 2, 0)
	if p.log >= 0 {
		unix.Dup3(p.log, 2, 0)
		unix.Close(p.log)
		p.log = -1
	}
}
