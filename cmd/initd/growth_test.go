package main_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// dial connects and stays connected until the test is over, or the connection is closed.
func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// growing starts an initd of one worker that may become three, with a log of each step.
func growing(t *testing.T, as mode, settings ...string) (*daemon, *stage, *puppet) {
	t.Helper()
	d, s, first := pool(t, as, 1, nil, append([]string{"max-workers=3", "port=127.0.0.1:0", "log-level=debug"}, settings...)...)
	return d, s, first[0]
}

// TestGrowth: what makes a pool larger, up to its limit, and smaller again.
func TestGrowth(t *testing.T) {
	t.Parallel()
	for _, as := range []mode{subreaper, pid1} {
		run := func(name string, test func(t *testing.T, as mode)) {
			atOnce(t, name+"/"+string(as), func(t *testing.T) { test(t, as) })
		}
		run("Queue", testGrowthByQueue)
		run("Connections", testGrowthByConnections)
		run("Busy", testGrowthByScoreboard)
		run("Failures", testNoGrowthOfFailures)
	}
	atOnce(t, "Python", func(t *testing.T) { testScoreOf(t, "/usr/bin/python3", "-c", pythonWorker) })
	atOnce(t, "Perl", func(t *testing.T) { testScoreOf(t, "/usr/bin/perl", "-e", perlWorker) })
	atOnce(t, "CPU", testGrowthByCPU)
	atOnce(t, "Limit", testGrowthLimit)
}

// testGrowthByQueue has nobody accept: connections wait, whatever the workers say of themselves, or do not say.
func testGrowthByQueue(t *testing.T, as mode) {
	d, s, first := growing(t, as, "min-idle=0")
	d.surveys(3)
	d.starts(first, 1) // nothing waits
	dial(t, "tcp", d.address("127.0.0.1"))
	second := s.pool(1, 1)[0]
	d.surveys(3)
	d.starts(first, 2) // one that starts is given time
	second.ready()
	third := s.pool(1, 2)[0]
	third.ready()
	d.surveys(4)
	d.starts(first, 3)
	d.stop()
}

// testGrowthByConnections has workers that say nothing hold one connection each.
func testGrowthByConnections(t *testing.T, as mode) {
	d, s, first := growing(t, as, "scoreboard=none")
	p := first
	for slot := 1; slot <= 3; slot++ {
		d.surveys(3)
		d.starts(first, slot) // one is idle
		dial(t, "tcp", d.address("127.0.0.1"))
		p.do("accept", "3")
		if slot < 3 {
			p = s.pool(1, slot)[0]
			p.ready()
		}
	}
	d.surveys(4)
	d.starts(first, 3)
	d.stop()
}

// testGrowthByScoreboard has workers say that they are busy, and idle again, until the pool is as small as it was. The
// first to leave is who has been idle for the longest time, be it who has been there from the beginning.
func testGrowthByScoreboard(t *testing.T, as mode) {
	d, s, first := growing(t, as, "max-idle=1")
	all := []*puppet{first}
	first.do("idle")
	for slot := 1; slot < 3; slot++ {
		d.surveys(3)
		d.starts(first, slot)
		all[slot-1].do("busy")
		p := s.pool(1, slot)[0]
		p.do("idle")
		p.ready()
		all = append(all, p)
	}
	all[2].do("busy")
	d.surveys(4)
	d.starts(first, 3)
	for _, slot := range []int{1, 0, 2} {
		all[slot].do("idle")
		d.surveys(2)
	}
	// After a while.
	all[1].gets(syscall.SIGTERM)
	all[1].ends()
	all[0].gets(syscall.SIGTERM)
	all[0].ends()
	d.surveys(8)
	all[2].lives()
	d.sync(all[2])
	sizes := []int{}
	for _, e := range d.logged("resize") {
		sizes = append(sizes, e.Workers)
	}
	if got := fmt.Sprint(sizes); got != "[2 3 2 1]" {
		t.Errorf("the pool had the sizes %s", got)
	}
	d.starts(all[2], 3)
	d.stop()
}

// testGrowthByCPU has a worker compute of which nothing else is known: there is no listener, and it says nothing. What
// its children compute is its own. Where this machine is busy they have to come before others to get their share.
func testGrowthByCPU(t *testing.T) {
	s := newStage(t)
	const compute = "for i in 1 2; do nice -n -10 sh -c 'while :; do :; done' 2>/dev/null & done; exec "
	d := run{mode: subreaper, args: flags([]string{"/bin/sh", "-c", compute + strings.Join(s.puppet(), " ")},
		"workers=1", "max-workers=2", "ready=notify", "interval=0.1")}.start(t)
	s.pool(1, 0)[0].ready()
	s.pool(1, 1)[0].ready()
	d.stop()
}

// testNoGrowthOfFailures: where workers fail, more of them would fail too.
func testNoGrowthOfFailures(t *testing.T, as mode) {
	d, s, first := growing(t, as, "interval=600", "max-workers=4")
	first.do("busy")
	s.pool(1, 1)[0].tell("exit", "1")
	d.event("it is waited for", func(e initdtest.Entry) bool { return e.Event == "exit" && e.Slot == 1 })
	d.surveys(6)
	d.starts(first, 2)
}

