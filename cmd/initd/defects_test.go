package main_test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestDefects: what is wrong with start_server 0.35 is not wrong with initd. Each scenario reports whether
// the defect shows itself. With the original it has to, or the test could not fail; some do so by chance only, so
// that it has three tries.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, defect := range defects {
		atOnce(t, defect.name+"/start_server", func(t *testing.T) {
			for range 3 {
				if defect.shows(newScene(t, "start_server")) {
					return
				}
			}
			t.Skip("start_server has not shown the defect in three tries: here and now this test means nothing")
		})
		atOnce(t, defect.name+"/initd", func(t *testing.T) {
			if defect.shows(newScene(t, "initd")) {
				t.Error("initd has the defect")
			}
		})
	}
}

var defects = []struct {
	name  string
	shows func(s *scene) bool
}{
	{"FilesLostOnExecFailure", func(s *scene) bool { return s.filesLost(s.missingProgram) }},
	{"FilesLostOnChdirFailure", func(s *scene) bool { return s.filesLost(s.missingDirectory) }},
	{"ReadinessCutShort", (*scene).readinessCutShort},
	{"GenerationPerRequest", (*scene).generationPerRequest},
	{"StartAfterTERM", (*scene).startAfterTERM},
	{"TERMLostBesideHUP", (*scene).termLost},
	{"RestartHangsAfterFailure", (*scene).restartHangs},
	{"TERMWaitsForKillOldDelay", (*scene).termWaits},
	{"OldKilledAlthoughNewDied", (*scene).oldKilledAlthoughNewDied},
	{"DrainingSignalledAgain", (*scene).drainingSignalledAgain},
	{"UnwritableStatusFileIsFatal", (*scene).unwritableStatusFile},
	{"WrongSignalNameIsFatal", (*scene).wrongSignalName},
	{"EndedByUSR1", func(s *scene) bool { return s.endedBy(syscall.SIGUSR1) }},
	{"EndedByUSR2", func(s *scene) bool { return s.endedBy(syscall.SIGUSR2) }},
	{"EndedByQUIT", func(s *scene) bool { return s.endedBy(syscall.SIGQUIT) }},
	{"PidFileEmptiedBySecond", (*scene).pidFileEmptied},
	{"StrangerStopped", func(s *scene) bool { return s.strangerSignalled("--stop") }},
	{"StrangerRestarted", func(s *scene) bool { return s.strangerSignalled("--restart") }},
	{"StatusSortedAsText", (*scene).statusSortedAsText},
	{"DaemonizeAlwaysSucceeds", (*scene).daemonizeAlwaysSucceeds},
	{"RegularFileDeleted", (*scene).regularFileDeleted},
	{"LiveSocketStolen", (*scene).liveSocketStolen},
	{"PortWrapped", (*scene).portWrapped},
	{"OwnDescriptorClosed", (*scene).ownDescriptorClosed},
	{"DescriptorOfAnotherTaken", (*scene).descriptorOfAnotherTaken},
	{"RemovedVariableComesBack", (*scene).removedVariable},
	{"SIGPIPEIgnored", (*scene).sigpipeIgnored},
	{"NoBackoff", (*scene).noBackoff},
	{"NoBackoffAtAll", (*scene).noBackoffAtAll},
	{"StoppedForOneThatDoesNotServe", (*scene).stoppedTooEarly},
	{"CrashLoop", (*scene).crashLoop},
	{"LoggerLost", (*scene).loggerLost},
	{"TCPAndUDPAlike", (*scene).tcpAndUDPAlike},
}

// enough is how long to wait for what initd does and the original does not.
func (s *scene) enough() time.Duration {
	if s.original {
		return 3 * time.Second
	}
	return initdtest.Patience
}

// filesLost: a start that fails before the program runs deletes the pid file, the status file and the
// sockets of the superdaemon, because its clean-up runs in the forked child, too.
func (s *scene) filesLost(breaks func() (options []string, says string, hide, show func())) bool {
	options, says, hide, show := breaks()
	d := s.runs(append([]string{"--interval=2", "--pid-file=" + s.file("pid"), "--status-file=" + s.file("status"), "--path=" + s.file("socket")}, options...)...)
	old := s.generation(1)
	s.has("status", status(old))
	hide()
	d.swap()
	// The program's own words differ, but both name what is missing, and why.
	d.log.Await(s.T, "the start has failed", func(line string) bool {
		return strings.Contains(line, says) && strings.Contains(strings.ToLower(line), "no such file or directory")
	})
	show()
	s.generation(3)
	return !s.exists("pid") || !s.exists("socket") || !s.exists("status")
}

