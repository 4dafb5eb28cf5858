package main_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/entry"
)

var early = flag.Int("early", 36, "send `N` signals to initd in its first milliseconds as PID 1, and as many to one that is not")

// TestSignalsAtStart: a HUP, INT or TERM in the first 3 ms ends initd as a later one does, or not at all.
func TestSignalsAtStart(t *testing.T) {
	if runtime.GOARCH == "arm" {
		t.Skip("package entry installs no handler on arm")
	}
	t.Parallel()
	signals := []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM}
	rounds := max(*early/(3*len(signals)), 1)
	for _, as := range []mode{subreaper, bare} {
		for _, signal := range signals {
			s := earlySignal{signal, run{mode: as, args: flags([]string{"sleep", "1000"}, "interval=0")}}
			again := s
			again.environ = []string{"GOGC=50"} // initd executes itself again to hide it from its runtime
			for name, test := range map[string]func(*testing.T, time.Duration){
				"executed": s.sinceExec, "twice": again.sinceExec, "caught": s.sinceCaught,
			} {
				t.Run(fmt.Sprint(as, "/", unix.SignalName(signal), "/", name), func(t *testing.T) {
					t.Parallel()
					for round := range rounds {
						test(t, 3*time.Millisecond*time.Duration(round)/time.Duration(rounds))
					}
				})
			}
		}
	}
}

// earlySignal is a signal to an initd that has just been started.
type earlySignal struct {
	syscall.Signal
	run
}

// sinceExec sends it so long after execve(2). Before the first instruction of initd it has its default action, which for
// a PID 1 is none; pid_namespaces(7).
func (s earlySignal) sinceExec(t *testing.T, delay time.Duration) {
	d := s.start(t)
	spin(delay)
	d.signal(s.Signal)
	if d.serves() {
		syscall.Kill(d.pid, syscall.SIGTERM) // maybe it has ended by now
		d.exits(0)
		return
	}
	status := d.wait()
	byDefault := s.mode == subreaper && status == 128+int(s.Signal)
	if !byDefault && (status != 0 || s.Signal == syscall.SIGHUP) {
		t.Errorf("initd's exit status is %d, %v after execve", status, delay)
	}
}

// sinceCaught sends it so long after initd has its first handler, from when on none is lost.
func (s earlySignal) sinceCaught(t *testing.T, delay time.Duration) {
	d := s.start(t)
	for late := time.Now().Add(initdtest.Patience); !catchesTerm(d.pid); runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("initd does not catch TERM")
		}
	}
	spin(delay)
	d.signal(s.Signal)
	if s.Signal == syscall.SIGHUP {
		d.is("serving", 2)
		d.stop()
		return
	}
	d.exits(0)
}

// spin is for a delay that is too short for a timer.
func spin(delay time.Duration) {
	for late := time.Now().Add(delay); time.Now().Before(late); {
		runtime.Gosched()
	}
}

var caughtSignals = regexp.MustCompile(`SigCgt:\t([0-9a-f]+)`)

// catchesTerm reports whether a process has a handler for TERM; proc_pid_status(5).
func catchesTerm(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	found := caughtSignals.FindSubmatch(text)
	if found == nil {
		return false
	}
	mask, _ := strconv.ParseUint(string(found[1]), 16, 64)
	return mask&(1<<(syscall.SIGTERM-1)) != 0
}

// serves waits until generation 1 is serving, and reports false if initd ends instead.
func (d *daemon) serves() bool {
	d.Helper()
	late := time.After(initdtest.Patience)
	for {
		_, closed, changed := d.log.After(0)
		for _, e := range d.entries() {
			if e.Event == "serving" {
				return true
			}
		}
		if closed {
			return false
		}
		select {
		case <-changed:
		case <-late:
			d.Fatal("initd neither serves nor ends")
		}
	}
}

// TestEntryFlag: whatever says how a release is built has the linker begin in package entry.
func TestEntryFlag(t *testing.T) {
	for _, file := range []string{"Dockerfile", ".ci/run", "docs/guide/install.md"} {
		lines := strings.Split(initdtest.Read(t, "../../"+file), "\n")
		builds := 0
		for _, line := range lines {
			if !strings.Contains(line, "-buildid=") {
				continue
			}
			builds++
			if !strings.Contains(line, "-s -w -buildid= "+entry.Flag) {
				t.Errorf("%s builds initd without %s: %s", file, entry.Flag, line)
			}
		}
		if builds == 0 {
			t.Errorf("%s builds nothing", file)
		}
	}
}
