package doctor

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"server-starter/initd/settings"
)

// A plan is what differs in a trial from what the user has set.
type plan struct {
	export []string       // the protocols; none: as set
	signal syscall.Signal // what stops a worker; 0: as set
	moved  bool           // no listener is at its address, and there is no swap
}

func (p plan) apply(s settings.Settings) settings.Settings {
	s = limited(s)
	if p.export != nil {
		s.Export = p.export
	}
	if p.signal != 0 {
		s.SignalOnHUP, s.SignalOnTERM = settings.Signal(p.signal), settings.Signal(p.signal)
		// Most that are tried mean nothing to the program.
		s.DrainTimeout, s.StopTimeout = min(s.DrainTimeout, settings.Duration(tryTime)), min(s.StopTimeout, settings.Duration(tryTime))
	}
	return s
}

// A record is what was seen of a program from its start to its end.
type record struct {
	plan
	*examined
	first, second worker // of the two generations

	probed  string       // the listener that the probe asks, which all workers have
	up      bool         // it was ready
	lived   bool         // and was still there when that had been looked at
	accepts bool         // on each listener that can be judged
	own     []openSocket // where it listens by itself
	alone   int          // bytes in memory
	both    int          // bytes in memory, of two generations at once
	limit   int          // of the container, in bytes; 0 is none
	before  tally        // requests before the swap
	held    bool         // some of those during the swap were sent by half and held
	during  tally        // requests during the swap
	left    []process    // that have outlived their generation
	orphans []process    // that the first has left, and initd has ended
	servers []process    // of these, those that had a listener
	swapped bool         // the second generation was ready, and the first has ended
	stopped bool         // initd has ended after it was stopped
}

const (
	acceptTime = 10 * time.Second // how long after it counts as ready a program may take to accept
	readyTime  = 3 * time.Second  // the same, of one that has sent READY=1
	ownTime    = time.Second      // the same, of one that listens at the same port by itself
	tryTime    = 3 * time.Second  // how long it may take to end at a signal that is only tried
	calmTime   = 300 * time.Millisecond
	holdTime   = 100 * time.Millisecond // how long requests are half sent before the swap, and after the stop
)

// trial has the program start, swap and stop once.
func (x *Examination) trial(plan plan) (*record, error) {
	s, isElsewhere := plan.apply(*x.Settings), x.place.isElsewhere
	if plan.moved {
		isElsewhere = everywhere
	}
	if slices.ContainsFunc(x.Listeners, isElsewhere) {
		s.Probe = nil // it would ask the real program
	}
	e, err := x.start(s, isElsewhere)
	if err != nil {
		return nil, err
	}
	r := &record{plan: plan, examined: e, probed: x.Settings.ProbedListener()}
	err = r.observe()
	limit := 2*time.Duration(s.StopTimeout) + time.Second // the orphans' time comes after the workers'
	if errors.As(err, new(interrupted)) {
		limit = time.Second
	}
	r.end(limit)
	r.first, r.second = *r.worker(1), *r.worker(2)
	return r, err
}

// wait is await for what may not happen; to be late is no error.
func (r *record) wait(limit time.Duration, done func() bool) error {
	if err := r.await(limit, done); err != errLate {
		return err
	}
	return nil
}

// observe takes the record, as far as the program gets.
func (r *record) observe() error {
	first := r.worker(1)
	if err := r.wait(time.Duration(r.settings.HookTimeout+r.settings.StartTimeout)+grace, func() bool {
		for _, t := range r.targets {
			t.takeAnswer()
		}
		return first.ready > 0 || r.ended()
	}); err != nil {
		return err
	}
	r.up = first.ready > 0
	if !r.up {
		return nil
	}
	if err := r.look(); err != nil || !r.lived || !r.accepts || r.moved {
		return err
	}
	return r.serve()
}

// look finds out whether the program accepts, and what it answers to.
func (r *record) look() error {
	dead := func() bool { return r.worker(1).ended > 0 || r.ended() }
	instead := func(s openSocket) bool {
		return slices.ContainsFunc(r.targets, func(t *target) bool { return s.isAt(t) })
	}
	ready, limit := r.now(), acceptTime
	if r.worker(1).notified > 0 {
		limit = readyTime
	}
	if err := r.wait(limit, func() bool {
		r.lookAtSockets()
		return dead() || r.accepts || slices.ContainsFunc(r.own, instead) && r.now()-ready > ownTime
	}); err != nil {
		return err
	}
	unanswered := func(t *target) bool {
		t.takeAnswer()
		return t.accepted && t.answered == 0
	}
	if err := r.wait(answerTime, func() bool {
		return dead() || !slices.ContainsFunc(r.targets, unanswered)
	}); err != nil {
		return err
	}
	if err := r.meanwhile(func() {
		var all sync.WaitGroup
		for _, t := range r.targets {
			if t.answered > 0 {
				all.Go(t.classify)
			}
		}
		all.Wait()
	}); err != nil {
		return err
	}
	r.lookAtSockets() // once more: it may have opened another port after it was ready
	for _, t := range r.targets {
		t.hangUp() // or the program would wait for it
	}
	r.lived = !dead()
	return nil
}

// lookAtSockets finds out who has accepted, and where the program listens by
// itself.
func (r *record) lookAtSockets() {
	initd := inodes([]process{{pid: r.pid}})
	program := inodes(family(r.worker(1).pid))
	r.own = nil
	for _, s := range openSockets() {
		switch {
		case initd[s.inode]:
			for _, t := range r.targets {
				if t.network == s.network && t.address == s.address && t.early != nil && s.queue == 0 {
					t.accepted = true
				}
			}
		case program[s.inode] && (s.network == "tcp" || slices.ContainsFunc(r.targets, func(t *target) bool { return s.isAt(t) })):
			r.own = append(r.own, s)
		}
	}
	r.accepts = true
	for _, t := range r.targets {
		t.takeAnswer()
		r.accepts = r.accepts && (t.accepted || t.network == "udp")
	}
}

// isAt reports whether a socket is at the port, or the path, of a listener.
func (s openSocket) isAt(t *target) bool {
	if s.network == "unix" || t.network == "unix" {
		return s.address == t.key
	}
	return s.network == t.network && port(s.address) == port(t.key)
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