// missingProgram is a program that is not there for a while.
func (s *scene) missingProgram() (options []string, says string, hide, show func()) {
	script := "#!/bin/sh\nexec " + strings.Join(s.puppet(), " ") + "\n"
	program := s.write("program", script, 0o755)
	return []string{"--", program}, program, func() { s.remove("program") }, func() { s.write("program", script, 0o755) }
}

// missingDirectory is a directory that is not there for a while.
func (s *scene) missingDirectory() (options []string, says string, hide, show func()) {
	dir := s.file("there")
	s.write("there/file", "", 0o644)
	move := func(from, to string) func() {
		return func() {
			if err := os.Rename(from, to); err != nil {
				s.Fatal(err)
			}
		}
	}
	return append([]string{"--dir=" + dir, "--"}, s.puppet()...), dir, move(dir, dir+" away"), move(dir+" away", dir)
}

// readinessCutShort: a second HUP interrupts the sleep that makes a worker count as ready. The old one is
// stopped although the new one has not lived for the interval.
func (s *scene) readinessCutShort() bool {
	const interval = 4 * time.Second
	d := s.starts("interval=4", "status-file="+s.file("status"))
	old := s.generation(1)
	s.has("status", status(old)) // or it would be the first wait
	began := time.Now()
	d.swap()
	s.generation(2)
	d.swap()
	old.gets(syscall.SIGTERM)
	return time.Since(began) < interval
}

// generationPerRequest: five HUPs while a worker starts make five more, one after the other, of which
// each is stopped by the next.
func (s *scene) generationPerRequest() bool {
	interval := "1"
	if !s.original {
		interval = "4" // all of the requests have to come while the second generation is being tried
	}
	d := s.starts("interval="+interval, "status-file="+s.file("status"))
	s.has("status", status(s.generation(1)))
	d.swap()
	second := s.generation(2)
	for range 4 {
		d.swap()
		eventually(s.T, "the signal has arrived", func() bool { return !pending(s.T, d.pid, syscall.SIGHUP) })
	}
	third := s.next()
	if third.Generation() > 3 { // it was stopped before it could appear
		return true
	}
	second.gets(syscall.SIGTERM)
	return third.next(5*time.Second) != 0 // for a fourth, which nobody has asked for
}

// pending reports whether a signal has been sent to a process and not been delivered; proc_pid_status(5).
func pending(t *testing.T, pid int, signal syscall.Signal) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nShdPnd:\t")
	set, err := strconv.ParseUint(rest[:16], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return set>>(signal-1)&1 != 0
}

// startAfterTERM: a TERM that comes while starts fail leads to one more before it is obeyed.
func (s *scene) startAfterTERM() bool {
	d := s.runs(flags([]string{"sh", "-c", "echo >>" + s.file("starts")}, "interval=2")...)
	starts, since := 0, time.Now()
	eventually(s.T, "it has just failed, twice at least", func() bool {
		if now := len(s.lines("starts")); now != starts {
			starts, since = now, time.Now()
		}
		failed := starts >= 2 && time.Since(since) < time.Second
		for _, pid := range children(s.T, d.pid) {
			failed = failed && state(pid) == "Z" // the original reaps it after the interval only
		}
		return failed
	})
	d.stop()
	return len(s.lines("starts")) > starts
}

// termLost: of a HUP and a TERM that come at the same time it obeys the first and forgets the second.
func (s *scene) termLost() bool {
	d := s.starts("interval=0")
	s.generation(1)
	eventually(s.T, "it waits", func() bool { return state(d.pid) == "S" })
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGCONT} {
		if err := syscall.Kill(d.pid, signal); err != nil {
			s.Fatal(err)
		}
	}
	select {
	case <-d.ended:
		d.exits(0)
		return false
	case <-time.After(s.enough()):
		return true
	}
}

