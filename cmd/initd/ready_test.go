package main_test

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestReadiness: who can make a generation ready, and who cannot.
func TestReadiness(t *testing.T) {
	t.Parallel()
	notify := self + " notify READY=1"
	for _, test := range []struct {
		name string
		say  func(p *puppet)
	}{
		{"Worker", (*puppet).ready},
		{"AmongOthers", func(p *puppet) { p.do("notify", "STATUS=up", "X_UNKNOWN=1", "READY=1", "MAINPID=1") }},
		{"Child", func(p *puppet) { p.do("run", self, "notify", "READY=1") }},
		{"Grandchild", func(p *puppet) { p.do("run", "/bin/sh", "-c", notify+"; :") }},
		{"OrphanOfWorker", func(p *puppet) { p.do("run", "/bin/sh", "-c", "("+notify+" &) >/dev/null 2>&1") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet(), "ready=notify", "interval=0.01")}.start(t)
				p := s.generation(1)
				test.say(p)
				d.is("serving", 1)
				d.stop()
			})
		})
	}
}

// TestForeignReadiness: what anybody else says to the socket counts for nothing.
func TestForeignReadiness(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, first := serving(t, as, "log-level=debug")
		d.swap()
		second := s.generation(2)
		address, _ := second.Value("NOTIFY_SOCKET")
		conn, err := net.Dial("unixgram", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("READY=1")); err != nil {
			t.Fatal(err)
		}
		first.ready() // of another generation
		// The socket is a queue: what it says last comes last.
		second.do("notify", "STATUS=still starting")
		d.says("still starting")
		first.lives()
		for _, e := range d.entries() {
			if e.Event == "serving" && e.Generation == 2 {
				t.Error("generation 2 serves by a stranger's word")
			}
		}
		second.ready()
		first.gets(syscall.SIGTERM)
		d.stop()
	})
}

// TestStatus: what a worker says of itself is logged.
func TestStatus(t *testing.T) {
	t.Parallel()
	d, _, p := serving(t, subreaper)
	p.do("notify", "STATUS=17 \"clients\" ön air")
	e := d.event("its status", func(e initdtest.Entry) bool { return e.Event == "status" })
	if want := "status: 17 \"clients\" ön air"; e.Message != want || e.PID != p.pid || e.Generation != 1 {
		t.Errorf("the status was logged as %+v", e)
	}
	d.stop()
}

// TestAlive: a worker that says nothing is ready when it has lived for the interval, and by auto also
// when it says so before.
func TestAlive(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		for _, test := range []struct {
			ready, interval string
			says            bool
			least           time.Duration
		}{
			{"alive", "0.3", false, 300 * time.Millisecond},
			{"alive", "0.3", true, 300 * time.Millisecond},
			{"auto", "0.3", false, 300 * time.Millisecond},
			{"auto", "1000", true, 0},
			{"alive", "0", false, 0},
		} {
			t.Run(test.ready+test.interval, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet(), "ready="+test.ready, "interval="+test.interval, "start-timeout=0")}.start(t)
				p := s.generation(1)
				if test.says {
					p.ready()
				}
				d.is("serving", 1)
				if took := d.when("serving", 1).Sub(d.when("starting", 1)); took < test.least/2 {
					t.Errorf("it was ready after %v", took)
				}
				d.stop()
			})
		}
	})
}

// TestWatchdog: a worker that is silent for too long is killed and replaced; it is told how long it may be.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		t.Run("Silent", func(t *testing.T) {
			t.Parallel()
			d, s, first := serving(t, as, "watchdog=1")
			if got, _ := first.Value("WATCHDOG_USEC"); got != "1000000" {
				t.Errorf("WATCHDOG_USEC=%s", got)
			}
			again := time.NewTicker(150 * time.Millisecond)
			defer again.Stop()
			var last time.Time
			for range 10 { // for longer than it may be silent
				<-again.C
				last = time.Now()
				first.do("notify", "WATCHDOG=1")
			}
			first.ends()
			if silent := time.Since(last); silent < time.Second {
				t.Errorf("it was killed after %v of silence", silent)
			}
			d.says("watchdog")
			s.generation(2).ready()
			d.is("serving", 2)
			d.stop()
		})
		t.Run("Stopped", func(t *testing.T) {
			t.Parallel()
			d, _, first := serving(t, as, "watchdog=1")
			d.signal(syscall.SIGSTOP)
			again := time.NewTicker(500 * time.Millisecond)
			defer again.Stop()
			for range 4 { // for longer than it may be silent
				<-again.C
				first.do("notify", "WATCHDOG=1")
			}
			d.signal(syscall.SIGCONT)
			first.do("notify", "STATUS=alive")
			d.says("alive")
			if got := first.next(0); got != 0 && got != syscall.SIGCONT {
				t.Errorf("the worker got signal %d", got)
			}
			first.do("nothing")
			d.stop()
		})
		t.Run("Trigger", func(t *testing.T) {
			t.Parallel()
			d, s, first := serving(t, as, "watchdog=1000")
			first.tell("notify", "WATCHDOG=trigger")
			first.ends()
			s.generation(2).ready()
			d.is("serving", 2)
			d.stop()
		})
		t.Run("NotAsked", func(t *testing.T) {
			t.Parallel()
			d, _, first := serving(t, as)
			if got, set := first.Value("WATCHDOG_USEC"); set {
				t.Errorf("WATCHDOG_USEC=%s", got)
			}
			first.do("notify", "WATCHDOG=trigger")
			first.do("notify", "STATUS=alive")
			d.says("alive")
			first.lives()
			d.stop()
		})
	})
}

// TestSupervisor: initd tells the service manager that it runs under.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"abstract", "path"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			name := "@" + initdtest.Unique()
			if address == "path" {
				name = t.TempDir() + "/notify"
			}
			supervisor, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
			if err != nil {
				t.Fatal(err)
			}
			defer supervisor.Close()
			receives := func(lines ...string) string {
				t.Helper()
				supervisor.SetReadDeadline(time.Now().Add(initdtest.Patience))
				buffer := make([]byte, 4096)
				n, err := supervisor.Read(buffer)
				if err != nil {
					t.Fatal(err)
				}
				said := string(buffer[:n])
				for _, line := range lines {
					if !strings.Contains("\n"+said, "\n"+line) {
						t.Errorf("initd said %q, without %s", said, line)
					}
				}
				return said
			}
			s := newStage(t)
			d := run{mode: subreaper, environ: []string{"NOTIFY_SOCKET=" + name}, args: flags(s.puppet(), "ready=notify", "stop-delay=1")}.start(t)
			first := s.generation(1)
			first.ready()
			for said := ""; !strings.Contains(said, "READY=1"); {
				said = receives("STATUS=")
			}
			d.swap()
			receives("RELOADING=1", "MONOTONIC_USEC=", "STATUS=")
			second := s.generation(2)
			second.ready()
			receives("READY=1", "STATUS=")
			// Not ready at once, although the workers serve on for stop-delay.
			d.signal(syscall.SIGTERM)
			receives("STOPPING=1", "STATUS=")
			second.lives()
			second.gets(syscall.SIGTERM)
			d.exits(0)
		})
	}
}
