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

// A plan is what of the settings is tried otherwise.
type plan struct {
	export []string       // the tongues; none: as set
	signal syscall.Signal // what stops a worker; 0: as set
	moved  bool           // no listener is at its address, and the swap is left out
}

func (p plan) of(s settings.Settings) settings.Settings {
	s = bounded(s)
	if p.export != nil {
		s.Export = p.export
	}
	if p.signal != 0 {
		s.SignalOnHUP, s.SignalOnTERM = settings.Signal(p.signal), settings.Signal(p.signal)
		// Most that are tried mean nothing to it.
		s.DrainTimeout, s.StopTimeout = min(s.DrainTimeout, settings.Duration(tryTime)), min(s.StopTimeout, settings.Duration(tryTime))
	}
	return s
}

// A record is what was seen of a program from its start to its end.
type record struct {
	plan
	*patient
	first, second life // of the two generations

	up      bool      // it was ready
	lived   bool      // and was still there when that had been looked at
	accepts bool      // on each listener that can be judged
	own     []door    // where it listens by itself
	alone   int       // bytes in memory
	both    int       // bytes in memory, of two generations at once
	before  tally     // requests up to the swap
	held    bool      // some of those during the swap were half sent
	during  tally     // requests during the swap
	left    []process // that have outlived their generation
	swapped bool      // the second generation was ready, and the first has ended
	stopped bool      // initd has ended after it was told to
}

const (
	acceptTime = 10 * time.Second // how long after it counts as ready a program may take to accept
	readyTime  = 3 * time.Second  // and one that has said so itself
	ownTime    = time.Second      // and one that listens at the same port by itself
	tryTime    = 3 * time.Second  // how long it may take to end at a signal that is only tried
	calmTime   = 300 * time.Millisecond
	holdTime   = 100 * time.Millisecond // how long requests are half sent before the swap, and after the stop
)

// trial has the program start, swap and stop once.
func (x *examination) trial(plan plan) (*record, error) {
	s, elsewhere := plan.of(*x.settings), x.place.elsewhere
	if plan.moved {
		elsewhere = everywhere
	}
	if slices.ContainsFunc(x.specs, elsewhere) {
		s.Probe = nil // it would ask the real program
	}
	p, err := admit(s, x.specs, elsewhere)
	if err != nil {
		return nil, err
	}
	r := &record{plan: plan, patient: p}
	err = r.watch()
	patience := 2*time.Duration(s.StopTimeout) + time.Second // the orphans' time comes after the workers'
	if wasInterrupted(err) {
		patience = time.Second
	}
	p.discharge(patience)
	r.first, r.second = *p.life(1), *p.life(2)
	return r, err
}

func wasInterrupted(err error) bool {
	var signal interrupted
	return errors.As(err, &signal)
}

// wait is await for what need not come.
func (r *record) wait(limit time.Duration, done func() bool) error {
	if err := r.await(limit, done); err != errLate {
		return err
	}
	return nil
}

func never() bool { return false }

// watch sees the patient through, as far as it comes.
func (r *record) watch() error {
	first := r.life(1)
	if err := r.wait(time.Duration(r.settings.HookTimeout+r.settings.StartTimeout)+grace, func() bool {
		for _, t := range r.targets {
			t.hear()
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
	dead := func() bool { return r.life(1).ended > 0 || r.ended() }
	instead := func(d door) bool {
		return slices.ContainsFunc(r.targets, func(t *target) bool { return d.is(t) })
	}
	ready, limit := r.now(), acceptTime
	if r.life(1).notified > 0 {
		limit = readyTime
	}
	if err := r.wait(limit, func() bool {
		r.survey()
		return dead() || r.accepts || slices.ContainsFunc(r.own, instead) && r.now()-ready > ownTime
	}); err != nil {
		return err
	}
	unanswered := func(t *target) bool {
		t.hear()
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
				all.Go(t.explore)
			}
		}
		all.Wait()
	}); err != nil {
		return err
	}
	r.survey() // once more: it may have opened another port after it was ready
	for _, t := range r.targets {
		t.leave() // or the program would wait for it
	}
	r.lived = !dead()
	return nil
}