// restartHangs: --restart waits for the number after the present one, for ever if the attempt of that number
// has failed.
func (s *scene) restartHangs() bool {
	files := []string{"pid-file=" + s.file("pid"), "status-file=" + s.file("status")}
	d := s.starts(append(files, "interval=2")...)
	s.has("status", status(s.generation(1)))
	asked := s.runs("--restart", "--"+files[0], "--"+files[1])
	s.generation(2).tell("exit", "1")
	s.has("status", status(s.generation(3)))
	select {
	case <-asked.ended:
		asked.exits(0)
		d.stop()
		return false
	case <-time.After(s.enough()):
		return true
	}
}

// termWaits: a TERM that comes during kill-old-delay is obeyed when that is over.
func (s *scene) termWaits() bool {
	d := s.starts("interval=0", "kill-old-delay=600", "status-file="+s.file("status"))
	old := s.generation(1)
	d.swap()
	s.has("status", status(old, s.generation(2)))
	d.signal(syscall.SIGTERM)
	return old.next(s.enough()) == 0
}

// oldKilledAlthoughNewDied: a new worker that ends within kill-old-delay does not save the old one.
func (s *scene) oldKilledAlthoughNewDied() bool {
	d := s.stubborn("interval=1", "kill-old-delay=3", "status-file="+s.file("status"))
	old := s.generation(1)
	s.has("status", status(old))
	d.swap()
	next := s.generation(2)
	s.has("status", status(old, next))
	next.tell("exit", "1")
	s.generation(3)
	return old.received() != 0
}

// drainingSignalledAgain: an old worker that still drains is told again at every swap.
func (s *scene) drainingSignalledAgain() bool {
	d := s.stubborn("interval=0", "signal-on-hup=USR1", "signal-on-term=USR2")
	draining := s.generation(1)
	previous := draining
	for number := 2; number <= 4; number++ {
		d.swap()
		next := s.generation(number)
		previous.gets(syscall.SIGUSR1)
		previous = next
	}
	d.signal(syscall.SIGTERM) // comes last, to all
	return draining.next(initdtest.Patience) != syscall.SIGUSR2
}

// unwritableStatusFile: a status file that cannot be written any more ends it, and leaves its workers behind.
func (s *scene) unwritableStatusFile() bool {
	s.write("status/file", "", 0o644)
	d := s.starts("interval=0", "status-file="+s.file("status/file"))
	old := s.generation(1)
	s.has("status/file", status(old))
	if err := os.Rename(s.file("status"), s.file("away")); err != nil {
		s.Fatal(err)
	}
	d.swap()
	s.generation(2)
	select {
	case <-d.ended:
		old.lives()
		return true
	case got := <-old.signals:
		if got != syscall.SIGTERM {
			s.Errorf("the old worker got signal %d", got)
		}
	case <-time.After(initdtest.Patience):
		s.Fatal("the swap has not been done")
	}
	d.stop()
	return false
}

// wrongSignalName: a signal that does not exist ends it at the first swap, and leaves its workers behind.
// initd refuses it at the start.
func (s *scene) wrongSignalName() bool {
	d := s.starts("interval=0", "signal-on-hup=TREM")
	select {
	case <-d.ended:
		if d.wait() == 0 || len(s.arrivals) > 0 {
			s.Error("it has not been refused")
		}
		return false
	case old := <-s.arrivals:
		d.swap()
		d.wait()
		old.lives()
		return true
	case <-time.After(initdtest.Patience):
		s.Fatal("nothing has happened")
	}
	return false
}

// endedBy: signals that it does not know end it at once, and leave its workers behind. A QUIT is to stop it, as
// TERM does, and the others are the workers'.
func (s *scene) endedBy(signal syscall.Signal) bool {
	d := s.starts("interval=0")
	p := s.generation(1)
	d.signal(signal)
	select {
	case <-d.ended:
		return d.status.Signaled()
	case got := <-p.signals:
		if got != signal {
			s.Errorf("the worker got signal %d, not %d", got, signal)
		}
	case <-time.After(initdtest.Patience):
		s.Fatal("nothing has happened")
	}
	if signal == syscall.SIGQUIT {
		d.exits(0)
	} else {
		d.stop()
	}
	return false
}