// pythonWorker and perlWorker take part in the scoreboard by what docs/SCOREBOARD.md says of its layout, without a
// library. They have one connection at a time.
const pythonWorker = `
import mmap, os, socket, time
fd, row = (os.environ.pop("SERVER_STARTER_SCOREBOARD" + end) for end in ("", "_ROW"))
board = memoryview(mmap.mmap(int(fd), 0))
os.close(int(fd))
magic, version, header, size = board[:8], *board[8:32].cast("Q")
assert magic == b"scorebrd" and version == 1
begin = header + int(row) * size
words = board[begin:begin + size].cast("Q")
def tell(load):
    words[8] = time.monotonic_ns() // 1_000_000 << 24 | load
listener = socket.socket(fileno=int(os.environ["SERVER_STARTER_PORT"].rpartition("=")[2]))
tell(1)
while True:
    conn, _ = listener.accept()
    with conn:
        tell(2)
        conn.sendall(b"%d " % os.getpid())
        while conn.recv(4096): pass
        words[9] += 1
        tell(1)
`

const perlWorker = `
use strict; use warnings;
use IO::Socket::INET; use POSIX (); use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
my ($fd, $row) = delete @ENV{qw(SERVER_STARTER_SCOREBOARD SERVER_STARTER_SCOREBOARD_ROW)};
open my $board, '+<:raw', "/proc/self/fd/$fd" or die;
POSIX::close($fd);
sysread $board, my $header, 32;
my ($magic, $version, $first, $size) = unpack 'a8 Q3', $header;
die if $magic ne 'scorebrd' || $version != 1;
my $requests = 0;
sub tell_load {
    sysseek $board, $first + $row * $size + 64, 0;
    syswrite $board, pack 'Q3', int(1000 * clock_gettime(CLOCK_MONOTONIC)) << 24 | $_[0], $requests, 0;
}
my ($port) = $ENV{SERVER_STARTER_PORT} =~ /=(\d+)\z/;
my $listener = IO::Socket::INET->new_from_fd($port, 'r+') or die;
tell_load(1);
while (my $conn = $listener->accept) {
    tell_load(2);
    syswrite $conn, "$$ ";
    while (sysread $conn, my $data, 4096) { }
    $requests++;
    tell_load(1);
}
`

// testScoreOf has workers in another language be busy: the pool grows with each client. Their requests count, too.
func testScoreOf(t *testing.T, program string, args ...string) {
	if _, err := os.Stat(program); err != nil {
		t.Skipf("needs %s: %v", program, err)
	}
	d := run{mode: subreaper, args: flags(append([]string{program}, args...), "workers=1", "max-workers=3", "interval=0.1",
		"port=127.0.0.1:0", "log-level=debug", "max-requests=5")}.start(t)
	d.is("serving", 1)
	var clients []net.Conn
	for size := 2; size <= 3; size++ {
		clients = append(clients, talk(t, d))
		d.event(fmt.Sprintf("there are %d", size), func(e initdtest.Entry) bool { return e.Event == "resize" && e.Workers == size })
	}
	clients = append(clients, talk(t, d)) // is served by the third
	d.event("they are seen to be busy", func(e initdtest.Entry) bool {
		return strings.HasPrefix(e.Message, "surveyed ") && strings.Count(e.Message, ":busy:") == 3
	})
	for _, c := range clients {
		c.Close()
	}
	for range 20 {
		conn := talk(t, d)
		conn.Close()
	}
	d.event("one has served enough", func(e initdtest.Entry) bool {
		return e.Event == "recycle" && strings.Contains(e.Message, "max-requests")
	})
	d.stop()
}

// talk connects, and returns when a worker has said something.
func talk(t *testing.T, d *daemon) net.Conn {
	t.Helper()
	conn := dial(t, "tcp", d.address("127.0.0.1"))
	conn.SetDeadline(time.Now().Add(initdtest.Patience))
	// All of it, or the worker would get a reset when this end is closed.
	if _, err := bufio.NewReader(conn).ReadString(' '); err != nil {
		t.Fatal(err)
	}
	return conn
}

// testGrowthLimit loads a pool, kills its workers, and looks all the while how many there are.
func testGrowthLimit(t *testing.T) {
	const limit = 4
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet("eager"), "workers=1", "max-workers=4", "ready=notify", "interval=0.1", "min-idle=4",
		"port=127.0.0.1:0")}.start(t)
	d.is("serving", 1)
	enough := make(chan bool)
	var watcher sync.WaitGroup
	most := 0
	watcher.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			if n := len(children(t, d.pid)); n > most {
				most = n
			}
		}
	})
	var all []*puppet
	next := func() *puppet {
		p := s.next()
		all = append(all, p)
		return p
	}
	for range limit {
		next()
	}
	d.event("it is as large as may be", func(e initdtest.Entry) bool { return e.Event == "resize" && e.Workers == limit })
	for range 5 {
		d.readyFor(interval)
		for _, p := range all[len(all)-limit:] {
			p.do("nothing") // it serves
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		for range limit {
			next()
		}
		greet(t, "tcp", d.address("127.0.0.1"))
	}
	close(enough)
	watcher.Wait()
	if most != limit {
		t.Errorf("there were up to %d workers, not %d", most, limit)
	}
	d.stop()
}
