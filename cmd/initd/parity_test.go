package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// TestParity: whoever knows start_server knows initd. Each scenario is something that users of
// Server::Starter 0.35 rely on: what its own tests check, what its manual says, and what its workers are
// given.
func TestParity(t *testing.T) {
	t.Parallel()
	for _, scenario := range parity {
		for _, program := range scenery {
			atOnce(t, scenario.name+"/"+program, func(t *testing.T) { scenario.play(newScene(t, program)) })
		}
	}
}

var parity = []struct {
	name string
	play func(s *scene)
}{
	{"Swap", (*scene).swap},
	{"SignalOnHup", (*scene).signalOnHup},
	{"FailedStart", (*scene).failedStart},
	{"Respawn", (*scene).respawn},
	{"RequestDuringStart", (*scene).requestDuringStart},
	{"SeveralOldWorkers", (*scene).severalOldWorkers},
	{"KillOldDelay", (*scene).killOldDelay},
	{"AutoRestart", (*scene).autoRestart},
	{"AutoRestartDelay", (*scene).autoRestartDelay},

	{"TERM", func(s *scene) { s.stops(syscall.SIGTERM, syscall.SIGUSR2) }},
	{"INT", func(s *scene) { s.stops(syscall.SIGINT, syscall.SIGTERM) }},
	{"StopDuringStart", (*scene).stopDuringStart},
	{"StopDuringFailure", (*scene).stopDuringFailure},

	{"Keys", (*scene).keys},
	{"BarePort", (*scene).barePort},
	{"WithoutPort", (*scene).withoutPort},
	{"BindAddress", (*scene).bindAddress},
	{"UDP", (*scene).udp},
	{"Unix", (*scene).unix},
	{"GivenDescriptor", (*scene).givenDescriptor},
	{"Backlog", (*scene).backlog},
	{"Sockets", (*scene).sockets},

	{"Environment", (*scene).environment},
	{"Envdir", (*scene).envdir},
	{"EnvdirTiming", (*scene).envdirTiming},
	{"EnvdirTimingChanged", (*scene).envdirTimingChanged},
	{"EnvdirPath", (*scene).envdirPath},
	{"BareVariables", (*scene).bareVariables},
	{"OptionsBeatVariables", (*scene).optionsBeatVariables},
	{"Dir", (*scene).workingDirectory},
	{"Command", (*scene).command},
	{"CommandReplaced", (*scene).commandReplaced},

	{"PidFile", (*scene).pidFile},
	{"StatusFile", (*scene).statusFile},
	{"LogFile", (*scene).logFile},
	{"LogPipe", (*scene).logPipe},
	{"RelativeNames", (*scene).relativeNames},
	{"Daemonize", (*scene).daemonize},
	{"DaemonizeGivenStdin", (*scene).daemonizeGivenStdin},
	{"Restart", (*scene).restart},
	{"RestartOfEnding", (*scene).restartOfEnding},
	{"Stop", (*scene).stop},

	{"Spellings", (*scene).spellings},
	{"Abbreviations", (*scene).abbreviations},
	{"OptionsAmongCommand", (*scene).optionsAmongCommand},
	{"LastOptionCounts", (*scene).lastOptionCounts},
	{"WrongUsage", (*scene).wrongUsage},
	{"Help", (*scene).help},
	{"Version", (*scene).version},
}

// Swaps.

// swap: HUP starts a new worker on the same sockets; the old one is told once the new one has lived for
// the interval, and not before.
func (s *scene) swap() {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.starts("port="+address, "interval=1")
	old := s.generation(1).serve()
	old.answersAt("tcp", address)
	for number := 2; number <= 3; number++ {
		began := time.Now()
		d.swap()
		next := s.generation(number).serve()
		old.gets(syscall.SIGTERM)
		s.since("the signal", began, time.Second)
		old.ends()
		next.answersAt("tcp", address)
		if got := next.received(); got != 0 {
			s.Errorf("the new worker was told, too: %d", got)
		}
		old = next
	}
	d.stop()
	old.ends()
}