// survey finds out who has accepted, and where the program listens by itself.
func (r *record) survey() {
	ours := inodes([]process{{pid: r.pid}})
	its := inodes(family(r.life(1).pid))
	r.own = nil
	for _, d := range doors() {
		switch {
		case ours[d.inode]:
			for _, t := range r.targets {
				if t.network == d.network && t.address == d.address && t.early != nil && d.queue == 0 {
					t.accepted = true
				}
			}
		case its[d.inode] && (d.network == "tcp" || slices.ContainsFunc(r.targets, func(t *target) bool { return d.is(t) })):
			r.own = append(r.own, d)
		}
	}
	r.accepts = true
	for _, t := range r.targets {
		t.hear()
		r.accepts = r.accepts && (t.accepted || t.network == "udp")
	}
}

// is reports whether a door is at the port, or the path, of a listener.
func (d door) is(t *target) bool {
	if d.network == "unix" || t.network == "unix" {
		return d.address == t.key
	}
	return d.network == t.network && port(d.address) == port(t.key)
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// serve swaps the program under load, and stops it.
func (r *record) serve() error {
	l := startLoad(r.targets)
	err := r.swap(l)
	close(l.over)
	if err == nil {
		err = r.meanwhile(l.clients.Wait)
	}
	r.during = l.take()
	if err != nil || !r.swapped {
		return err
	}
	syscall.Kill(r.pid, syscall.SIGTERM)
	err = r.wait(2*time.Duration(r.settings.StopTimeout)+grace, r.ended)
	r.stopped = r.ended()
	return err
}

// swap replaces the program.
func (r *record) swap(l *load) error {
	first, second := r.life(1), r.life(2)
	if err := r.wait(calmTime, never); err != nil {
		return err
	}
	r.alone = memory(family(first.pid))
	r.before = l.take()
	// What is half sent is the old one's, for nobody else accepts as yet. But it
	// keeps a worker busy that handles one request at a time, and that for as
	// long as the new one takes to start.
	hold := make(chan struct{})
	finish := sync.OnceFunc(func() { close(hold) })
	defer finish()
	if first.ready-first.started < answerTime {
		r.held = l.begin(r.targets, hold)
	}
	if err := r.wait(holdTime, never); err != nil {
		return err
	}
	syscall.Kill(r.pid, syscall.SIGHUP)
	if err := r.wait(time.Duration(r.settings.HookTimeout+r.settings.StartTimeout)+grace, func() bool {
		return second.ready > 0 || second.failed != "" || r.ended()
	}); err != nil {
		return err
	}
	if second.ready == 0 {
		return nil
	}
	// Both are there, for a moment.
	old := family(first.pid)
	r.both = memory(old) + memory(family(second.pid))
	l.hot.Store(true)
	err := r.wait(time.Duration(r.settings.KillOldDelay)+grace, func() bool {
		return first.asked > 0 && r.now()-first.asked > holdTime || first.ended > 0 || second.ended > 0 || r.ended()
	})
	finish()
	l.hot.Store(false)
	if err != nil {
		return err
	}
	if err := r.wait(time.Duration(r.settings.DrainTimeout)+grace, func() bool {
		return first.ended > 0 || second.ended > 0 || r.ended()
	}); err != nil {
		return err
	}
	r.swapped = first.asked > 0 && first.ended > 0 && second.ended == 0
	if err := r.wait(time.Second, func() bool {
		r.left = nil
		for _, p := range old {
			if p.lives() {
				r.left = append(r.left, p)
			}
		}
		return len(r.left) == 0
	}); err != nil {
		return err
	}
	return r.wait(calmTime, never)
}
