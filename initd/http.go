package initd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/socket"
)

// httpProgram is the program that serves HTTP, which PID 1 does not do itself.
const httpProgram = "initctl"

// endpoint is where HTTP is served.
type endpoint struct {
	sockets  *socket.Set // nil: nowhere
	listener socket.Listener
	path     string   // of the program
	conn     net.Conn // initd's end of the connection that the process asks on; nil: none was started
	connect  func() (net.Conn, int, error)
}

// openEndpoint binds the socket of the HTTP endpoint, as those of the workers are
// bound, and finds the program that is to serve on it.
func openEndpoint(ctx context.Context, specs []socket.Spec, env environ) (e endpoint, err error) {
	if len(specs) == 0 {
		return e, nil
	}
	if e.path, err = findHTTPProgram(env); err != nil {
		return e, settingError("http", err)
	}
	e.connect = connection
	if e.sockets, err = socket.Open(specs, socket.Options{UID: -1, GID: -1, Context: ctx}); err == nil {
		e.listener = e.sockets.All()[0]
	}
	return e, err
}

// findHTTPProgram looks beside initd's own binary, and else in PATH.
func findHTTPProgram(env environ) (string, error) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), httpProgram)
	var denied error // of the first that is there
	for _, path := range append([]string{beside}, launch.Candidates([]string{httpProgram}, env)...) {
		err := launch.Executable(path)
		if err == nil {
			return path, nil
		}
		if denied == nil && unix.Access(path, unix.F_OK) == nil {
			denied = err
		}
	}
	if denied != nil {
		return "", fmt.Errorf("%s, which serves it, cannot be executed: %w", httpProgram, denied)
	}
	return "", fmt.Errorf("%s, which serves it, is neither at %s nor in PATH: copy it there, as initd was copied", httpProgram, beside)
}

// httpProcess is the role of the process that serves HTTP.
type httpProcess struct {
	conn int // the process's end of the connection; -1: it is closed here
}

func (h *httpProcess) command(l *loop, c *child) (*launch.Command, error) {
	h.conn = -1
	if l.http.conn != nil {
		l.http.conn.Close() // a descendant of the last process may hold the other end for ever
	}
	conn, other, err := l.http.connect()
	if err != nil {
		return nil, err
	}
	h.conn, l.http.conn = other, conn
	l.inbox.start(func() {
		if l.server.Serve(conn) {
			l.inbox.post(silent{c})
		}
	})
	return l.programs.http(l.http.path, l.http.listener.FD, other), nil
}

// connection returns a pair of connected sockets, one of them a descriptor.
func connection() (net.Conn, int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(pair[0]), "HTTP process")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		unix.Close(pair[1])
		return nil, -1, err
	}
	return conn, pair[1], nil
}

// handOver closes initd's copy of the end that is the HTTP process's alone.
func (h *httpProcess) handOver() {
	if h.conn >= 0 {
		unix.Close(h.conn)
		h.conn = -1
	}
}

func (h *httpProcess) begun(l *loop, c *child) {
	h.handOver()
	l.log.Info(eventlog.HTTPProcess, "HTTP process started: "+l.http.path, "pid", c.pid)
}

func (h *httpProcess) unstarted(l *loop, err error) {
	h.handOver()
	l.log.Warn(eventlog.HTTPProcess, "cannot start the HTTP process: "+err.Error())
	l.then(machine.HTTPEnded{})
}

func (h *httpProcess) executed(*loop, *child) {}

func (h *httpProcess) ended(l *loop, c *child, status machine.Status) {
	text := "HTTP process ended"
	if c.failure != nil {
		text = "HTTP process not started: " + c.failure.Error()
	}
	level := slog.LevelWarn
	if l.orphans.asked != nil {
		level = slog.LevelInfo
	}
	l.logEnd(level, eventlog.HTTPProcess, text, c, status)
	l.relistenHTTP()
	l.then(machine.HTTPEnded{})
}

// killHTTP kills an HTTP process that serves nothing any more, which is then started
// again.
func (l *loop) killHTTP(c *child, reason string) {
	if l.children[c.pid] == c {
		l.log.Warn(eventlog.HTTPProcess, "killing the HTTP process: "+reason, "pid", c.pid)
		l.signal(c.pid, syscall.SIGKILL)
	}
}

// stopHTTP asks the HTTP process to end.
func (l *loop) stopHTTP() {
	for pid, c := range l.children {
		if _, is := c.role.(*httpProcess); is {
			l.signal(pid, syscall.SIGTERM)
		}
	}
}