// signalOnHup: old workers get the signal that was chosen, and nothing else.
func (s *scene) signalOnHup() {
	for _, name := range []string{"USR1", "SIGWINCH", "10", "quit"} {
		want, err := strconv.Atoi(name)
		if err != nil {
			want = int(unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")))
		}
		d := s.starts("signal-on-hup="+name, "interval=0")
		old := s.generation(1)
		d.swap()
		next := s.generation(2)
		old.gets(syscall.Signal(want))
		if name != "quit" {
			old.lives()
			old.tell("exit", "0")
		}
		old.ends()
		next.lives()
		d.stop()
	}
}

// failedStart: a worker that ends within the interval has failed, and another one is started; each takes
// a number. The one that serves goes on until one succeeds.
func (s *scene) failedStart() {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.starts("port="+address, "interval=2", "status-file="+s.file("status"))
	s.generation(1).tell("exit", "1")
	second := s.generation(2).serve()
	s.has("status", status(second))
	d.swap()
	for number := 3; number <= 4; number++ {
		s.generation(number).tell("exit", "0") // also counts as failed
		second.answersAt("tcp", address)
	}
	fifth := s.generation(5).serve()
	second.gets(syscall.SIGTERM)
	second.ends()
	fifth.answersAt("tcp", address)
	s.has("status", status(fifth))
	d.stop()
}

// respawn: a worker that ends is replaced by the next generation, however it has ended. Old workers are
// left alone by that.
func (s *scene) respawn() {
	d := s.stubborn("interval=1", "signal-on-hup=USR1", "status-file="+s.file("status"))
	old := s.generation(1)
	s.has("status", status(old))
	d.swap()
	current := s.generation(2)
	old.gets(syscall.SIGUSR1)
	for number, end := range [][]string{{"exit", "0"}, {"exit", "3"}, {"die", "9"}} {
		s.has("status", status(old, current))
		current.tell(end...)
		current = s.generation(number + 3)
	}
	s.has("status", status(old, current))
	old.lives()
}

// requestDuringStart: a HUP that comes while a worker starts is not lost.
func (s *scene) requestDuringStart() {
	d := s.starts("interval=1")
	first := s.generation(1)
	d.swap()
	second := s.generation(2)
	d.swap()
	third := s.generation(3)
	first.gets(syscall.SIGTERM)
	second.gets(syscall.SIGTERM)
	third.lives()
	d.stop()
}

// severalOldWorkers: there may be any number of them, and all are told when the program is stopped, which
// ends when the last of them has ended.
func (s *scene) severalOldWorkers() {
	d := s.stubborn("interval=0", "status-file="+s.file("status"), "signal-on-term=INT")
	var all []*puppet
	for number := 1; number <= 3; number++ {
		if number > 1 {
			d.swap()
		}
		all = append(all, s.generation(number))
		s.has("status", status(all...))
	}
	d.signal(syscall.SIGTERM)
	for i, p := range all {
		for got := syscall.Signal(0); got != syscall.SIGINT; { // the old ones were told by swaps before
			if got = p.next(initdtest.Patience); got == 0 || got == syscall.SIGTERM && i == 2 {
				s.Fatalf("worker %d got signal %d", i+1, got)
			}
		}
	}
	for i := range all {
		if !d.ongoing() {
			s.Fatalf("it has ended before worker %d", i+1)
		}
		all[i].tell("exit", "7")
		if i < 2 {
			s.has("status", status(all[i+1:]...))
		}
	}
	d.exits(0)
}

// killOldDelay: the old worker is left alone for so long after the new one was ready, and the status file
// has both.
func (s *scene) killOldDelay() {
	d := s.starts("interval=1", "kill-old-delay=2", "status-file="+s.file("status"))
	old := s.generation(1)
	s.has("status", status(old))
	began := time.Now()
	d.swap()
	next := s.generation(2)
	s.has("status", status(old, next))
	old.gets(syscall.SIGTERM)
	s.since("the signal", began, 3*time.Second)
	s.has("status", status(next))
	d.stop()
}

// autoRestart: without a request, when the worker has served for auto-restart-interval.
func (s *scene) autoRestart() {
	began := time.Now()
	s.starts("interval=1", "enable-auto-restart", "auto-restart-interval=2", "kill-old-delay=1", "signal-on-hup=USR1",
		"status-file="+s.file("status"))
	listed := func(p *puppet) bool { return strings.Contains("\n"+s.text("status"), "\n"+status(p)) }
	old := s.generation(1)
	for number := 2; number <= 3; number++ {
		next := s.generation(number)
		s.since("the restart", began, 2*time.Second) // the original counts whole seconds
		began = time.Now()
		eventually(s.T, "the new one is listed", func() bool { return listed(next) })
		if !listed(old) {
			s.Error("the old one is not listed")
		}
		old.gets(syscall.SIGUSR1)
		old.tell("exit", "0")
		eventually(s.T, "the old one is not listed any more", func() bool { return !listed(old) })
		old = next
	}
}

// autoRestartDelay: with enable-auto-restart kill-old-delay is 5 seconds, where nobody has set it.
func (s *scene) autoRestartDelay() {
	d := s.starts("interval=0", "enable-auto-restart")
	old := s.generation(1)
	began := time.Now()
	d.swap()
	s.generation(2)
	old.gets(syscall.SIGTERM)
	s.since("the signal", began, 5*time.Second)
	d.stop()
}

// Stopping.

// stops: TERM is passed on as signal-on-term, INT as TERM; the exit status is 0 whatever the workers' are.
func (s *scene) stops(signal, told syscall.Signal) {
	d := s.start(run{args: flags(s.puppet("exit=9"), "interval=0", "signal-on-term=USR2")})
	p := s.generation(1)
	d.signal(signal)
	p.gets(told)
	if told == syscall.SIGUSR2 {
		p.lives()
		if !d.ongoing() {
			s.Error("it has ended before its worker")
		}
		p.tell("exit", "9")
	}
	p.ends()
	d.exits(0)
	if len(s.arrivals) > 0 {
		s.Error("a worker was started after the stop")
	}
}

// stopDuringStart: both the old worker and the one that starts are told.
func (s *scene) stopDuringStart() {
	d := s.starts("interval=600", "status-file="+s.file("status"), "pid-file="+s.file("pid"))
	first := s.generation(1)
	d.signal(syscall.SIGTERM)
	first.gets(syscall.SIGTERM)
	d.exits(0)
	if s.exists("status") || s.exists("pid") {
		s.Error("files are left")
	}
}

// stopDuringFailure: also where no worker ever came up.
func (s *scene) stopDuringFailure() {
	command := "echo >>" + s.file("starts") + "; exit 1"
	d := s.runs(flags([]string{"sh", "-c", command}, "interval=1")...)
	eventually(s.T, "it has failed twice", func() bool { return len(s.lines("starts")) >= 2 })
	d.signal(syscall.SIGINT)
	d.exits(0)
}

// Listeners.

// keys: a worker finds each listener by the name that the user has given it, in the order given, ports
// before paths.
func (s *scene) keys() {
	initdtest.NeedIPv6(s.T)
	var ports []string
	for range 6 {
		ports = append(ports, freePort(s.T))
	}
	path := s.file("socket")
	d := s.runs(append([]string{"--path=" + path, "--port=127.0.0.1:" + ports[0], "--port", "[::1]:" + ports[1], "--port=::1:" + ports[2],
		"--port=[127.0.0.1]:" + ports[3], "--port= localhost:" + ports[4] + " ", "--port=127.0.0.1:" + ports[5] + " =30 ", "--interval=0", "--"}, s.puppet()...)...)
	p := s.generation(1)
	var got []string
	for _, l := range p.told() {
		got = append(got, l.key)
	}
	want := []string{"127.0.0.1:" + ports[0], "[::1]:" + ports[1], "[::1]:" + ports[2], "127.0.0.1:" + ports[3],
		"localhost:" + ports[4], "127.0.0.1:" + ports[5], path}
	if !slices.Equal(got, want) {
		s.Fatalf("the keys are\n%q, not\n%q", got, want)
	}
	if fd := p.told()[5].fd; fd != 30 {
		s.Errorf("the descriptor is %d, not 30", fd)
	}
	p.serve()
	for _, key := range got[:6] {
		p.answersAt("tcp", key)
	}
	p.answersAt("unix", path)
	d.stop()
}

// barePort: no host is every IPv4 address, and the key is the port alone.
func (s *scene) barePort() {
	port, pinned := freePort(s.T), freePort(s.T)
	d := s.runs(append([]string{"--port=" + port, "--port= " + pinned + " =20", "--interval=0", "--"}, s.puppet()...)...)
	p := s.generation(1)
	if told := p.told(); len(told) != 2 || told[0].key != port || told[1] != (listener{pinned, 20}) {
		s.Fatalf("it is told of %v", told)
	}
	p.serve()
	p.answersAt("tcp", "127.0.0.1:"+port)
	p.answersAt("tcp", "127.8.8.8:"+pinned)
	if answer, err := hail("tcp", "[::1]:"+port); err == nil {
		s.Errorf("it also listens on IPv6: %q", answer)
	}
	d.stop()
}

// withoutPort: the variable is set, and empty.
func (s *scene) withoutPort() {
	d := s.starts("interval=0")
	s.generation(1).is("SERVER_STARTER_PORT", "")
	d.stop()
}

// bindAddress: on the address that was given, and on no other.
func (s *scene) bindAddress() {
	initdtest.NeedIPv6(s.T)
	for _, test := range [][2]string{{"127.0.0.1", "[::1]"}, {"[::1]", "127.0.0.1"}, {"[::]", "127.0.0.1"}} {
		port := freePort(s.T)
		d := s.starts("port="+test[0]+":"+port, "interval=0")
		p := s.generation(1).serve()
		p.answersAt("tcp", strings.ReplaceAll(test[0], "[::]", "[::1]")+":"+port)
		if answer, err := hail("tcp", test[1]+":"+port); err == nil {
			s.Errorf("at %s %q answers", test[1], answer)
		}
		d.stop()
	}
}

// udp: a u before the port. The key is without it.
func (s *scene) udp() {
	initdtest.NeedIPv6(s.T)
	bare, port, six := freePort(s.T), freePort(s.T), freePort(s.T)
	d := s.starts("port=u"+bare, "port=127.0.0.1:u"+port+"=9", "port=[::1]:u"+six, "interval=0")
	p := s.generation(1)
	told := p.told()
	if len(told) != 3 || told[0].key != bare || told[1] != (listener{"127.0.0.1:" + port, 9}) || told[2].key != "[::1]:"+six {
		s.Fatalf("it is told of %v", told)
	}
	for i, address := range []string{"127.0.0.1:" + bare, "127.0.0.1:" + port, "[::1]:" + six} {
		conn, err := net.Dial("udp", address)
		if err != nil {
			s.Fatal(err)
		}
		fmt.Fprint(conn, "to ", address)
		conn.Close()
		if got := p.do("receive", fmt.Sprint(told[i].fd)); got != "to "+address {
			s.Errorf("at %s it receives %q", address, got)
		}
	}
	d.stop()
}

// unix: everyone may connect, whatever the umask is; a socket that is left over is replaced; and the file is gone at the end.
func (s *scene) unix() {
	path, other := s.file("socket"), s.file("other")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		s.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	d := s.starts("path="+path, "path="+other, "interval=0")
	old := s.generation(1)
	if told := old.told(); len(told) != 2 || told[0].key != path || told[1].key != other {
		s.Fatalf("it is told of %v", told)
	}
	old.serve()
	for _, path := range []string{path, other} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o777 {
			s.Errorf("%s is %v, %v", path, info.Mode(), err)
		}
		old.answersAt("unix", path)
	}
	d.swap()
	next := s.generation(2).serve()
	old.ends()
	next.answersAt("unix", path)
	d.stop()
	if s.exists("socket") || s.exists("other") {
		s.Error("the sockets are left")
	}
}

