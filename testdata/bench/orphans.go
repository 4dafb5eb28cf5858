package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A crowd of shells that block until the pipe "release" is closed, in which they hold "alive" open. The one that forks
// them ends, and they become children of process 1.
const (
	crowd   = `exec 3<release 4>alive; i=0; while [ $i -lt "$1" ]; do { read -r _; } <&3 & i=$((i+1)); done`
	orphans = `cd "$1"; sh -c '` + crowd + `' sh "$2"; echo orphaned; exec sleep 1000`
)

// orphans measures how long process 1 takes to reap many orphans that end together, and what that costs.
func (b *bench) orphans() ([]row, error) {
	n := 3000
	if b.short {
		n = 300
	}
	took, cost := make(samples), make(samples)
	for round := range b.rounds(15) {
		for _, p := range inTurn(round, b.inits()) {
			wall, cpu, err := b.storm(p.run("sh", "-c", orphans, "sh", b.dir, strconv.Itoa(n)), n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			took.of(p.name).add(wall)
			cost.of(p.name).add(cpu)
		}
	}
	all := row{what: fmt.Sprintf("%d orphans end together: end of the last to all reaped", n), bar: "≤ 50 ms"}
	all.fill(took, milliseconds)
	all.verdict(took["initd"].median() <= 50)
	cpu := row{what: "process 1's processor time for that"}
	cpu.fill(cost, milliseconds)
	return []row{all, cpu, cost.ratio("the same against tini's", 3)}, nil
}

// storm has n orphans end in a pid namespace whose process 1 is argv, and returns how long after the end of the last all
// were reaped, and the processor time process 1 took for all.
func (b *bench) storm(argv []string, n int) (wall, cpu time.Duration, err error) {
	release, alive := filepath.Join(b.dir, "release"), filepath.Join(b.dir, "alive")
	for _, path := range []string{release, alive} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return 0, 0, err
		}
		defer os.Remove(path)
	}
	// Opened so that neither waits for the other side, fifo(7).
	latch, err := os.OpenFile(release, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer latch.Close()
	last, err := unix.Open(alive, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(last)

	cmd := exec.Command(b.self, append([]string{"namespace"}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		cmd.Process.Kill() // and all with it, pid_namespaces(7)
		cmd.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "orphaned\n" {
		return 0, 0, fmt.Errorf("the orphans were not made: %q, %w", line, err)
	}
	time.Sleep(300 * time.Millisecond) // until all have come to their read
	pids, err := shells(cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	if len(pids) != n {
		return 0, 0, fmt.Errorf("process 1 has %d orphans instead of %d", len(pids), n)
	}
	before := processorTime(cmd.Process.Pid)
	latch.Close()
	if err := closed(last); err != nil {
		return 0, 0, err
	}
	ended := monotonic()
	if err := reaped(pids); err != nil {
		return 0, 0, err
	}
	wall = monotonic() - ended
	pause()
	return wall, processorTime(cmd.Process.Pid) - before, nil
}

// closed waits until nobody has the other end of a pipe any more.
func closed(fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, int(timeout.Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return errors.New("the orphans do not end")
		default:
			return nil
		}
	}
}

// reaped waits until all processes have been reaped. It asks after one at a time, which costs process 1 nothing.
func reaped(pids []int) error {
	until := monotonic() + timeout
	for _, pid := range pids {
		for unix.Kill(pid, 0) != unix.ESRCH { // a zombie can still be sent a signal
			if monotonic() > until {
				return fmt.Errorf("%d was not reaped", pid)
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	return nil
}

// shells are those of a process's children that are shells.
func shells(pid int) (pids []int, err error) {
	all, err := children(pid)
	for _, child := range all {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
		if err != nil {
			return nil, err
		}
		if string(name) == "sh\n" {
			pids = append(pids, child)
		}
	}
	return pids, err
}

// playNamespace is process 1 of a new namespace before it becomes argv: it sees to it that /proc is that namespace's.
func playNamespace(argv []string) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount /: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return &os.PathError{Op: "exec", Path: argv[0], Err: unix.Exec(argv[0], argv, os.Environ())}
}
