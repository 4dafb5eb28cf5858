package control

import (
	"os"
	"time"

	"server-starter/initd/proc"
)

// Memory adds to a status how much memory initd and its workers have. Each process is
// measured once a second at most, however often a status is asked for. The zero value
// is ready for use, by one goroutine.
type Memory struct {
	proc     proc.Reader
	measured time.Time
	resident map[int]int64 // by pid, in bytes
}

// Complete sets the fields Memory of a status and of its workers, in bytes; 0 where it
// is not known. A process that has ended meanwhile, and whose pid is another's by now,
// has a wrong figure and nothing worse.
func (m *Memory) Complete(s *Status) {
	if s.Time.Sub(m.measured) >= time.Second {
		m.measured, m.resident = s.Time, map[int]int64{}
	}
	s.Memory = m.of(os.Getpid())
	for _, g := range s.Generations {
		for i := range g.Workers {
			g.Workers[i].Memory = m.of(g.Workers[i].PID)
		}
	}
}

func (m *Memory) of(pid int) int64 {
	if _, known := m.resident[pid]; !known {
		m.resident[pid], _ = m.proc.Resident(pid)
	}
	return m.resident[pid]
}