// givenDescriptor: =fd is the worker's number of the socket; 0 makes it its standard input.
func (s *scene) givenDescriptor() {
	stdin, other := "127.0.0.1:"+freePort(s.T), "127.0.0.1:"+freePort(s.T)
	d := s.starts("port="+stdin+"=0", "port="+other+"=40", "interval=0")
	p := s.generation(1)
	if told := p.told(); len(told) != 2 || told[0].fd != 0 || told[1].fd != 40 {
		s.Fatalf("it is told of %v", told)
	}
	p.serve()
	p.answersAt("tcp", stdin)
	p.answersAt("tcp", other)
	d.stop()
}

// backlog: that of listen(2).
func (s *scene) backlog() {
	d := s.starts("port=127.0.0.1:"+freePort(s.T), "backlog=7", "interval=0")
	p := s.generation(1)
	if got := p.do("backlog", fmt.Sprint(p.told()[0].fd)); got != "7" {
		s.Errorf("the backlog is %s, not 7", got)
	}
	d.stop()
}

// sockets: they are handed over open, blocking and listening; and whoever connects before a worker
// accepts has to wait, and is not refused.
func (s *scene) sockets() {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.starts("port="+address, "path="+s.file("socket"), "interval=0")
	p := s.generation(1)
	for _, l := range p.told() {
		if !slices.Contains(p.Files, l.fd) {
			s.Errorf("%s is not open at %d: %v are", l.key, l.fd, p.Files)
		} else if p.do("blocks", fmt.Sprint(l.fd)) != "true" {
			s.Errorf("%s does not block", l.key)
		}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	p.serve()
	conn.SetDeadline(time.Now().Add(initdtest.Patience))
	if _, err := conn.Read(make([]byte, 10)); err != nil {
		s.Error(err)
	}
	d.stop()
}

// Surroundings of workers.

// environment: the one that the program was started with, and what it adds.
func (s *scene) environment() {
	dir := filepath.Dir(s.write("env/FROM_ENVDIR", "x\n", 0o644))
	port := freePort(s.T)
	d := s.start(run{environ: []string{"OWN=as it is", "EMPTY="},
		args: flags(s.puppet(), "port=127.0.0.1:"+port+"=7", "interval=0", "envdir="+dir, "enable-auto-restart",
			"auto-restart-interval=1000", "kill-old-delay=0")})
	for number := 1; number <= 3; number++ {
		p := s.generation(number)
		p.is("OWN", "as it is")
		p.is("EMPTY", "")
		p.is("FROM_ENVDIR", "x")
		p.is("SERVER_STARTER_PORT", "127.0.0.1:"+port+"=7")
		p.is("SERVER_STARTER_GENERATION", fmt.Sprint(number))
		p.is("ENVDIR", dir)
		p.is("ENABLE_AUTO_RESTART", "1")
		p.is("AUTO_RESTART_INTERVAL", "1000")
		p.is("KILL_OLD_DELAY", "0")
		if number < 3 {
			d.swap()
		}
	}
	d.stop()

	// What is not set by an option stays as it is.
	d = s.start(run{environ: []string{"KILL_OLD_DELAY=0"}, args: flags(s.puppet(), "interval=0")})
	p := s.generation(1)
	p.is("KILL_OLD_DELAY", "0")
	for _, name := range []string{"ENVDIR", "ENABLE_AUTO_RESTART", "AUTO_RESTART_INTERVAL"} {
		p.is(name, "-")
	}
	d.stop()
}

// envdir: it is read anew for each worker. The value is the first line; files that are empty or whose names
// begin with a dot, and directories, say nothing.
func (s *scene) envdir() {
	s.write("env/CHANGED", "old", 0o644)
	s.write("env/LINES", " first \nsecond\n", 0o644)
	s.write("env/BLANK", "\n", 0o644)
	s.write("env/NOTHING", "", 0o644)
	s.write("env/.HIDDEN", "x", 0o644)
	s.write("env/DIRECTORY/FILE", "x", 0o644)
	s.write("env/OVER", "envdir", 0o644)
	d := s.start(run{environ: []string{"OVER=initial", "NOTHING=initial"},
		args: flags(s.puppet(), "interval=0", "envdir="+s.file("env"))})
	p := s.generation(1)
	p.is("CHANGED", "old")
	p.is("LINES", " first ")
	p.is("BLANK", "")
	p.is("NOTHING", "initial")
	p.is(".HIDDEN", "-")
	p.is("DIRECTORY", "-")
	p.is("OVER", "envdir")
	p.is("ADDED", "-")

	s.write("env/CHANGED", "new\n", 0o644)
	s.write("env/ADDED", "one\n", 0o644)
	d.swap()
	p = s.generation(2)
	p.is("CHANGED", "new")
	p.is("ADDED", "one")
	p.is("OVER", "envdir")

	// A worker that replaces one which has ended gets the new ones, too.
	s.write("env/CHANGED", "newer\n", 0o644)
	s.remove("env/ADDED")
	p.tell("exit", "1")
	p = s.generation(3)
	p.is("CHANGED", "newer")
	p.is("ADDED", "-")
	d.stop()
}

// envdirTiming: what concerns the superdaemon itself may stand in the envdir, and nowhere else.
func (s *scene) envdirTiming() {
	s.write("env/ENABLE_AUTO_RESTART", "1\n", 0o644)
	s.write("env/AUTO_RESTART_INTERVAL", "4\n", 0o644)
	s.write("env/KILL_OLD_DELAY", "2\n", 0o644)
	s.starts("interval=0", "envdir="+s.file("env"))
	old := s.generation(1)
	began := time.Now()
	next := s.generation(2)
	next.is("ENABLE_AUTO_RESTART", "1")
	old.gets(syscall.SIGTERM)
	s.since("the signal", began, 2*time.Second)
}

// envdirTimingChanged: and it may change at run time, when it beats the options, too.
func (s *scene) envdirTimingChanged() {
	s.write("env/UNRELATED", "x", 0o644)
	d := s.starts("interval=0", "envdir="+s.file("env"), "kill-old-delay=1000", "enable-auto-restart", "auto-restart-interval=1000")
	old := s.generation(1)
	s.write("env/KILL_OLD_DELAY", "1\n", 0o644)
	s.write("env/AUTO_RESTART_INTERVAL", "4\n", 0o644)
	began := time.Now()
	d.swap()
	next := s.generation(2)
	old.gets(syscall.SIGTERM)
	s.since("the signal", began, time.Second)
	s.generation(3)
	next.gets(syscall.SIGTERM)
}

// envdirPath: the command is looked for where the worker's own PATH says.
func (s *scene) envdirPath() {
	for _, version := range []string{"one", "two"} {
		s.write(version+"/program", "#!/bin/sh\nexec "+strings.Join(s.puppet(version), " ")+"\n", 0o755)
	}
	s.write("env/PATH", s.file("one")+":"+searchPath, 0o644)
	d := s.runs("--interval=0", "--envdir="+s.file("env"), "--", "program")
	if p := s.generation(1); !slices.Equal(p.Args, []string{"one"}) {
		s.Errorf("the program is %q", p.Args)
	}
	s.write("env/PATH", s.file("two")+":"+searchPath, 0o644)
	d.swap()
	if p := s.generation(2); !slices.Equal(p.Args, []string{"two"}) {
		s.Errorf("the program is %q", p.Args)
	}
	d.stop()
}

// bareVariables: four options are read from variables, too.
func (s *scene) bareVariables() {
	s.write("env/FROM_ENVDIR", "x", 0o644)
	s.start(run{args: flags(s.puppet(), "interval=0"), environ: []string{
		"ENVDIR=" + s.file("env"), "KILL_OLD_DELAY=2", "ENABLE_AUTO_RESTART=1", "AUTO_RESTART_INTERVAL=1"}})
	old := s.generation(1)
	began := time.Now()
	old.is("FROM_ENVDIR", "x")
	s.generation(2)
	old.gets(syscall.SIGTERM)
	s.since("the signal", began, 2*time.Second)
}

// optionsBeatVariables.
func (s *scene) optionsBeatVariables() {
	s.write("env/FROM_ENVDIR", "x", 0o644)
	s.write("other/FROM_ENVDIR", "y", 0o644)
	d := s.start(run{args: flags(s.puppet(), "interval=0", "kill-old-delay=0", "envdir="+s.file("other")),
		environ: []string{"ENVDIR=" + s.file("env"), "KILL_OLD_DELAY=1000"}})
	old := s.generation(1)
	old.is("FROM_ENVDIR", "y")
	d.swap()
	s.generation(2)
	old.gets(syscall.SIGTERM)
	d.stop()
}

// workingDirectory: that of the worker is dir, and else the one that the program was started in. The
// command's name is looked up from there.
func (s *scene) workingDirectory() {
	s.write("there/program", "#!/bin/sh\nexec "+strings.Join(s.puppet(), " ")+"\n", 0o755)
	d := s.runs("--interval=0", "--dir="+s.file("there"), "--", "./program")
	if p := s.generation(1); p.Dir != s.file("there") {
		s.Errorf("its directory is %s", p.Dir)
	}
	d.stop()
	d = s.start(run{given: []string{"dir=" + s.dir}, args: flags(s.puppet(), "interval=0")})
	if p := s.generation(1); p.Dir != s.dir {
		s.Errorf("its directory is %s", p.Dir)
	}
	d.stop()
}

// command: it is executed as it was given, without a shell. A word may be empty, and one word may be all,
// with spaces in it.
func (s *scene) command() {
	words := []string{"", "two words", "$HOME *", `"quoted"`, "ünï\ncode", "--", "-x", "--port=1"}
	d := s.runs(append([]string{"--interval=0", "--"}, s.puppet(words...)...)...)
	if p := s.generation(1); !slices.Equal(p.Args, words) {
		s.Errorf("its arguments are %q", p.Args)
	}
	d.stop()
	program := s.write("a program; with & spaces", "#!/bin/sh\nexec "+strings.Join(s.puppet(), " ")+"\n", 0o755)
	d = s.runs("--interval=0", program)
	s.generation(1)
	d.stop()
}

// commandReplaced: each start takes the program as it is then.
func (s *scene) commandReplaced() {
	program := s.write("program", "#!/bin/sh\nexec "+strings.Join(s.puppet("one"), " ")+"\n", 0o755)
	d := s.runs("--interval=0", "--", program)
	if p := s.generation(1); !slices.Equal(p.Args, []string{"one"}) {
		s.Errorf("the program is %q", p.Args)
	}
	s.write("program", "#!/bin/sh\nexec "+strings.Join(s.puppet("two"), " ")+"\n", 0o755)
	d.swap()
	if p := s.generation(2); !slices.Equal(p.Args, []string{"two"}) {
		s.Errorf("the program is %q", p.Args)
	}
	d.stop()
}

// Files.

// pidFile: it has the pid and a newline before the first worker starts, and is gone at the end. One that
// is left over is replaced.
func (s *scene) pidFile() {
	s.write("pid", "999999999999\n", 0o644)
	d := s.starts("interval=0", "pid-file="+s.file("pid"))
	p := s.generation(1)
	if got, want := s.text("pid"), fmt.Sprintln(d.pid); got != want || p.Parent != d.pid {
		s.Errorf("the pid file has %q, not %q, and the worker's parent is %d", got, want, p.Parent)
	}
	d.swap()
	s.generation(2)
	p.ends()
	if got, want := s.text("pid"), fmt.Sprintln(d.pid); got != want {
		s.Errorf("the pid file has %q, not %q", got, want)
	}
	d.stop()
	if s.exists("pid") {
		s.Error("the pid file is left")
	}
}

// statusFile: a line for each worker, with a new one from when it is ready, and an old one until it has
// ended.
func (s *scene) statusFile() {
	d := s.stubborn("interval=2", "status-file="+s.file("status"))
	// Whoever looks finds it complete at any time.
	done, looked := make(chan struct{}), make(chan struct{})
	form := regexp.MustCompile(`^(\d+:\d+\n)*$`)
	go func() {
		defer close(looked)
		for {
			select {
			case <-done:
				return
			default:
				if text := s.text("status"); !form.MatchString(text) {
					s.Errorf("the status file has %q", text)
					return
				}
			}
		}
	}()
	defer func() { close(done); <-looked }()

	began := time.Now()
	first := s.generation(1)
	s.has("status", status(first))
	s.since("its line", began, 2*time.Second)
	began = time.Now()
	d.swap()
	second := s.generation(2)
	s.has("status", status(first, second))
	s.since("its line", began, 2*time.Second)
	first.gets(syscall.SIGTERM)
	began = time.Now()
	d.swap()
	third := s.generation(3)
	s.has("status", status(first, second, third))
	s.since("its line", began, 2*time.Second)
	second.gets(syscall.SIGTERM)
	second.tell("exit", "0")
	s.has("status", status(first, third))
	first.tell("exit", "1")
	s.has("status", status(third))
	d.signal(syscall.SIGTERM)
	third.gets(syscall.SIGTERM)
	third.tell("exit", "0")
	d.exits(0)
	if s.exists("status") {
		s.Error("the status file is left")
	}
}

// logFile: the workers' output is appended to it, with what the program itself has to say.
func (s *scene) logFile() {
	s.write("log", "what was there\n", 0o644)
	d := s.starts("interval=0", "log-file="+s.file("log"))
	old := s.generation(1)
	old.do("say", "first on stdout")
	old.do("complain", "first on stderr")
	d.swap()
	s.generation(2).do("say", "second on stdout")
	old.ends()
	d.stop()
	text := s.text("log")
	for _, want := range []string{"first on stdout\n", "first on stderr\n", "second on stdout\n"} {
		if !strings.Contains(text, want) {
			s.Errorf("the log has no %q", want)
		}
	}
	if !strings.HasPrefix(text, "what was there\n") {
		s.Errorf("the log does not begin with what was there: %q", text)
	}
	if strings.Count(text, "\n") < 6 {
		s.Errorf("the program itself has said nothing: %q", text)
	}
}

// logPipe: the same by a command, which a shell understands, and which ends when all is said.
func (s *scene) logPipe() {
	for _, form := range []string{"| %s", " \t|%s"} {
		log := s.file("log of " + strings.TrimSpace(form[:2]))
		d := s.starts("interval=0", "log-file="+fmt.Sprintf(form, `cat >>"`+log+`" && echo "the end" >>"`+log+`"`))
		old := s.generation(1)
		old.do("say", "first on stdout")
		old.do("complain", "first on stderr")
		d.swap()
		s.generation(2).do("say", "second on stdout")
		old.ends()
		d.stop()
		eventually(s.T, "the logger has ended", func() bool {
			text, _ := os.ReadFile(log)
			return strings.HasSuffix(string(text), "the end\n")
		})
		text, _ := os.ReadFile(log)
		for _, want := range []string{"first on stdout\n", "first on stderr\n", "second on stdout\n"} {
			if !strings.Contains(string(text), want) {
				s.Errorf("the log has no %q", want)
			}
		}
		if err := os.Remove(log); err != nil {
			s.Error(err)
		}
	}
}

// relativeNames are those of the directory that the program was started in, also later, and whatever dir is.
func (s *scene) relativeNames() {
	s.write("env/NAME", "one", 0o644)
	s.write("there/file", "", 0o644)
	d := s.start(run{given: []string{"dir=" + s.dir}, args: flags(s.puppet(), "interval=0", "dir=there",
		"pid-file=pid", "status-file=status", "log-file=log", "envdir=env", "path=socket")})
	old := s.generation(1)
	if old.Dir != s.file("there") {
		s.Errorf("its directory is %s", old.Dir)
	}
	old.is("NAME", "one")
	if told := old.told(); len(told) != 1 || told[0].key != "socket" {
		s.Errorf("it is told of %v", told)
	}
	s.has("pid", fmt.Sprintln(d.pid))
	s.has("status", status(old))
	s.write("env/NAME", "two", 0o644)
	d.swap()
	next := s.generation(2).serve()
	next.is("NAME", "two")
	next.answersAt("unix", s.file("socket"))
	s.has("status", status(next))
	next.do("say", "in the log")
	d.stop()
	if !strings.Contains(s.text("log"), "in the log\n") {
		s.Error("the log lacks what was said")
	}
	for _, name := range []string{"pid", "status", "socket"} {
		if s.exists(name) {
			s.Errorf("%s is left", name)
		}
	}
}

// daemonize: the process that was started ends with 0, and the program goes on in a session of its own, with
// nothing to read.
func (s *scene) daemonize() {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.starts("interval=0", "daemonize", "pid-file="+s.file("pid"), "log-file="+s.file("log"), "port="+address, "path="+s.file("socket"))
	d.exits(0)
	pid := s.daemonized("pid")
	p := s.generation(1).serve()
	p.answersAt("tcp", address)
	p.answersAt("unix", s.file("socket"))
	if p.Parent != pid || pid == d.pid {
		s.Errorf("%d was started, the pid file has %d, and the worker's parent is %d", d.pid, pid, p.Parent)
	}
	if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(name) != "start_server\n" {
		s.Errorf("pidof finds it as %q", name)
	}
	own, _ := unix.Getsid(0)
	if session, err := unix.Getsid(pid); err != nil || session == own {
		s.Errorf("it is in session %d, %v", session, err)
	}
	if stdin, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", p.pid)); stdin != "/dev/null" {
		s.Errorf("it reads from %s, %v", stdin, err)
	}
	p.do("say", "in the log")
	s.asksToStop(pid, "--stop", "--pid-file="+s.file("pid")).exits(0)
	p.ends()
	for _, name := range []string{"pid", "socket"} {
		if s.exists(name) {
			s.Errorf("%s is left", name)
		}
	}
	if !strings.Contains(s.text("log"), "in the log\n") {
		s.Error("the log lacks what was said")
	}
}