// pidFileEmptied: a second one with the same pid file empties it before it waits for its turn, so that the
// first cannot be stopped by it.
func (s *scene) pidFileEmptied() bool {
	first := s.starts("interval=0", "pid-file="+s.file("pid"))
	s.generation(1)
	want := fmt.Sprintln(first.pid)
	s.has("pid", want)
	second := s.starts("interval=0", "pid-file="+s.file("pid"))
	eventually(s.T, "the second has looked at it", func() bool { return !second.ongoing() || s.text("pid") != want })
	if s.text("pid") != want {
		return true
	}
	if second.wait() == 0 {
		s.Error("the second has ended with 0")
	}
	if s.text("pid") != want || len(s.arrivals) > 0 {
		s.Error("the second has done something")
	}
	first.stop()
	return false
}

// strangerSignalled: a pid file that is left over has the pid of whoever has it now, who gets the signal.
func (s *scene) strangerSignalled(command string) bool {
	stranger := s.start(run{program: self, args: s.puppet("stubborn")[1:]})
	p := s.next()
	s.write("pid", fmt.Sprintln(stranger.pid), 0o644)
	s.write("status", "1:1\n", 0o644)
	asked := s.runs(command, "--pid-file="+s.file("pid"), "--status-file="+s.file("status"))
	select {
	case <-asked.ended:
		if asked.wait() == 0 && !s.original {
			s.Error("it has ended with 0")
		}
		return p.received() != 0
	case <-p.signals:
		return true
	case <-time.After(initdtest.Patience):
		s.Fatal("nothing has happened")
	}
	return false
}

// statusSortedAsText: generation 10 is listed before 9, so that whoever takes the last line for the newest errs.
func (s *scene) statusSortedAsText() bool {
	d := s.stubborn("interval=0", "status-file="+s.file("status"))
	old := s.generation(1)
	for number := 2; number <= 10; number++ {
		s.has("status", status(old))
		d.swap()
		next := s.generation(number)
		old.gets(syscall.SIGTERM)
		if number == 10 {
			eventually(s.T, "both are listed", func() bool { return len(s.lines("status")) == 2 })
			return s.text("status") != status(old, next)
		}
		old.tell("exit", "0")
		old = next
	}
	return false
}

// daemonizeAlwaysSucceeds: the exit status of daemonize is 0 before anything has been tried.
func (s *scene) daemonizeAlwaysSucceeds() bool {
	d := s.runs("--daemonize", "--log-file="+s.file("log"), "--pid-file="+s.file("pid"), "--", "sh", "-c", "exit 3")
	defer s.daemonized("pid") // which goes on trying
	return d.wait() == 0
}

// regularFileDeleted: whatever is at the path of a socket is deleted.
func (s *scene) regularFileDeleted() bool {
	s.write("precious", "precious", 0o644)
	d := s.starts("interval=0", "path="+s.file("precious"))
	s.arrivesOrEnds(d)
	return s.text("precious") != "precious"
}

// arrivesOrEnds waits for a worker, which comes true, or for the program's end, which has to be a failure.
func (s *scene) arrivesOrEnds(d *daemon) (*puppet, bool) {
	s.Helper()
	select {
	case p := <-s.arrivals:
		return p, true
	case <-d.ended:
		if d.wait() == 0 {
			s.Error("it has ended with 0")
		}
	case <-time.After(initdtest.Patience):
		s.Fatal("nothing has happened")
	}
	return nil, false
}

// liveSocketStolen: also a socket that somebody listens on.
func (s *scene) liveSocketStolen() bool {
	live, err := net.Listen("unix", s.file("live"))
	if err != nil {
		s.Fatal(err)
	}
	defer live.Close()
	s.arrivesOrEnds(s.starts("interval=0", "path="+s.file("live")))
	conn, err := net.Dial("unix", s.file("live"))
	if err != nil {
		return true
	}
	defer conn.Close()
	live.(*net.UnixListener).SetDeadline(time.Now().Add(s.enough()))
	accepted, err := live.Accept()
	if err != nil {
		return true
	}
	accepted.Close()
	return false
}

// portWrapped: of a port that is too large 16 bits are taken.
func (s *scene) portWrapped() bool {
	port, err := strconv.Atoi(freePort(s.T))
	if err != nil {
		s.Fatal(err)
	}
	p, arrived := s.arrivesOrEnds(s.starts("interval=0", fmt.Sprint("port=127.0.0.1:", 65536+port)))
	if arrived {
		p.serve()
		greet(s.T, "tcp", fmt.Sprint("127.0.0.1:", port))
	}
	return arrived
}

