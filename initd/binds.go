package initd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"

	"server-starter/initd/bindfilter"
	"server-starter/initd/eventlog"
)

// binds are what a worker binds itself, with export=bind.
type binds struct {
	listeners []bindfilter.Listener // when it was started, in the order of the Set
	inodes    []uint32              // of their sockets
}

// serveBinds answers a worker's calls, once it has become the program, in a goroutine that
// ends with the last process of the worker. It is not called by the loop.
func (l *loop) serveBinds(c *child) {
	fd := -1
	if c.outcome.binds != nil {
		fd = c.outcome.binds()
	}
	if fd < 0 {
		return
	}
	w, is := c.role.(*worker)
	if c.failure != nil || !is || w.binds == nil {
		unix.Close(fd)
		return
	}
	// A server may have many processes, and each may bind without end: that must neither
	// occupy the loop nor use up what is logged of a worker.
	posted, addresses := map[any]bool{}, 0
	once := func(key any, m message) {
		if !posted[key] {
			posted[key] = true
			l.inbox.post(m)
		}
	}
	s := &bindfilter.Supervisor{
		Listeners: w.binds.listeners,
		Inodes:    slices.Clone(w.binds.inodes),
		Claim: func(index int) int {
			reply := make(chan int, 1)
			l.inbox.post(claim{w, index, reply})
			select {
			case fd := <-reply:
				return fd
			case <-l.inbox.closed:
				return -1
			}
		},
		Adopted: func(index int) { once(index, adopted{w, index}) },
		Foreign: func(network, address string) {
			if key := network + " " + address; !posted[key] && addresses < manyForeign {
				addresses++
				once(key, foreign{w, network, address})
			}
		},
		Failed: func(what string, tid int, err error) { once(what, unanswered{w, what, tid, err}) },
	}
	l.inbox.start(func() {
		if err := s.Serve(fd); err != nil {
			l.inbox.post(unanswered{w, "bind", 0, err})
		}
	})
}

type (
	// claim: a worker has bound the address of a listener.
	claim struct {
		*worker
		index int
		reply chan int // takes one
	}
	// adopted: it has got the listener.
	adopted struct {
		*worker
		index int
	}
	// foreign: it binds what is no listener.
	foreign struct {
		*worker
		network, address string
	}
	// unanswered: a call could not be understood, and was left to the worker, whose own
	// bind(2) fails if the address is a listener's.
	unanswered struct {
		*worker
		what string
		tid  int
		err  error
	}
)

func (m claim) handle(l *loop) { m.reply <- l.sockets.Claim(m.index, m.slot) }

func (m adopted) handle(l *loop) {
	if all := l.sockets.All(); m.index < len(all) {
		l.logCaused(m.worker, m.pid, slog.LevelInfo, eventlog.Adopted, fmt.Sprintf("adopted %s for pid %d", all[m.index].Key, m.pid), "key", all[m.index].Key)
	}
}

// manyForeign is how many addresses are logged: a resolver may bind ports at random.
const manyForeign = 8

func (m foreign) handle(l *loop) {
	what := m.network + " " + m.address
	if l.foreign == nil {
		l.foreign = map[string]bool{}
	}
	if l.foreign[what] || len(l.foreign) == manyForeign {
		return
	}
	l.foreign[what] = true
	setting := "port"
	if m.network == "unix" {
		setting = "path"
	}
	l.logCaused(m.worker, m.pid, slog.LevelInfo, eventlog.Foreign, fmt.Sprintf("the worker binds %s itself, which is no listener of initd: "+
		"the next generation cannot have it while this one runs, unless %s names it", what, setting), "address", m.address, "network", m.network)
}

func (m unanswered) handle(l *loop) {
	text := fmt.Sprintf("export=bind: %s of pid %d was left to the worker: %v", m.what, cmp.Or(m.tid, m.pid), m.err)
	if errors.Is(m.err, fs.ErrPermission) {
		text += "; initd cannot read the worker's memory: run both as one user, or initd as root with the capability SETUID or SYS_PTRACE; " +
			"kernel.yama.ptrace_scope must be 0 or 1, and the program must not be set-user-ID, unreadable, or undumpable (PR_SET_DUMPABLE)"
	}
	l.logCaused(m.worker, m.pid, slog.LevelError, eventlog.Adopted, text)
}
