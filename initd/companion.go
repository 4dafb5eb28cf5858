package initd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/socket"
)

// companionName is the program that serves HTTP, which PID 1 does not.
const companionName = "initctl"

// openHTTP binds the socket of the HTTP endpoint, as those of the workers are
// bound, and finds the program that is to serve on it.
func (in *instance) openHTTP(specs []socket.Spec) (err error) {
	if len(specs) == 0 {
		return nil
	}
	if in.companionPath, err = findCompanion(in.base); err != nil {
		return settingError("http", err)
	}
	in.httpSet, err = socket.Open(specs, socket.Options{UID: -1, GID: -1})
	return err
}

// sayHTTP logs where HTTP is served.
func (in *instance) sayHTTP() {
	if in.httpSet != nil {
		l := in.httpSet.All()[0]
		in.log.Info("health and metrics at http://"+l.Address, "event", "http", "address", l.Address)
	}
}

// findCompanion looks beside initd's own binary, and else in PATH.
func findCompanion(env environ) (string, error) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), companionName)
	for _, path := range append([]string{beside}, launch.Candidates([]string{companionName}, env)...) {
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s, which serves it, is neither at %s nor in PATH: copy it there, as initd was copied", companionName, beside)
}

// companion is the program that serves HTTP. It has the rights of a worker and
// no more, the listener, and a connection on which it may look and not touch.
// Joined has to be called when the start is over.
func (in *instance) companion() (c *launch.Command, joined func(), err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(pair[0]), "companion")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		unix.Close(pair[1])
		return nil, nil, err
	}
	if in.lookout != nil {
		in.lookout.Close() // what a companion has left behind may hold the other end for ever
	}
	in.lookout = conn
	go in.server.Serve(conn)
	c = in.surroundings(environ{"SERVER_STARTER_HTTP_FD=3", "SERVER_STARTER_CONTROL_FD=4"})
	for _, name := range []string{"PATH", "TZ", "NO_COLOR"} {
		if in.base.has(name) {
			c.Environ = append(c.Environ, name+"="+in.base.value(name))
		}
	}
	c.Argv, c.Dir, c.NoNewPrivs = []string{in.companionPath, "serve"}, "/", true
	c.Files = []uintptr{0, in.logs.stderr, in.logs.stderr, uintptr(in.httpSet.All()[0].FD), uintptr(pair[1])}
	return c, func() { unix.Close(pair[1]) }, nil
}

// The loop's side.

// startCompanion starts the program beside the workers that serves HTTP.
func (l *loop) startCompanion() {
	c, joined, err := l.companion()
	if err == nil {
		defer joined()
		var result <-chan error
		if l.beside, result, err = l.launch(c, map[int]*process{}, 0, 0); err == nil {
			l.log.Info("companion started: "+c.Argv[0], "event", "companion", "pid", l.beside.pid)
			l.await(l.beside, result)
			return
		}
	}
	l.log.Warn("cannot start the companion: "+err.Error(), "event", "companion")
	l.then(machine.CompanionEnded{})
}

func (l *loop) companionReaped(status machine.Status) {
	p := l.beside
	l.settle(p)
	l.beside = nil
	text := "companion ended"
	if p.failure != nil {
		text = "companion not started: " + p.failure.Error()
	}
	level := slog.LevelWarn
	if l.ending {
		level = slog.LevelInfo
	}
	l.log.Log(context.Background(), level, text, append([]any{"event", "companion", "pid", p.pid,
		"duration", l.now().Sub(p.started)}, statusAttr(status)...)...)
	l.then(machine.CompanionEnded{})
}
