package machine

import (
	"fmt"
	"time"
)

// Hook is a command that is run when something happens.
type Hook int

const (
	AfterInit      Hook = iota // before the first worker; its failure ends initd
	BeforeSwap                 // before a swap; its failure refuses the swap
	AfterSwap                  // after a swap, with its result
	BeforeShutdown             // before workers are asked to end
	OnDisconnect               // for a worker that is busy though its clients have gone
	hooks
)

func (h Hook) String() string {
	return [...]string{"after-init", "before-swap", "after-swap", "before-shutdown", "on-disconnect"}[h]
}

// RunHook: run a hook. Hooked. Failure is what has failed, for the hook to know;
// empty: nothing has. Where the hook is about a worker, that is PID in Slot.
type RunHook struct {
	Hook       Hook
	Generation int
	Failure    string
	Slot, PID  int
}

// CancelHook: kill a hook that runs. No Hooked may follow for it.
type CancelHook struct{ Hook Hook }

// Hooked: a hook has ended.
type Hooked struct {
	Hook   Hook
	Status Status
}

func (a RunHook) String() string {
	s := fmt.Sprintf("run-hook hook=%v generation=%d", a.Hook, a.Generation)
	if a.Failure != "" {
		s += fmt.Sprintf(" failure=%q", a.Failure)
	}
	if a.PID != 0 {
		s += fmt.Sprintf(" slot=%d pid=%d", a.Slot, a.PID)
	}
	return s
}
func (a CancelHook) String() string { return fmt.Sprintf("cancel-hook hook=%v", a.Hook) }
func (e Hooked) String() string     { return fmt.Sprintf("hooked hook=%v %v", e.Hook, e.Status) }

// hookRun is a hook that runs.
type hookRun struct {
	runs  bool
	until time.Time // its limit; zero: none
	next  []RunHook // its next runs, when it has ended
}

// maxNext is how many runs may wait until a hook has ended. If there are more, the
// oldest is dropped.
const maxNext = 64

// runHook runs a hook, if there is one, and reports whether there is. While it runs
// already, the next run waits, of several swaps only the latest.
func (m *Machine) runHook(a RunHook) bool {
	if !m.policy.Hooks[a.Hook] {
		return false
	}
	h := &m.hooks[a.Hook]
	switch {
	case !h.runs:
		h.runs, h.until = true, after(m.now, m.policy.HookTimeout)
		m.do(a)
	case a.Hook == OnDisconnect:
		h.next = append(h.next[max(0, len(h.next)-maxNext+1):], a)
	default:
		h.next = []RunHook{a}
	}
	return true
}

func (m *Machine) cancelHook(h Hook) {
	if m.hooks[h].runs {
		m.hooks[h].runs = false
		m.do(CancelHook{h})
	}
}

func (m *Machine) cancelHooks() {
	for h := range hooks {
		m.cancelHook(h)
		m.hooks[h].next = nil
	}
}

// limitHooks cancels the hooks that take too long, and those whose result does not
// matter any more.
func (m *Machine) limitHooks() {
	if m.phase != operating {
		m.cancelHook(AfterInit)
		m.cancelHook(BeforeSwap)
	}
	for h := range hooks {
		if m.hooks[h].runs && m.due(m.hooks[h].until) {
			m.cancelHook(h)
			m.hooked(h, fmt.Sprintf("not finished within hook-timeout=%v", m.policy.HookTimeout))
		}
	}
}

func (e Hooked) apply(m *Machine) {
	if e.Hook < 0 || e.Hook >= hooks || !m.hooks[e.Hook].runs {
		return
	}
	m.hooks[e.Hook].runs = false
	failure := ""
	if !e.Status.Success() {
		failure = e.Status.Words()
	}
	m.hooked(e.Hook, failure)
}

// hooked does what follows from the end of a hook. An empty failure is success.
func (m *Machine) hooked(h Hook, failure string) {
	m.changed = true
	switch h {
	case AfterInit:
		if failure != "" && m.phase == operating {
			m.halt(setupFailed, "hook-after-init: "+failure)
		}
	case BeforeSwap:
		g := m.candidate()
		switch {
		case g == nil || g.state != Checking:
		case failure != "":
			m.refuse(g, "hook-before-swap: "+failure)
		default:
			g.began = m.now // the hook has a limit of its own
			m.enter(g, Starting, "")
			m.startBatch(g)
		}
	}
	if next := m.hooks[h].next; len(next) > 0 {
		m.hooks[h].next = next[1:]
		m.runHook(next[0])
	}
}
