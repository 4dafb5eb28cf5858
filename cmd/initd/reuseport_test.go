package main_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// shared starts a pool of which each worker has a socket of its own.
func shared(t *testing.T, as mode, workers int, manners []string, settings ...string) (*daemon, *stage, []*puppet) {
	t.Helper()
	return pool(t, as, workers, manners, append([]string{"reuse-port=true", "port=127.0.0.1:0", "log-level=debug"}, settings...)...)
}

// steersToAll waits until each worker has been seen to wait for connections, and its slot gets some.
func (d *daemon) steersToAll(all []*puppet) {
	d.Helper()
	var slots []string
	for _, p := range all {
		slots = append(slots, strconv.Itoa(p.slot()))
	}
	want := fmt.Sprintf("steer slots=%q", strings.Join(slots, ","))
	eventually(d.T, want, func() bool {
		steers, looks := want, ""
		for _, e := range d.entries() {
			if strings.HasPrefix(e.Message, "steer ") {
				steers = e.Message
			}
			if strings.HasPrefix(e.Message, "looked ") {
				looks += e.Message
			}
		}
		return steers == want && !slices.ContainsFunc(all, func(p *puppet) bool {
			return !strings.Contains(looks, fmt.Sprintf(` %d="accepting"`, p.PID))
		})
	})
}

// queue connects so many clients, to whom nobody answers yet.
func queue(t *testing.T, address string, clients int) (all []net.Conn) {
	t.Helper()
	for range clients {
		all = append(all, dial(t, "tcp", address))
	}
	return all
}

// answered reads the answers that clients get. A client that gets none has been lost.
func answered(t *testing.T, clients []net.Conn) (answers map[string]int) {
	t.Helper()
	answers = map[string]int{}
	lost := 0
	for _, c := range clients {
		c.SetDeadline(time.Now().Add(initdtest.Patience))
		text, err := io.ReadAll(c)
		if err != nil || len(text) == 0 {
			lost++
			t.Logf("%q, %v", text, err)
		}
		answers[string(text)]++
	}
	if lost > 0 {
		t.Errorf("%d of %d queued connections were lost", lost, len(clients))
	}
	return answers
}

// backlog is how many connections wait in a worker's own socket.
func (p *puppet) backlog() (n int) {
	p.Helper()
	fmt.Sscan(p.do("backlog", "3"), &n)
	return n
}

// TestReusePort: what waits in a slot's socket is not lost when its worker goes, whatever it goes for.
func TestReusePort(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		then func(t *testing.T, d *daemon, s *stage, all []*puppet, clients []net.Conn)
	}{
		{"Spread", func(t *testing.T, d *daemon, s *stage, all []*puppet, clients []net.Conn) {
			for _, p := range all {
				p.serve()
			}
			if answers := answered(t, clients); len(answers) != len(all) {
				t.Errorf("not everyone has answered: %v", answers)
			}
		}},
		{"Swap", func(t *testing.T, d *daemon, s *stage, all []*puppet, clients []net.Conn) {
			d.swap()
			next := s.pool(2, 0, 1, 2)
			makeReady(next)
			for _, p := range all {
				p.ends()
			}
			d.is("gone", 1)
			for _, p := range next {
				p.serve()
			}
			if answers := answered(t, clients); len(answers) != len(next) {
				t.Errorf("not everyone has answered: %v", answers)
			}
		}},
		{"Kill", func(t *testing.T, d *daemon, s *stage, all []*puppet, clients []net.Conn) {
			d.readyFor(interval)
			all[1].tell("die", "9")
			next := s.pool(1, 1)[0].serve()
			all[0].serve()
			all[2].serve()
			next.ready()
			answered(t, clients)
		}},
		{"Shrink", func(t *testing.T, d *daemon, s *stage, all []*puppet, clients []net.Conn) {
			d.signal(syscall.SIGTTOU)
			d.resized(1)
			all[0].serve()
			all[1].serve()
			// What comes from now on comes to those.
			d.event("new connections go elsewhere", func(e initdtest.Entry) bool { return e.Message == `steer slots="0,1"` })
			waits := all[2].backlog()
			for range 20 {
				greet(t, "tcp", d.address("127.0.0.1"))
			}
			if n := all[2].backlog(); n != waits || n == 0 {
				t.Errorf("in the slot to be removed %d wait, and later %d", waits, n)
			}
			d.surveys(8)
			all[2].lives()
			all[2].serve() // those who wait for it
			all[2].gets(syscall.SIGTERM)
			all[2].ends()
			answered(t, clients)
			if len(s.arrivals) > 0 {
				t.Error("there is a worker more")
			}
		}},
		{"Recycle", func(t *testing.T, d *daemon, s *stage, all []*puppet, clients []net.Conn) {
			all[0].do("requests", "10")
			next := s.pool(1, 0)[0]
			next.ready()
			all[0].gets(syscall.SIGTERM)
			all[0].ends()
			for _, p := range []*puppet{next, all[1], all[2]} {
				p.serve()
			}
			answered(t, clients)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				d, s, all := shared(t, as, 3, nil, "max-requests=10")
				d.steersToAll(all)
				clients := queue(t, d.address("127.0.0.1"), 60)
				for _, p := range all {
					if p.backlog() == 0 {
						t.Errorf("nobody waits in slot %d", p.slot())
					}
				}
				test.then(t, d, s, all, clients)
				d.stop()
			})
		})
	}
}