// daemonizeGivenStdin: but a socket at 0 stays there.
func (s *scene) daemonizeGivenStdin() {
	address := "127.0.0.1:" + freePort(s.T)
	d := s.starts("interval=0", "daemonize", "pid-file="+s.file("pid"), "log-file="+s.file("log"), "port="+address+"=0")
	d.exits(0)
	pid := s.daemonized("pid")
	p := s.generation(1).serve()
	p.answersAt("tcp", address)
	s.asksToStop(pid, "--stop", "--pid-file="+s.file("pid")).exits(0)
	p.ends()
}

// restart: it is over when the new worker alone is left.
func (s *scene) restart() {
	files := []string{"pid-file=" + s.file("pid"), "status-file=" + s.file("status")}
	d := s.stubborn(append(files, "interval=1")...)
	old := s.generation(1)
	s.has("status", status(old))
	for number := 2; number <= 3; number++ {
		asked := s.runs("--restart", "--"+files[0], "--"+files[1])
		next := s.generation(number)
		old.gets(syscall.SIGTERM)
		old.lives()
		if !asked.ongoing() {
			s.Error("it is over with an old worker")
		}
		old.tell("exit", "0")
		asked.exits(0)
		if got, want := s.text("status"), status(next); got != want {
			s.Errorf("the status file has %q, not %q", got, want)
		}
		old = next
	}
	d.signal(syscall.SIGTERM)
	old.gets(syscall.SIGTERM)
	old.tell("exit", "0")
	d.exits(0)
}

