package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestStop: what stops initd, what its workers get for it, and that their statuses do not matter.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		settings []string
		signal   syscall.Signal
		want     syscall.Signal
	}{
		{"TERM", nil, syscall.SIGTERM, syscall.SIGTERM},
		{"INT", nil, syscall.SIGINT, syscall.SIGTERM},
		{"QUIT", nil, syscall.SIGQUIT, syscall.SIGQUIT},
		{"TERMOfChoice", []string{"signal-on-term=QUIT"}, syscall.SIGTERM, syscall.SIGQUIT},
		{"INTIsNotTERM", []string{"signal-on-term=QUIT"}, syscall.SIGINT, syscall.SIGTERM},
		{"Mapped", []string{"signal-map=PWR:QUIT"}, syscall.SIGPWR, syscall.SIGQUIT},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet("exit=9"), append([]string{"ready=notify", "stop-timeout=60"}, test.settings...)...)}.start(t)
				first := s.generation(1)
				first.ready()
				d.is("serving", 1)
				d.signal(test.signal)
				first.gets(test.want)
				first.ends()
				d.exits(0)
			})
		})
	}
}

// TestStopWhenever: initd stops whatever is under way, and starts nothing any more.
func TestStopWhenever(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		get  func(d *daemon, s *stage, first *puppet) (still []*puppet)
	}{
		{"DuringSwap", func(d *daemon, s *stage, first *puppet) []*puppet {
			d.swap()
			return []*puppet{first, s.generation(2)}
		}},
		{"WithMoreRequests", func(d *daemon, s *stage, first *puppet) []*puppet {
			d.swap()
			second := s.generation(2)
			d.signalsLogged("HUP", 1)
			d.swap()
			d.signalsLogged("HUP", 2)
			return []*puppet{first, second}
		}},
		{"DuringTrial", func(d *daemon, s *stage, first *puppet) []*puppet {
			d.swap()
			second := s.generation(2)
			second.ready()
			d.is("trial", 2)
			return []*puppet{first, second}
		}},
		{"DuringBackoff", func(d *daemon, s *stage, first *puppet) []*puppet {
			d.swap()
			s.generation(2).tell("exit", "1")
			d.is("failed", 2)
			return []*puppet{first}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				d, s, first := serving(t, as, "kill-old-delay=1000", "interval=1000")
				still := test.get(d, s, first)
				began := time.Now()
				d.signal(syscall.SIGTERM)
				for _, p := range still {
					p.gets(syscall.SIGTERM)
					p.ends()
				}
				d.exits(0)
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("the stop took %v", took)
				}
				if len(s.arrivals) > 0 {
					t.Error("a worker was started after the stop")
				}
			})
		})
	}
}

// TestStopUnready: also where nothing was ever ready.
func TestStopUnready(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet(), "ready=notify")}.start(t)
		p := s.next()
		d.signal(syscall.SIGTERM)
		p.gets(syscall.SIGTERM)
		d.exits(0)
	})
}

// TestEcho: the same signal twice in a row, as timeout(1) sends it to its child and then to its group, is one.
// The second comes as PWR, for the kernel would merge two of one number.
func TestEcho(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "signal-map=PWR:TERM")}.start(t)
		p := s.generation(1)
		p.ready()
		d.is("serving", 1)
		d.signal(syscall.SIGTERM)
		d.signal(syscall.SIGPWR)
		d.signalsLogged("TERM", 1)
		d.signalsLogged("PWR", 1)
		p.gets(syscall.SIGTERM)
		p.lives()
		d.signal(syscall.SIGINT)
		d.signalsLogged("INT", 1)
		p.ends()
		d.exits(0)
		d.event("the reason is true", func(e initdtest.Entry) bool {
			return e.Event == "kill" && strings.Contains(e.Message, "initd received a second stop signal, INT")
		})
	})
}

// TestSecondSignal: who asks twice has no more patience.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		first, second syscall.Signal
		told          syscall.Signal
	}{
		{"TERM+TERM", syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM},
		{"TERM+INT", syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM},
		{"QUIT+TERM", syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGQUIT},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify")}.start(t)
				p := s.generation(1)
				p.ready()
				d.is("serving", 1)
				d.signal(test.first)
				p.gets(test.told)
				p.lives()
				d.insist(test.second, p)
				d.exits(0)
			})
		})
	}
}