// ownDescriptorClosed: =fd with the number that the socket has anyway closes it. Which that is only a
// worker can tell.
func (s *scene) ownDescriptorClosed() bool {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.starts("port="+address, "interval=0")
	number := s.generation(1).told()[0].fd
	d.stop()
	d = s.starts(fmt.Sprint("port=", address, "=", number), "interval=0")
	p := s.generation(1)
	if told := p.told(); len(told) != 1 || told[0].fd != number {
		s.Fatalf("it is told of %v", told)
	}
	if !slices.Contains(p.Files, number) {
		return true
	}
	p.serve().answersAt("tcp", address)
	d.stop()
	return false
}

// descriptorOfAnotherTaken: =fd with the number of another socket takes its place.
func (s *scene) descriptorOfAnotherTaken() bool {
	first, second := "127.0.0.1:"+freePort(s.T), "127.0.0.1:"+freePort(s.T)
	d := s.starts("port="+first, "interval=0")
	number := s.generation(1).told()[0].fd
	d.stop()
	d = s.starts("port="+first, fmt.Sprint("port=", second, "=", number), "interval=0")
	p := s.generation(1)
	told := p.told()
	if len(told) != 2 || told[1].fd != number {
		s.Fatalf("it is told of %v", told)
	}
	if told[0].fd == number {
		return true
	}
	p.serve().answersAt("tcp", first)
	p.answersAt("tcp", second)
	d.stop()
	return false
}

// removedVariable: the envdir as it was at the start stays beneath what is read later.
func (s *scene) removedVariable() bool {
	s.write("env/KEPT", "x", 0o644)
	s.write("env/REMOVED", "x", 0o644)
	d := s.starts("interval=0", "envdir="+s.file("env"))
	s.generation(1).is("REMOVED", "x")
	s.remove("env/REMOVED")
	d.swap()
	p := s.generation(2)
	p.is("KEPT", "x")
	_, set := p.Value("REMOVED")
	return set
}

// sigpipeIgnored: workers inherit that SIGPIPE is ignored, and so does every pipeline of theirs.
func (s *scene) sigpipeIgnored() bool {
	d := s.runs("--interval=0", "--", "sh", "-c", "grep SigIgn /proc/self/status >"+s.file("new")+"; mv "+s.file("new")+" "+s.file("signals")+"; exec sleep 1000")
	eventually(s.T, "it has looked", func() bool { return s.exists("signals") })
	d.stop()
	set, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(s.text("signals"), "SigIgn:")), 16, 64)
	if err != nil {
		s.Fatal(err)
	}
	return set>>(unix.SIGPIPE-1)&1 != 0
}

// noBackoff: a program that fails at once is started again as soon as the interval is over, for ever.
func (s *scene) noBackoff() bool {
	s.runs(flags([]string{"sh", "-c", "date +%s%N >>" + s.file("starts")}, "interval=1")...)
	eventually(s.T, "it has been started four times", func() bool { return len(s.lines("starts")) >= 4 })
	at := func(start int) int {
		nanoseconds, err := strconv.Atoi(s.lines("starts")[start])
		if err != nil {
			s.Fatal(err)
		}
		return nanoseconds
	}
	// 3 seconds with the original, 1+2+4 with initd.
	return time.Duration(at(3)-at(0)) < 5*time.Second
}

// stoppedTooEarly: with the defaults, a new worker that takes three seconds to load, and then fails, counts as ready
// after one. The old one is stopped for it, and nobody answers.
func (s *scene) stoppedTooEarly() bool {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.runs(flags(s.puppet("deaf"), "port="+address, "status-file="+s.file("status"))...)
	old := s.generation(1).serve()
	s.has("status", status(old))
	d.swap()
	loading := s.generation(2)
	if old.next(3*time.Second) != 0 {
		return true
	}
	loading.tell("exit", "1")
	next := s.generation(3)
	if old.received() != 0 {
		return true
	}
	old.answersAt("tcp", address)
	next.serve()
	old.gets(syscall.SIGTERM)
	next.answersAt("tcp", address)
	d.stop()
	return false
}