// restartOfEnding: it fails where the program ends meanwhile.
func (s *scene) restartOfEnding() {
	files := []string{"pid-file=" + s.file("pid"), "status-file=" + s.file("status")}
	d := s.stubborn(append(files, "interval=1", "signal-on-term=INT")...)
	old := s.generation(1)
	s.has("status", status(old))
	asked := s.runs("--restart", "--"+files[0], "--"+files[1])
	next := s.generation(2)
	old.gets(syscall.SIGTERM)
	d.signal(syscall.SIGTERM)
	next.gets(syscall.SIGINT)
	next.tell("exit", "0")
	s.has("status", status(old))
	old.tell("exit", "0")
	d.exits(0)
	if asked.wait() == 0 {
		s.Error("it ends with 0")
	}
}

// stop: it is over when the program has gone.
func (s *scene) stop() {
	d := s.stubborn("interval=0", "pid-file="+s.file("pid"), "signal-on-term=USR1")
	p := s.generation(1)
	asked := s.asksToStop(d.pid, "--stop", "--pid-file="+s.file("pid"))
	p.gets(syscall.SIGUSR1)
	p.lives()
	if !asked.ongoing() {
		s.Error("it is over with a worker")
	}
	p.tell("exit", "0")
	asked.exits(0)
	if s.exists("pid") {
		s.Error("the pid file is left")
	}
	d.exits(0)
}