// insist sends a signal again and again until a worker ends: the first may come within the time of an echo.
func (d *daemon) insist(s syscall.Signal, p *puppet) {
	d.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for late := time.After(initdtest.Patience); ; {
		syscall.Kill(d.pid, s) // it may have just ended
		select {
		case <-p.ended:
			return
		case <-d.ended:
			p.ends()
			return
		case <-again.C:
		case <-late:
			d.Fatalf("worker %d has not ended, however often initd got signal %d", p.pid, s)
		}
	}
}

// TestSecondQUIT: but QUIT is gentle, however often.
func TestSecondQUIT(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify")}.start(t)
		p := s.generation(1)
		p.ready()
		d.is("serving", 1)
		d.signal(syscall.SIGQUIT)
		p.gets(syscall.SIGQUIT)
		d.signal(syscall.SIGQUIT)
		d.signalsLogged("QUIT", 2)
		p.lives()
		p.tell("exit", "1")
		d.exits(0)
	})
}

// TestStopTimeout: workers that are left after stop-timeout are killed, the old ones too.
func TestStopTimeout(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "stop-timeout=5")}.start(t)
		first := s.generation(1)
		first.ready()
		d.is("serving", 1)
		d.swap()
		second := s.generation(2)
		second.ready()
		first.gets(syscall.SIGTERM)
		d.is("serving", 2)
		began := time.Now()
		d.signal(syscall.SIGTERM)
		second.gets(syscall.SIGTERM)
		d.exits(0)
		if took := time.Since(began); took < 5*time.Second || took > time.Minute {
			t.Errorf("the stop took %v", took)
		}
		first.ends()
		second.ends()
	})
}

// TestStopDelay: workers serve on for stop-delay; a second TERM does not wait for that.
func TestStopDelay(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		t.Run("Waits", func(t *testing.T) {
			t.Parallel()
			d, _, p := serving(t, as, "stop-delay=1")
			began := time.Now()
			d.signal(syscall.SIGTERM)
			d.signalsLogged("TERM", 1)
			d.answers(p)
			p.gets(syscall.SIGTERM)
			if took := time.Since(began); took < time.Second {
				t.Errorf("the workers were stopped after %v", took)
			}
			d.exits(0)
		})
		t.Run("SwapIsTooLate", func(t *testing.T) {
			t.Parallel()
			d, s, p := serving(t, as, "stop-delay=0.5")
			d.signal(syscall.SIGTERM)
			d.signalsLogged("TERM", 1)
			d.swap()
			d.signalsLogged("HUP", 1)
			p.gets(syscall.SIGTERM)
			d.exits(0)
			if len(s.arrivals) > 0 {
				t.Error("a worker was started after the stop")
			}
		})
		t.Run("Twice", func(t *testing.T) {
			t.Parallel()
			d, _, p := serving(t, as, "stop-delay=1000")
			d.signal(syscall.SIGTERM)
			d.signalsLogged("TERM", 1)
			p.lives()
			d.signal(syscall.SIGINT)
			p.ends()
			d.exits(0)
		})
		t.Run("WorkerEnds", func(t *testing.T) {
			t.Parallel()
			d, s, p := serving(t, as, "stop-delay=0.5")
			d.signal(syscall.SIGTERM)
			d.signalsLogged("TERM", 1)
			p.tell("exit", "1")
			d.exits(0)
			if len(s.arrivals) > 0 {
				t.Error("a worker was started after the stop")
			}
		})
	})
}

// TestKillGroup: a kill is the worker's alone, or its process group's with kill-group.
func TestKillGroup(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"false", "true"} {
		t.Run(group, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				s := newStage(t)
				d := run{mode: as, args: flags(s.puppet("stubborn"), "ready=notify", "drain-timeout=5", "kill-group="+group)}.start(t)
				first := s.generation(1)
				first.ready()
				d.is("serving", 1)
				first.do("run", "sh", "-c", strings.Join(s.puppet("stubborn"), " ")+" >/dev/null 2>&1 &")
				relative := s.next()
				d.swap()
				s.generation(2).ready()
				first.gets(syscall.SIGTERM)
				first.ends()
				if group == "true" {
					relative.ends()
				} else {
					d.is("gone", 1)
					relative.lives()
				}
			})
		})
	}
}
