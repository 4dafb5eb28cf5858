package doctor

import (
	"slices"
	"sync"
	"syscall"
	"time"
)

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

func never() bool { return false }

// swap replaces the program.
func (r *record) swap(l *load) error {
	first, second := r.worker(1), r.worker(2)
	if err := r.wait(calmTime, never); err != nil {
		return err
	}
	r.alone = memory(family(first.pid))
	r.before = l.take()
	// What is sent by half now reaches the old worker, for nobody else accepts as
	// yet. But it keeps a worker busy that handles one request at a time, for as
	// long as the new one takes to start.
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	if first.ready-first.started < answerTime {
		r.held = l.sendHalf(r.targets, hold)
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
	return r.replace(l, release)
}

// replace observes how the first worker ends beside the second. The requests that
// are held are released while it does so.
func (r *record) replace(l *load, release func()) error {
	first, second := r.worker(1), r.worker(2)
	old := family(first.pid)
	servers := r.holders(old)
	r.both, r.limit = memory(old)+memory(family(second.pid)), memoryLimit()
	l.busy.Store(true)
	err := r.wait(time.Duration(r.settings.KillOldDelay)+grace, func() bool {
		return first.stop > 0 && r.now()-first.stop > holdTime || first.ended > 0 || second.ended > 0 || r.ended()
	})
	release()
	l.busy.Store(false)
	if err != nil {
		return err
	}
	if err := r.wait(time.Duration(r.settings.DrainTimeout)+grace, func() bool {
		return first.ended > 0 || second.ended > 0 || r.ended()
	}); err != nil {
		return err
	}
	r.swapped = first.stop > 0 && first.ended > 0 && second.ended == 0
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
	err = r.wait(calmTime, never) // the log is read meanwhile
	isOrphan := func(p process) bool { return slices.Contains(first.orphans, p.pid) }
	r.orphans, r.servers = chosen(old, isOrphan), chosen(servers, isOrphan)
	return err
}

// holders are the processes that have a listener of initd open.
func (r *record) holders(of []process) []process {
	initd := inodes([]process{{pid: r.pid}})
	return chosen(of, func(p process) bool {
		held := inodes([]process{p})
		return slices.ContainsFunc(openSockets(), func(s openSocket) bool { return initd[s.inode] && held[s.inode] })
	})
}

func chosen(processes []process, is func(process) bool) (all []process) {
	for _, p := range processes {
		if is(p) {
			all = append(all, p)
		}
	}
	return all
}