// The command line, as Getopt::Long reads it.

// spellings: one dash or two or a plus sign, any case, the value behind an equals sign or as the next word.
func (s *scene) spellings() {
	port := func() string { return "127.0.0.1:" + freePort(s.T) }
	ports := []string{port(), port(), port(), port(), port(), port()}
	d := s.runs(append([]string{"--port=" + ports[0], "--port", ports[1], "-port=" + ports[2], "-port", ports[3], "--PORT=" + ports[4], "+Port", ports[5],
		"-interval", "0", "-KILL-old-DELAY=+0", "--"}, s.puppet()...)...)
	p := s.generation(1)
	var got []string
	for _, l := range p.told() {
		got = append(got, l.key)
	}
	if !slices.Equal(got, ports) {
		s.Errorf("the listeners are %q, not %q", got, ports)
	}
	d.stop()
}

// abbreviations: as short as they are unique. All options are among them.
func (s *scene) abbreviations() {
	address, path := "127.0.0.1:"+freePort(s.T), s.file("socket")
	s.write("env/NAME", "x", 0o644)
	d := s.runs(append([]string{"--po=" + address, "--pa=" + path, "--b=9", "--in", "0", "-l=" + s.file("log"), "--pi=" + s.file("pid"),
		"--sta=" + s.file("status"), "--di=" + s.dir, "--envd", s.file("env"), "--signal-on-h=USR1", "--signal-on-t=USR2", "--k=0",
		"--en" + "a", "--a=1000", "--da", "--"}, s.puppet()...)...)
	d.exits(0)
	pid := s.daemonized("pid")
	old := s.generation(1)
	if told := old.told(); len(told) != 2 || told[0].key != address || told[1].key != path {
		s.Fatalf("it is told of %v", told)
	}
	if got := old.do("backlog", fmt.Sprint(old.told()[0].fd)); got != "9" {
		s.Errorf("the backlog is %s", got)
	}
	if old.Dir != s.dir {
		s.Errorf("its directory is %s", old.Dir)
	}
	old.is("NAME", "x")
	old.is("KILL_OLD_DELAY", "0")
	old.is("ENABLE_AUTO_RESTART", "1")
	old.is("AUTO_RESTART_INTERVAL", "1000")
	s.has("status", status(old))
	asked := s.runs("--r", "--pi", s.file("pid"), "-STAT", s.file("status"))
	next := s.generation(2)
	old.gets(syscall.SIGUSR1)
	old.tell("exit", "0")
	asked.exits(0)
	asked = s.asksToStop(pid, "-sto", "-pi", s.file("pid"))
	next.gets(syscall.SIGUSR2)
	next.tell("exit", "0")
	asked.exits(0)
	eventually(s.T, "it has gone", func() bool { return state(pid) == "" || state(pid) == "Z" })
}

