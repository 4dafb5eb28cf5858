package machine

import (
	"fmt"
	"slices"
	"strings"
)

// refusal stands for any.
const refusal = "refused"

func (j *judge) noteCommand(event Event) {
	a := Answer{}
	plain := j.policy.Respawn == Never
	switch e := event.(type) {
	case SwapAsked:
		a.Client = e.Client
		switch {
		case plain, j.phase != operating:
			a.Refusal = refusal
		default:
			j.request(OnControl)
			a.Ticket = j.waiting.number
		}
	case StopAsked:
		a.Client = e.Client
		switch {
		case !slices.Contains([]Signal{TERM, INT, QUIT}, e.Signal):
			a.Refusal = refusal
		case plain && j.phase == operating:
			j.forwardPlain(e.Signal)
		default:
			j.mark(fmt.Sprintf("stop asked in phase %d", j.phase))
			j.noteStop(e.Signal)
		}
	case ScaleAsked:
		a.Client = e.Client
		if plain || j.phase != operating || e.Workers < 1 || j.policy.MaxWorkers > 0 && e.Workers > j.policy.MaxWorkers {
			a.Refusal = refusal
			break
		}
		a.Workers = e.Workers
		j.noteScale(e.Workers)
	case SignalAsked:
		a.Client = e.Client
		if e.Signal < 1 || e.Signal > 64 || slices.Contains([]Signal{KILL, STOP, CHLD}, e.Signal) {
			a.Refusal = refusal
			break
		}
		a.Workers = j.forwardTo(e.Signal, func(u *seenWorker) bool {
			is := (e.Generation == 0 || u.generation.number == e.Generation) && (e.Slot == -1 || u.slot == e.Slot)
			u.signalled = u.signalled || is && slices.Contains([]Signal{TERM, INT, QUIT, j.policy.SignalOnHup, j.policy.SignalOnTerm}, e.Signal)
			return is
		})
		switch named := e.Generation != 0 || e.Slot != -1; {
		case a.Workers == 0 && named:
			a.Refusal, a.Missing = refusal, true
			j.mark("a signal to what is missing")
		case named:
			j.mark("a signal to some")
		default:
			j.mark(map[bool]string{true: "a signal to nobody", false: "a signal to all"}[a.Workers == 0])
		}
	default: // it is no command
		return
	}
	name, _, _ := strings.Cut(event.String(), " ")
	j.mark(name + map[bool]string{true: " granted", false: " refused"}[a.Refusal == ""])
	j.answers = append(j.answers, a)
}

// noteScale gives the pool a base size, as by so many signals.
func (j *judge) noteScale(workers int) {
	if workers == j.base {
		j.mark("scaled to what it is")
		return
	}
	more := 1
	if workers < j.base {
		more = -1
	}
	j.mark(map[int]string{+1: "scaled up", -1: "scaled down"}[more])
	for j.base != workers && j.changeBase(more) {
	}
	j.resizes = append(j.resizes, j.size)
}

func (j *judge) judgeAnswer(a Answer) {
	known := a
	if known.Refusal != "" {
		known.Refusal = refusal
	}
	if len(j.answers) == 0 || j.answers[0] != known {
		broken("I36", "%v, and what is due is %v", a, j.answers)
	}
	j.answers = j.answers[1:]
}
