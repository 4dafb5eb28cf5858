package initd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
)

// clientGrace is how long clients have to read the last answers and events.
const clientGrace = time.Second

// api is the control socket and its server, by which clients reach initd.
type api struct {
	server        *control.Server
	controlSocket *socket.Set // the control socket; nil: none
	local         bool        // it is at a place that nobody named, such as /dev/shm, which containers may share
}

// openControl makes the control socket: the one that was asked for, or else, for
// PID 1, the first that can be made where initctl looks.
//
// It is made as those of workers are: nobody can connect before its mode is right,
// and one that is in use is left alone.
func (up *setup) openControl() (err error) {
	options := socket.Options{Mode: 0o600, UID: -1, GID: -1, Alone: true, Start: up.inbox.start}
	switch {
	case len(up.where.Control) > 0:
		up.controlSocket, err = socket.Open(up.where.Control, options)
		return err
	case up.settings.ControlSocket == settings.NoControlSocket, os.Getpid() != 1, up.programs.plain():
		return nil
	}
	var errs []error
	for _, path := range control.Places {
		spec, _ := socket.ParseControl(path)
		if up.controlSocket, err = socket.Open([]socket.Spec{spec}, options); err == nil {
			up.local = true
			return nil
		}
		errs = append(errs, err)
	}
	up.notes = append(up.notes, fmt.Sprintf("there is no control socket, so initctl and its health checks fail: %s; "+
		"give this container its own volume at /run, or set SERVER_STARTER_CONTROL_SOCKET to a path of its own",
		strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "; ")))
	return nil
}

// startControl starts to accept clients at the control socket.
func (in *instance) startControl() {
	if in.controlSocket == nil {
		return
	}
	l := in.controlSocket.All()[0]
	listener, err := control.Listen(l.FD)
	if err != nil {
		in.log.Error(eventlog.Control, err.Error())
		return
	}
	in.log.Info(eventlog.Control, "control socket at "+l.Address, "address", l.Address)
	in.inbox.start(func() { in.api.server.Accept(listener, in.local) })
}

// isReachable reports whether there is a way to ask initd something.
func (in *instance) isReachable() bool { return in.controlSocket != nil || in.http.sockets != nil }