// optionsAmongCommand: options may stand among the words of the command, up to --.
func (s *scene) optionsAmongCommand() {
	address := "127.0.0.1:" + freePort(s.T)
	words := s.puppet()
	d := s.runs(append(words, "one", "--port="+address, "-", "two", "--interval", "0", "three", "--", "--port=1", "-x", "--")...)
	p := s.generation(1)
	if want := []string{"one", "-", "two", "three", "--port=1", "-x", "--"}; !slices.Equal(p.Args, want) {
		s.Errorf("its arguments are %q, not %q", p.Args, want)
	}
	if told := p.told(); len(told) != 1 || told[0].key != address {
		s.Errorf("it is told of %v", told)
	}
	d.stop()
}

// lastOptionCounts: where one is given twice that is no list. A value may begin with a dash.
func (s *scene) lastOptionCounts() {
	d := s.start(run{given: []string{"dir=" + s.dir}, args: append([]string{"--interval=600", "--interval=0", "--pid-file", "--port", "--pid-file", "-pid", "--"}, s.puppet()...)})
	s.generation(1)
	s.has("-pid", fmt.Sprintln(d.pid))
	if s.exists("--port") {
		s.Error("the first pid file counts, too")
	}
	d.stop()
}

// wrongUsage ends the program with a status that is not 0, before anything is started, and without
// leaving anything behind. (initd understands more than the original: 1.5 and 500ms, for instance.)
func (s *scene) wrongUsage() {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	defer taken.Close()
	started := []string{s.write("program", "#!/bin/sh\ntouch "+s.file("started")+"\n", 0o755)}
	before := listing(s.T, s.dir)
	pid, status := "--pid-file="+s.file("pid"), "--status-file="+s.file("status")
	for _, args := range [][]string{
		{},
		{"--interval=1"},
		{"--"},
		append([]string{"--no-such-option"}, started...),
		append([]string{"--no-daemonize"}, started...),
		append([]string{"-p=1"}, started...),
		append([]string{"--signal-on=TERM"}, started...),
		append(started, "-x"),
		append(started, "--port"),
		append([]string{"--port="}, started...),
		append([]string{"--interval", "soon"}, started...),
		append([]string{"--backlog=many"}, started...),
		append([]string{"--kill-old-delay", "--"}, started...),
		append([]string{"--daemonize", pid}, started...),
		append([]string{"--port=http"}, started...),
		append([]string{"--port=127.0.0.1"}, started...),
		append([]string{"--port=127.0.0.1:0=x"}, started...),
		append([]string{pid, status, "--path=" + s.file("socket"), "--port=" + taken.Addr().String()}, started...),
		append([]string{pid, status, "--path=" + s.file("no/directory")}, started...),
		append([]string{"--pid-file=" + s.file("no/directory")}, started...),
		append([]string{"--log-file=" + s.file("no/directory")}, started...),
		{"--restart"},
		{"--restart", pid},
		{"--restart", status},
		{"--restart", pid, status},
		{"--stop"},
		{"--stop", status},
		{"--stop", pid},
	} {
		d := s.runs(args...)
		eventually(s.T, "it ends", func() bool { return !d.ongoing() || s.exists("started") })
		if s.exists("started") {
			s.Errorf("%q starts the program", args)
			d.stop()
			s.remove("started")
		} else if d.wait() == 0 {
			s.Errorf("%q ends with 0", args)
		}
	}
	if after := listing(s.T, s.dir); !slices.Equal(after, before) {
		s.Errorf("there was %q, and is %q", before, after)
	}
}

// originalOptions are all that start_server has.
var originalOptions = []string{
	"port", "path", "dir", "interval", "signal-on-hup", "signal-on-term", "pid-file", "status-file", "envdir", "log-file", "daemonize",
	"enable-auto-restart", "auto-restart-interval", "kill-old-delay", "backlog", "restart", "stop", "help", "version",
}

// help names every option, on standard output.
func (s *scene) help() {
	for _, flag := range []string{"--help", "-h", "--HELP"} {
		writer, text := textPipe(s.T)
		s.start(run{args: []string{flag, "--port=1"}, stdout: writer}).exits(0)
		output := text()
		for _, option := range originalOptions {
			if !strings.Contains(output, "--"+option) {
				s.Errorf("%s does not name --%s", flag, option)
			}
		}
	}
}

// version begins with the version of Server::Starter, for whoever asks for it.
func (s *scene) version() {
	for _, flag := range []string{"--version", "-v", "--VER"} {
		writer, text := textPipe(s.T)
		s.start(run{args: []string{flag}, stdout: writer}).exits(0)
		if output := text(); !strings.HasPrefix(output, "0.35") || strings.Count(output, "\n") != 1 {
			s.Errorf("%s prints %q", flag, output)
		}
	}
}
