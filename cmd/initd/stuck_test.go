package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// freeze has a process sleep so that not even KILL wakes it, as one does that waits for a disk, until it is thawed.
func (p *puppet) freeze() (thaw func()) {
	p.Helper()
	cgroup := filepath.Join("/sys/fs/cgroup/freezer", initdtest.Unique())
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		p.Skipf("needs the freezer of cgroups(7), version 1: %v", err)
	}
	write := func(file, text string) error { return os.WriteFile(filepath.Join(cgroup, file), []byte(text), 0) }
	thaw = func() { write("freezer.state", "THAWED") }
	p.Cleanup(func() {
		thaw()
		p.ends()
		eventually(p.T, "its cgroup is empty", func() bool { return os.Remove(cgroup) == nil })
	})
	for _, err := range []error{write("cgroup.procs", strconv.Itoa(p.pid)), write("freezer.state", "FROZEN")} {
		if err != nil {
			p.Skip(err)
		}
	}
	eventually(p.T, "it is frozen", func() bool {
		text, _ := os.ReadFile(filepath.Join(cgroup, "freezer.state"))
		return string(text) == "FROZEN\n"
	})
	return thaw
}

// TestStuck: a worker that does not end though it was killed is reported. PID 1 exits in spite of it, and the kernel
// waits; elsewhere initd does.
func TestStuck(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify", "stop-timeout=0.2")}.start(t)
		p := s.generation(1)
		p.ready()
		d.is("serving", 1)
		thaw := p.freeze()
		d.signal(syscall.SIGTERM)
		d.event("it is reported", func(e initdtest.Entry) bool { return e.Event == "stuck" && e.Slot == 0 && e.Generation == 1 })
		if as == pid1 {
			d.event("initd exits", func(e initdtest.Entry) bool { return e.Event == "exit" && e.Generation == 0 })
		}
		thaw()
		p.ends()
		d.exits(0)
	})
}
