package initd

import (
	"cmp"
	"fmt"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// clients are the requests that the machine has not answered yet. It knows them
// by number.
type clients struct {
	asking map[int]control.Call
	last   int // number

	refusals []error // errors of the signals that were sent for the current event
}

// called takes a request of a client. It is answered in the same turn.
func (l *loop) called(c control.Call) {
	switch c.Request.Request {
	case control.AskHealth:
		h := l.health(l.machine.Outline())
		c.Answer(control.Answer{Health: &h})
	case control.AskStatus:
		c.Answer(control.Answer{Status: l.status()})
	case control.AskSettings:
		c.Answer(control.Answer{Settings: l.settingsInForce()})
	case control.AskEnvironment:
		l.answerEnvironment(c)
	case control.AskAwait:
		switch last := l.machine.Outline().Ticket; {
		case c.Ticket > last:
			c.Refuse(control.NotFound, fmt.Sprintf("there is no swap with ticket %d; the latest ticket is %d", c.Ticket, last))
		case !l.history.remembers(c.Ticket):
			c.Refuse(control.NotFound, fmt.Sprintf("the outcome of ticket %d is no longer kept", c.Ticket))
		default:
			c.Answer(control.Answer{Ticket: c.Ticket})
		}
	default:
		l.askMachine(c)
	}
}

// askMachine passes a request on to the machine, which decides about it.
func (l *loop) askMachine(c control.Call) {
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
		c.Refuse(control.BadRequest, fmt.Sprintf("workers must be at most %d", settings.MostWorkers))
		return
	}
	l.clients.last++
	client := l.clients.last
	l.clients.asking[client] = c
	switch c.Request.Request {
	case control.AskSwap:
		l.then(machine.SwapAsked{Client: client})
	case control.AskStop:
		l.then(machine.StopAsked{Client: client, Signal: cmp.Or(signal, machine.TERM)})
	case control.AskScale:
		l.then(machine.ScaleAsked{Client: client, Workers: c.Workers})
	case control.AskSignal:
		slot := -1
		if c.Slot != nil {
			slot = *c.Slot
		}
		l.then(machine.SignalAsked{Client: client, Signal: signal, Generation: c.Generation, Slot: slot})
	}
	l.log.Info(eventlog.Control, "client request: "+c.Request.Request, "request", c.Request.Request)
}

// answer passes the machine's answer on to the client.
func (l *loop) answer(a machine.Answer) {
	c, ok := l.clients.asking[a.Client]
	if !ok {
		return
	}
	delete(l.clients.asking, a.Client)
	if a.Refusal != "" {
		l.log.Info(eventlog.Control, "client request refused: "+a.Refusal, "request", c.Request.Request)
	}
	refusals := l.clients.refusals
	if c.Request.Request == control.AskSignal {
		a.Workers -= len(refusals)
	}
	switch {
	case len(refusals) > 0 && a.Workers == 0:
		c.Refuse(control.NotPossible, "kill: "+explainRefusal(refusals[0]).Error())
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

// answerEnvironment answers with the environment of a generation.
func (l *loop) answerEnvironment(c control.Call) {
	generation := c.Generation
	if generation == 0 {
		generation = l.machine.Outline().Serving
	}
	env, ok := l.environments[generation]
	switch {
	case !ok:
		c.Refuse(control.NotFound, fmt.Sprintf("the environment of generation %d is not available: there is no such generation, or it no longer starts workers", generation))
		return
	case c.Values && !c.Root:
		c.Refuse(control.Forbidden, "only root may see values, in initd's own container")
		return
	}
	answer := control.Environment{Generation: generation, Variables: []control.Variable{}}
	for _, name := range env.names() {
		v := control.Variable{Name: name}
		if c.Values {
			value := env.value(name)
			v.Value = &value
		}
		answer.Variables = append(answer.Variables, v)
	}
	c.Answer(control.Answer{Environment: &answer})
}

// settingsInForce are the settings, with their sources.
func (l *loop) settingsInForce() (all []control.Setting) {
	for _, v := range l.settings.InForce() {
		all = append(all, control.Setting(v))
	}
	return all
}

// outcomeOf is an outcome in the terms of the control protocol.
func outcomeOf(o machine.Outcome) control.Outcome {
	return control.Outcome{Ticket: o.Ticket, Outcome: word(o.Result), Final: o.Result.Final(),
		Generation: o.Generation, Reason: o.Reason, By: o.By, Next: o.Next.Seconds()}
}
