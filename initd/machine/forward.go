package machine

import "slices"

// forward passes a signal on to every worker that runs the program. A plain init
// keeps a signal that comes before its command runs, as the kernel does for a
// process that blocks it: once however often it comes, and in order; signal(7).
func (m *Machine) forward(signal Signal) {
	sent := m.send(signal, func(*generation, *worker) bool { return true })
	if sent == 0 && m.policy.Respawn == Never && !slices.Contains(m.early, signal) {
		m.early = append(m.early, signal)
	}
}

// forwardByPlainInit forwards a signal that a plain init receives while its command runs.
// It notes stop signals, because an echo may come after the command has ended.
func (m *Machine) forwardByPlainInit(signal Signal) {
	stops := signal == TERM || signal == INT || signal == QUIT
	if stops && !m.isEcho(signal) {
		m.stopAsk = stopAsk{signal, m.now}
	}
	if m.forward(signal); stops {
		m.continueAll()
	}
}

// send passes a signal on to the chosen workers, of those that run the program,
// and reports how many these are.
func (m *Machine) send(signal Signal, to func(*generation, *worker) bool) (n int) {
	for _, g := range m.generations {
		for w := range g.live {
			if running <= w.state && w.state < killed && !w.orphan && to(g, w) {
				m.do(Forward{g.number, w.slot, w.pid, signal})
				n++
			}
		}
	}
	return n
}
