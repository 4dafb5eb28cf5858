package initd

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/control"
	"server-starter/initd/machine"
	"server-starter/initd/proc"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
)

// clientGrace is what clients get to take what they are told last.
const clientGrace = time.Second

// openControl makes the control socket: the one that was asked for, or else, for
// PID 1, the first that can be made where initctl looks.
//
// It is made as those of workers are: nobody can connect before its mode is right,
// and one that is in use is left alone.
func (in *instance) openControl(specs []socket.Spec) (err error) {
	options := socket.Options{Mode: 0o600, UID: -1, GID: -1}
	switch {
	case len(specs) > 0:
		in.controlSet, err = socket.Open(specs, options)
		return err
	case in.settings.ControlSocket == settings.NoControlSocket, os.Getpid() != 1, in.plain:
		return nil
	}
	var errs []error
	for _, path := range control.Places {
		spec, _ := socket.ParseControl(path)
		if in.controlSet, err = socket.Open([]socket.Spec{spec}, options); err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	in.settings.Notes = append(in.settings.Notes, fmt.Sprintf("there is no control socket: %v", errors.Join(errs...)))
	return nil
}

// listenControl lets clients in.
func (in *instance) listenControl() {
	if in.controlSet == nil {
		return
	}
	l := in.controlSet.All()[0]
	fd, err := unix.FcntlInt(uintptr(l.FD), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		in.log.Error(os.NewSyscallError("dup", err).Error(), "event", "control")
		return
	}
	file := os.NewFile(uintptr(fd), l.Address)
	listener, err := net.FileListener(file)
	file.Close()
	if err != nil {
		in.log.Error("control socket: "+err.Error(), "event", "control")
		return
	}
	in.log.Info("control socket at "+l.Address, "event", "control", "address", l.Address)
	go func() {
		defer in.breaks()
		in.server.Accept(listener)
	}()
}

// steered reports whether there is a way to ask initd something.
func (in *instance) steered() bool { return in.controlSet != nil || in.httpSet != nil }

// facts adds to a status what is not the loop's.
func (in *instance) facts(s *control.Status) {
	s.Version, s.PID, s.Command, s.Started = settings.Version, os.Getpid(), in.settings.Command, in.started
	s.Counters.Control = in.server.Answered()
	s.Counters.Relistened = in.relistened
	s.Counters.LinesDropped = in.lines.lost.Load()
	waiting := in.sockets.Waiting()
	for _, l := range in.sockets.All() {
		d := control.Listener{Key: l.Key, Network: l.Network, Address: l.Address, FD: l.Number}
		if i := slices.IndexFunc(waiting, func(q socket.Queue) bool { return q.Key == l.Key && q.Network == l.Network }); i >= 0 {
			d.Queue, d.Backlog = waiting[i].Length, waiting[i].Backlog
		}
		s.Listeners = append(s.Listeners, d)
	}
}

// scale measures the memory of processes, of all together once a second at most.
type scale struct {
	proc     proc.Reader
	measured time.Time
	resident map[int]int64
}

// complete adds to a status what /proc tells, and what workers have said. It is
// called by one goroutine at a time, beside the loop. A pid that is another
// process's by now costs a wrong figure and no more.
func (in *instance) complete(s *control.Status) {
	m := &in.scale
	if s.Time.Sub(m.measured) >= time.Second {
		m.measured, m.resident = s.Time, map[int]int64{}
	}
	resident := func(pid int) int64 {
		if _, known := m.resident[pid]; !known {
			m.resident[pid], _ = m.proc.Resident(pid)
		}
		return m.resident[pid]
	}
	s.Memory = resident(os.Getpid())
	for _, g := range s.Generations {
		for i := range g.Workers {
			g.Workers[i].Memory = resident(g.Workers[i].PID)
		}
	}
	for i := range s.Swaps {
		if lines := s.Swaps[i].Lines; lines != nil {
			s.Swaps[i].Stderr = lines()
		}
	}
}

// inForce are the settings, with their sources.
func (in *instance) inForce() (all []control.Setting) {
	for _, r := range in.settings.InForce() {
		all = append(all, control.Setting(r))
	}
	return all
}

// The loop's side. Clients whose requests the machine has not answered yet are
// known to it by numbers.

// called takes up a request of a client. What is to be decided is the machine's
// affair, and is answered in the same turn.
func (l *loop) called(c control.Call) {
	switch c.Request.Request {
	case control.AskHealth:
		h := l.health(l.machine.Outline())
		c.Answer(control.Answer{Health: &h})
	case control.AskStatus:
		c.Answer(control.Answer{Status: l.status()})
	case control.AskSettings:
		c.Answer(control.Answer{Settings: l.inForce()})
	case control.AskEnvironment:
		l.tellEnvironment(c)
	case control.AskAwait:
		switch last := l.machine.Outline().Ticket; {
		case c.Ticket > last:
			c.Refuse(control.NotFound, fmt.Sprintf("no swap with ticket %d has been asked for; the last is %d", c.Ticket, last))
		case !l.history.remembers(c.Ticket):
			c.Refuse(control.NotFound, fmt.Sprintf("ticket %d was over long ago, and its outcome is no longer kept", c.Ticket))
		default:
			c.Answer(control.Answer{Ticket: c.Ticket})
		}
	default:
		l.decide(c)
	}
}

// decide hands a request to the machine.
func (l *loop) decide(c control.Call) {
	var signal machine.Signal
	if c.Signal != "" {
		n, err := settings.ParseSignal(c.Signal)
		if err != nil {
			c.Refuse(control.BadRequest, fmt.Sprintf("signal %q: %v; expected TERM, SIGTERM or 15", c.Signal, err))
			return
		}
		signal = machine.Signal(n)
	}
	if c.Workers > settings.MostWorkers {
		c.Refuse(control.BadRequest, fmt.Sprintf("workers may be %d at most", settings.MostWorkers))
		return
	}
	l.client++
	l.asking[l.client] = c
	switch c.Request.Request {
	case control.AskSwap:
		l.then(machine.SwapAsked{Client: l.client})
	case control.AskStop:
		l.then(machine.StopAsked{Client: l.client, Signal: cmp.Or(signal, machine.TERM)})
	case control.AskScale:
		l.then(machine.ScaleAsked{Client: l.client, Workers: c.Workers})
	case control.AskSignal:
		slot := -1
		if c.Slot != nil {
			slot = *c.Slot
		}
		l.then(machine.SignalAsked{Client: l.client, Signal: signal, Generation: c.Generation, Slot: slot})
	}
	l.log.Info("a client asks for "+c.Request.Request, "event", "control", "request", c.Request.Request)
}

// reply hands the machine's answer to the client.
func (l *loop) reply(a machine.Answer) {
	c, ok := l.asking[a.Client]
	if !ok {
		return
	}
	delete(l.asking, a.Client)
	if a.Refusal != "" {
		l.log.Info("that is refused: "+a.Refusal, "event", "control", "request", c.Request.Request)
	}
	switch {
	case a.Missing:
		c.Refuse(control.NotFound, a.Refusal)
	case a.Refusal != "":
		c.Refuse(control.NotPossible, a.Refusal)
	case c.Request.Request == control.AskSwap:
		c.Answer(control.Answer{Ticket: a.Ticket})
	case c.Request.Request == control.AskStop:
		c.Answer(control.Answer{})
	default:
		c.Answer(control.Answer{Workers: &a.Workers})
	}
}

func (l *loop) tellEnvironment(c control.Call) {
	generation := c.Generation
	if generation == 0 {
		generation = l.machine.Outline().Serving
	}
	env, ok := l.environs[generation]
	switch {
	case !ok:
		c.Refuse(control.NotFound, fmt.Sprintf("the environment of generation %d is not known: there is no such generation, or it starts no worker any more", generation))
		return
	case c.Values && !c.Root:
		c.Refuse(control.Forbidden, "values are for root alone")
		return
	}
	told := control.Environment{Generation: generation, Variables: []control.Variable{}}
	for _, name := range env.names() {
		v := control.Variable{Name: name}
		if c.Values {
			value := env.value(name)
			v.Value = &value
		}
		told.Variables = append(told.Variables, v)
	}
	c.Answer(control.Answer{Environment: &told})
}

// outcomeOf is what clients are told of an outcome.
func outcomeOf(o machine.Outcome) control.Outcome {
	return control.Outcome{Ticket: o.Ticket, Outcome: word(o.Result), Final: o.Result.Final(),
		Generation: o.Generation, Reason: o.Reason, By: o.By, Next: o.Next.Seconds()}
}