// TestReusePortUDP: nor are datagrams lost.
func TestReusePortUDP(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, all := pool(t, as, 2, nil, "reuse-port=true", "port=127.0.0.1:u0", "log-level=debug")
		send := func(from, to int) (want []string) {
			for i := from; i < to; i++ {
				conn := dial(t, "udp", d.address("127.0.0.1"))
				fmt.Fprint(conn, i)
				want = append(want, fmt.Sprint(i))
			}
			return want
		}
		receive := func(all []*puppet, want []string) {
			t.Helper()
			var got []string
			for _, p := range all {
				mine := strings.Fields(p.do("datagrams", "3"))
				if len(mine) == 0 {
					t.Errorf("nothing has come to slot %d", p.slot())
				}
				got = append(got, mine...)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%v came, of %v", got, want)
			}
		}
		d.steersToAll(all)
		receive(all, send(100, 140))
		want := send(200, 240)
		d.swap()
		want = append(want, send(300, 340)...)
		next := s.pool(2, 0, 1)
		makeReady(next)
		for _, p := range all {
			p.ends()
		}
		receive(next, want)

		d.steersToAll(next)
		want = send(400, 440)
		d.readyFor(interval)
		next[1].tell("die", "9")
		next[1] = s.pool(2, 1)[0]
		next[1].ready()
		receive(next, want)
		d.stop()
	})
}

// TestReusePortUnderLoad: swaps, also in turns, a pool that becomes larger and smaller, and workers that end by
// themselves: clients that connect without pause notice nothing.
func TestReusePortUnderLoad(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		d, s, all := shared(t, as, 3, []string{"eager"}, "surge=2", "log-level=info")
		address := d.address("127.0.0.1")
		var clients sync.WaitGroup
		enough := make(chan struct{})
		var answers atomic.Int64
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-enough:
						return
					default:
					}
					if answer, err := hail("tcp", address); err != nil || answer == "" {
						t.Errorf("%q, %v", answer, err)
						return
					}
					answers.Add(1)
				}
			})
		}
		resizes := 0
		for number := 2; number <= 6; number++ {
			d.swap()
			all = all[:0]
			for range 3 {
				all = append(all, s.generation(number))
			}
			d.is("serving", number)
			d.is("gone", number-1)
			d.readyFor(interval)

			all[1].do("nothing")
			syscall.Kill(all[1].pid, syscall.SIGTERM)
			all[1].ends()
			s.generation(number).do("nothing")

			d.signal(syscall.SIGTTIN)
			s.generation(number).do("nothing")
			d.signal(syscall.SIGTTOU)
			resizes += 2
			d.resized(resizes)
			stops := 0
			d.event("one worker fewer", func(e initdtest.Entry) bool {
				if e.Event == "exit" && e.Generation == number {
					stops++
				}
				return stops == 2
			})
		}
		close(enough)
		clients.Wait()
		t.Logf("%d answers", answers.Load())
		d.stop()
	})
}