// crashLoop: a worker that fails some seconds after it has counted as ready is started again at once, for ever. Each
// appends a line when it starts and when it ends.
func (s *scene) crashLoop() bool {
	now := "date +%s%N >>" + s.file("times")
	s.runs(flags([]string{"sh", "-c", now + "; sleep 2.5; " + now + "; exit 1"}, "interval=1")...)
	const starts = 6
	eventually(s.T, "it has been started six times", func() bool { return len(s.lines("times")) > 2*(starts-1) })
	at := func(line int) int {
		nanoseconds, err := strconv.Atoi(s.lines("times")[line])
		if err != nil {
			s.Fatal(err)
		}
		return nanoseconds
	}
	last := 2 * (starts - 1)
	return time.Duration(at(last)-at(last-1)) < 2*time.Second
}

// noBackoffAtAll: and with an interval of 0 as fast as the machine can, up to 770 times a second. A worker that
// lives for 0.1 s counts as sound with initd, so that even on a busy machine there are at most ten.
func (s *scene) noBackoffAtAll() bool {
	s.runs(flags([]string{"sh", "-c", "echo >>" + s.file("starts")}, "interval=0")...)
	eventually(s.T, "it has been started", func() bool { return len(s.lines("starts")) > 0 })
	over := time.Now().Add(3 * time.Second)
	eventually(s.T, "it has been started too often, or the time is over", func() bool {
		return len(s.lines("starts")) > 60 || time.Now().After(over)
	})
	return len(s.lines("starts")) > 60
}

// loggerLost: when the command that takes the log ends, nobody notices, and everything from then on is lost.
func (s *scene) loggerLost() bool {
	log := s.file("log")
	d := s.starts("interval=0", "log-file=| echo $$ >>"+s.file("loggers")+"; exec cat >>"+log)
	p := s.generation(1)
	p.do("say", "before")
	eventually(s.T, "it is logged", func() bool { return slices.Contains(s.lines("log"), "before") })
	logger, err := strconv.Atoi(s.lines("loggers")[0])
	if err != nil {
		s.Fatal(err)
	}
	if err := syscall.Kill(logger, syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	eventually(s.T, "the logger has ended", func() bool { return state(logger) == "" || state(logger) == "Z" })
	p.do("say", "after")
	late := time.Now().Add(s.enough())
	eventually(s.T, "it is logged, or it is too late", func() bool {
		return slices.Contains(s.lines("log"), "after") || time.Now().After(late)
	})
	if !slices.Contains(s.lines("log"), "after") {
		return true
	}
	d.stop()
	return false
}

// tcpAndUDPAlike: a TCP and a UDP socket on one port have the same key, and nothing else tells a worker which is
// which. initd keeps the keys, and has LISTEN_FDNAMES.
func (s *scene) tcpAndUDPAlike() bool {
	port := freePort(s.T)
	d := s.starts("port=127.0.0.1:"+port, "port=127.0.0.1:u"+port, "interval=0")
	p := s.generation(1)
	if told := p.told(); len(told) != 2 || told[0].key != told[1].key {
		s.Fatalf("it is told of %v", told)
	}
	names, _ := p.Value("LISTEN_FDNAMES")
	d.stop()
	return names != "tcp-127.0.0.1-"+port+":udp-127.0.0.1-"+port
}

// TestStartServerDocument: docs/guide/from-start-server.md has every option and every defect, and names no test that does not exist.
func TestStartServerDocument(t *testing.T) {
	t.Parallel()
	document := initdtest.Read(t, "../../docs/guide/from-start-server.md")
	tests := map[string]bool{}
	for _, scenario := range parity {
		tests["TestParity/"+scenario.name] = true
	}
	for _, defect := range defects {
		tests["TestDefects/"+defect.name] = true
		if !strings.Contains(document, " | `TestDefects/"+defect.name+"` |\n") {
			t.Errorf("it does not name TestDefects/%s", defect.name)
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+/[A-Za-z0-9/]+)`").FindAllStringSubmatch(document, -1) {
		if !tests[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
	options, _ := between(t, document, "## Options\n", "\n## ")
	for _, option := range originalOptions {
		if !regexp.MustCompile(`(?m)^\|.*` + "`--" + option + "`.*?" + ` \|`).MatchString(options) {
			t.Errorf("it has no option --%s", option)
		}
	}
}
